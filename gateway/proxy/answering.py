"""The answer side of an exchange: what the client is told, once, and what is recorded of it."""

import logging
from http import HTTPStatus
from typing import Final

from gateway.observability.access_log import FinishedRequest
from gateway.observability.audit import AuditEvent, AuditKind
from gateway.observability.line import session_hash
from gateway.pipeline import Authenticated, Reason, Refuse
from gateway.policy.routes import Route
from gateway.proxy import answers
from gateway.proxy.client_side import ClientSide
from gateway.proxy.failure import Failure
from gateway.proxy.framing import Chunked
from gateway.proxy.plane import DataPlane
from gateway.proxy.pool import Pool
from gateway.proxy.request_head import Rendered
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream import UpstreamConnection
from gateway.request import Request

_LOG: Final = logging.getLogger(__name__)
_RETRY_AFTER: Final = "Retry-After: 3"


# Methods that may be sent again when a kept connection turns out to be closed: RFC 9110 §9.2.2,
# and those of WebDAV that only ask.
_IDEMPOTENT: Final = frozenset(
    {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH"}
)


class Answering:
    """One request, until its answer is whole."""

    __slots__ = (
        *("answered", "authenticated", "body_timeout", "connect_timeout", "expects_continue"),
        *("expects_no_body", "framing", "head_timeout", "keep_alive", "repeatable", "request"),
        *("request_id", "wants_upgrade", "_asked", "_chunked_answer", "_head", "_lines"),
        *(
            "_unsent",
            "_upstream_started",
            "_bytes_in",
            "_bytes_out",
            "_client",
            "_cookies",
            "_cookies_until",
            "_decision",
        ),
        *(
            "_done",
            "_plane",
            "_pool",
            "_rendered",
            "_request_complete",
            "_route",
            "_started",
            "_status",
        ),
        *("_stream_of", "_tunnel", "_upstream", "_upstream_took"),
    )

    def __init__(
        self,
        plane: DataPlane,
        client: ClientSide,
        request: Request,
        lines: list[bytes],
        *,
        framing: int | Chunked,
        keep_alive: bool,
        expects_continue: bool,
        started: float,
        request_id: str,
        rendered: Rendered | None = None,
    ) -> None:
        self.request = request
        self.request_id = request_id
        self.framing = framing
        self.keep_alive = keep_alive
        self.expects_no_body = request.method == "HEAD"
        self.wants_upgrade = request.upgrade
        self.expects_continue = expects_continue
        self.authenticated: Authenticated | None = None
        self.answered = False
        self._plane = plane
        self._client = client
        self._started = started
        self._decision = "forward"
        self._route: Route | None = None
        self._pool: Pool | None = None
        self._upstream: UpstreamConnection | None = None
        self._upstream_took: float | None = None
        self._request_complete = framing == 0
        self._done = False
        self._cookies: tuple[str, ...] = ()
        self._cookies_until = 0.0
        self._status = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._stream_of: str | None = None
        self._tunnel: Tunnel | None = None
        # The way to the app and back.
        self.repeatable = framing == 0 and request.method in _IDEMPOTENT
        self.connect_timeout: float | None = None
        self.head_timeout = plane.limits.upstream_head
        self.body_timeout = plane.limits.body_timeout
        self._lines = lines
        self._rendered = rendered
        self._head = b""
        self._unsent: list[bytes] = []
        self._upstream_started = 0.0
        self._chunked_answer = False
        self._asked: Request | None = None

    # Answering ourselves.

    def refuse(self, status: int, reason: Reason, detail: str) -> None:
        """Answer *status* ourselves."""
        self._refuse(Refuse(status, reason, detail, self._route))

    def _refuse(self, refused: Refuse) -> None:
        self._route = self._route or refused.route
        if not self._decision.startswith("renew"):
            self._decision = f"refuse:{refused.reason}"
        if refused.reason is Reason.CROSS_SITE:
            self._tell(AuditKind.CROSS_SITE_REFUSED, None, self.request)
        if refused.status == HTTPStatus.BAD_REQUEST:
            # Who sends what has several meanings is heard no further.
            self.keep_alive = False
        request = self.request
        if refused.location is not None:
            lines, body = answers.send_to(refused.location, refused.sent_by)
            self.answer(refused.sent_by, lines, body)
            return
        expired = refused.reason is Reason.EXPIRED
        extra = [answers.challenge(expired=expired)] if refused.status == 401 else []
        if refused.status == 503:
            extra.append(_RETRY_AFTER)
        sign_in = None
        if refused.reason in (Reason.UNAUTHENTICATED, Reason.EXPIRED):
            sign_in = self._plane.pipeline.sign_in_location(request)
        lines, body = answers.answer(
            request,
            refused.status,
            refused.detail,
            code=refused.reason,
            request_id=self.request_id,
            sign_in=sign_in,
            extra=extra,
        )
        self.answer(refused.status, lines, body)

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Send a whole answer of our own, with the cookies of a renewal if there was one."""
        self.answered = True
        self._status = status
        self._bytes_out = len(body)
        drains = self._request_complete or self._repeats(status) or self._client.drains()
        if self.wants_upgrade or not drains:
            self.keep_alive = False
        parts = [answers.status_line(status), lines]
        parts += [f"\r\nSet-Cookie: {cookie}".encode("latin-1") for cookie in self._due_cookies()]
        parts.append(self._client.connection_line(keep_alive=self.keep_alive))
        if not self.expects_no_body:
            parts.append(body)
        self._client.write(b"".join(parts))
        self._finish()

    def _repeats(self, status: int) -> bool:
        """Whether the client is to send its body elsewhere, and the rest of it is dropped here.

        Browsers send a body to its end before they read where to send it next.
        """
        return status == HTTPStatus.TEMPORARY_REDIRECT and self._client.drains(however_much=True)

    def _due_cookies(self) -> tuple[str, ...]:
        """The cookies of a renewal, unless it is too late for them (SESSIONS, L)."""
        if self._cookies and self._plane.monotonic() <= self._cookies_until:
            return self._cookies
        return ()

    def probe(self) -> bytes:
        """Return what may be sent at this moment without a client taking note of it."""
        if not self._client.speaks_chunked:
            return b""
        if not self.answered:
            # RFC 9110 §15.2: any number of interim answers may come before the answer.
            return b"HTTP/1.1 100 Continue\r\n\r\n"
        # RFC 9112 §7.1: the size of a chunk may begin with zeros.
        return b"0" if self._chunked_answer else b""

    # Ending.

    def session_ended(self) -> None:
        """The session is over, and so is what it has open."""
        if self._tunnel is not None:
            self._tunnel.cut()
        elif not self._done:
            self._finish(broken=True)

    def _finish(self, *, broken: bool = False) -> None:
        self._done = True
        if self._upstream is not None or not self._request_complete:
            self._drop_upstream()
        if self._stream_of is not None:
            self._plane.streams.remove(self._stream_of, self)
        self._record()
        self._client.finished(self, broken=broken)

    def _drop_upstream(self) -> None:
        """The app hears no more of this request."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        elif self._pool is not None:
            self._pool.forget(self)

    def _tunnel_over(self, bytes_in: int, bytes_out: int) -> None:
        self._done = True
        self._bytes_in, self._bytes_out = bytes_in, bytes_out
        self._tunnel = None
        if self._stream_of is not None:
            self._plane.streams.remove(self._stream_of, self)
        self._record()

    def _recognize(self, authenticated: Authenticated) -> None:
        """Let the session hear that this token has arrived; once for each."""
        if not authenticated.seen:
            authenticated.seen = True
            self._plane.seen(authenticated)

    def _remember_stream(self) -> None:
        if self.authenticated is None or not self.authenticated.token.session_id:
            return
        token = self.authenticated.token
        self._stream_of = token.session_id
        self._plane.streams.add(token.session_id, token.principal.subject, self)

    def _end_if_too_late(self) -> None:
        """End what was opened for a session that has ended since the request was decided upon."""
        if self._stream_of is not None and self.authenticated is not None:
            plane = self._plane
            if plane.pipeline.has_ended(self.authenticated, plane.now()):
                self.session_ended()

    def _forget_head(self) -> None:
        """Keep of the request what its record will tell, as long as it may last."""
        self._lines, self._head = [], b""
        self.request = self.request.told_later()

    # Telling.

    def _record(self) -> None:
        request = self.request
        observer = self._plane.observer
        if not observer.logs_requests:
            observer.request_counted(
                None if self._route is None else self._route.path,
                self._status,
                self._decision,
                self._plane.monotonic() - self._started,
            )
            return
        authenticated = self.authenticated
        token = None if authenticated is None else authenticated.token
        observer.request_finished(
            # A third of what the constructor costs, which takes its arguments one by one.
            FinishedRequest._make(
                (
                    request.client,
                    request.method,
                    request.authority.text,
                    self._client.version,
                    None if self._route is None else self._route.path,
                    None if token is None else token.principal.subject,
                    None if token is None else token.session_id,
                    self._decision,
                    request.noted.get("user-agent"),
                    request.target.path,
                    self._status,
                    self._bytes_in,
                    self._bytes_out,
                    self._plane.monotonic() - self._started,
                    self._upstream_took,
                    self.request_id,
                )
            )
        )

    def _tell(self, kind: AuditKind, outcome: str | None, request: Request) -> None:
        """Record a security event."""
        authenticated = self.authenticated
        token = None if authenticated is None else authenticated.token
        self._plane.observer.event(
            AuditEvent(
                kind,
                outcome,
                user=None if token is None else token.principal.subject,
                session=session_hash(token.session_id) if token and token.session_id else None,
                client=request.client,
                detail=request.target.path,
                request_id=self.request_id,
                user_agent=request.headers.get("user-agent"),
            )
        )

    def _report_upstream(self, failure: Failure, text: str) -> None:
        if self._pool is not None:
            name = self._pool.name
            self._plane.observer.upstream_error(name, failure)
            fields = {"request_id": self.request_id}
            _LOG.warning("upstream %s: %s: %s", name, failure, text, extra={"fields": fields})


def store_unavailable(route: Route) -> Refuse:
    """Return what a client is told whose tokens cannot be renewed for now."""
    return Refuse(
        503,
        Reason.STORE_UNAVAILABLE,
        "Your sign-in cannot be renewed right now. You are still signed in; try again shortly.",
        route,
    )
