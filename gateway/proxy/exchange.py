"""One request and its answer: decided, perhaps renewed, sent on, and answered exactly once.

The client connection gives it the request, an upstream connection gives it the answer; neither
knows the other. What the app receives is generated here: our framing, our forwarding headers, our
identity headers, and nothing that a client sent under those names.
"""

from typing import Final

from gateway.headers.fields import named_by_connection, without_named
from gateway.pipeline import (
    FORWARD_AUTH,
    Authenticated,
    Decision,
    Forward,
    Reason,
    Refuse,
    Renew,
)
from gateway.policy.routes import Route
from gateway.proxy import answers, forward_auth
from gateway.proxy.client_side import ClientSide
from gateway.proxy.framing import CHUNKED, LAST_CHUNK, Chunked, chunk
from gateway.proxy.heads import ResponseHead
from gateway.proxy.plane import DataPlane, RenewalUnavailable
from gateway.proxy.pool import Pool
from gateway.proxy.upstream import UNTIL_CLOSE, ResponseFraming, UpstreamConnection
from gateway.request import BadRequest, Request, without_prefix

# Methods that may be sent again when a kept connection turns out to be closed: RFC 9110 §9.2.2,
# and those of WebDAV that only ask.
_IDEMPOTENT: Final = frozenset(
    {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH"}
)
_USUAL_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})
_RETRY_AFTER: Final = "Retry-After: 3"
_NEVER_SHARED: Final = ("public", "immutable", "s-maxage")


class Exchange:
    """From the request's head to the end of its answer."""

    __slots__ = (
        *("authenticated", "connect_timeout", "expects_no_body", "framing", "head_timeout"),
        *("body_timeout", "keep_alive", "repeatable", "request", "request_id", "wants_upgrade"),
        *(
            "answered",
            "expects_continue",
            "_bytes_in",
            "_bytes_out",
            "_client",
            "_cookies",
            "_cookies_until",
        ),
        *("_decision", "_done", "_head", "_lines", "_plane", "_pool"),
        *("_request_complete", "_retried", "_route", "_started", "_status", "_unsent"),
        *(
            "_upstream",
            "_upstream_started",
            "_upstream_took",
            "_asked",
            "_chunked_answer",
            "_stream_of",
        ),
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
    ) -> None:
        self.request = request
        self.request_id = request_id
        self.framing = framing
        self.keep_alive = keep_alive
        self.expects_no_body = request.method == "HEAD"
        self.wants_upgrade = request.upgrade
        self.repeatable = framing == 0 and request.method in _IDEMPOTENT
        self.connect_timeout: float | None = None
        self.head_timeout = plane.limits.upstream_head
        self.body_timeout = plane.limits.body_timeout
        self.authenticated: Authenticated | None = None
        self._plane = plane
        self._client = client
        self._lines = lines
        self._started = started
        self.expects_continue = expects_continue
        self._decision = "forward"
        self._route: Route | None = None
        self._pool: Pool | None = None
        self._upstream: UpstreamConnection | None = None
        self._upstream_started = 0.0
        self._upstream_took: float | None = None
        self._head = b""
        self._unsent: list[bytes] = []
        self._request_complete = framing == 0
        self._retried = False
        self.answered = False
        self._done = False
        self._chunked_answer = False
        self._cookies: tuple[str, ...] = ()
        self._cookies_until = 0.0
        self._status = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._stream_of: str | None = None
        self._asked: Request | None = None

    # Deciding.

    def start(self) -> None:
        """Take the decision and act on it."""
        self._act(self._plane.pipeline.decide(self.request, self._plane.now()))

    def _act(self, decision: Decision) -> None:
        match decision:
            case Forward():
                self._forward(decision)
            case Renew():
                self._route = decision.route
                self._plane.tasks.spawn("renew", self._renew(decision))
            case Refuse():
                self._refuse(decision)

    async def _renew(self, decision: Renew) -> None:
        plane = self._plane
        try:
            renewed = await plane.renew(decision.refresh_token, self.request)
        except RenewalUnavailable:
            self._decision = "renew:unavailable"
            if not self._done:
                self._refuse(_store_unavailable(decision.route))
            return
        if self._done:
            return
        self._decision = f"renew:{renewed.outcome}"
        self._cookies = renewed.set_cookies
        self._cookies_until = plane.monotonic() + renewed.deliver_within
        request = self._asked or self.request
        again = plane.pipeline.decide_renewed(
            request, decision.route, renewed.access_token, plane.now()
        )
        if self._asked is None:
            self._act(again)
        else:
            self._answer_asked(again)

    # Forward-auth: another proxy asks, and forwards the request itself.

    def _ask(self) -> None:
        plane = self._plane
        try:
            asked = forward_auth.original_request(self.request)
        except BadRequest as refusal:
            self.refuse(refusal.status, Reason.MALFORMED, refusal.detail)
            return
        if asked is None:
            asked = self.request
            decision = plane.pipeline.identify(asked, plane.now())
        else:
            decision = plane.pipeline.decide(asked, plane.now())
        self._asked = asked
        if isinstance(decision, Renew):
            plane.tasks.spawn("renew", self._renew(decision))
        else:
            self._answer_asked(decision)

    def _answer_asked(self, decision: Decision) -> None:
        status, lines = forward_auth.status_and_lines(decision, self._plane.identity)
        if isinstance(decision, Refuse):
            self._decision = f"refuse:{decision.reason}"
            lines += forward_auth.location_line(decision, self._asked)
        elif isinstance(decision, Forward):
            self.authenticated = decision.authenticated
        self.answer(status, lines + answers.EMPTY, b"")

    # Sending the request on.

    def _forward(self, decision: Forward) -> None:
        plane = self._plane
        route = self._route = decision.route
        authenticated = self.authenticated = decision.authenticated
        if authenticated is not None and not authenticated.seen:
            authenticated.seen = True
            plane.seen(authenticated)
        if route.upstream == FORWARD_AUTH:
            self._ask()
            return
        limit = plane.limits.body if route.body_limit is None else route.body_limit
        if limit is not None and self.framing != CHUNKED and self.framing > limit:
            self.refuse(413, Reason.LIMIT, "The request is larger than this site accepts.")
            return
        if route.upstream_head is not None:
            self.head_timeout = route.upstream_head
        if route.body_timeout is not None:
            self.body_timeout = route.body_timeout
        self.connect_timeout = route.upstream_connect
        pool = self._pool = plane.upstreams[route.upstream]
        self._head = self._render_head(decision, pool)
        pool.take(self)

    def _render_head(self, decision: Forward, pool: Pool) -> bytes:
        request = self.request
        target = request.target.raw
        prefix = decision.route.strip_prefix
        if prefix is not None:
            target = without_prefix(request.target, prefix)
        lines = self._lines
        connection = request.noted.get("connection")
        if connection is not None and connection not in _USUAL_CONNECTION:
            lines = without_named(lines, named_by_connection(connection))
        if decision.hide_authorization:
            lines = without_named(lines, frozenset({b"authorization"}))
        host = pool.host or request.authority.raw
        parts = [f"{request.method} {target} HTTP/1.1\r\nHost: ".encode("latin-1"), host, *lines]
        if decision.cookie:
            parts += (b"\r\nCookie: ", decision.cookie)
        parts += (
            self._client.forwarding_lines(request),
            b"\r\nX-Request-Id: ",
            self.request_id.encode("ascii"),
        )
        if prefix is not None:
            parts.append(f"\r\nX-Forwarded-Prefix: {prefix}".encode("latin-1", "replace"))
        if decision.authenticated is not None:
            parts.append(decision.authenticated.identity_lines)
        parts.append(self._framing_line())
        return b"".join(parts)

    def _framing_line(self) -> bytes:
        if self.framing == CHUNKED:
            return b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        if self.wants_upgrade:
            return b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        if self.framing or self.request.noted.get("content-length") is not None:
            return b"\r\nContent-Length: %d\r\n\r\n" % self.framing
        return b"\r\n\r\n"

    def attach(self, connection: UpstreamConnection) -> None:
        """Use *connection*: send the head and what of the body has come so far."""
        if self._done:
            connection.keeper.released(connection)
            return
        self._upstream = connection
        self._upstream_started = self._plane.monotonic()
        connection.begin(self, self._head)
        if self._unsent:
            unsent, self._unsent = b"".join(self._unsent), []
            connection.send(unsent)
        if not self._request_complete:
            if self.expects_continue:
                self.expects_continue = False
                self._client.send_continue()
            self._client.want_body()

    def refused(self, status: int, reason: str) -> None:
        """The pool has no connection for us."""
        if self._done:
            return
        self._report_upstream(reason)
        detail = (
            "The application cannot be reached." if status != 503 else "The application is busy."
        )
        self.refuse(status, Reason.UPSTREAM, detail)

    def request_body(self, data: bytes, *, complete: bool) -> None:
        """A part of the request's body has come; *complete* with the last."""
        self._bytes_in += len(data)
        self._request_complete = complete
        if self._over_limit():
            return
        if self.framing == CHUNKED:
            data = (chunk(data) if data else b"") + (LAST_CHUNK if complete else b"")
        if not data:
            return
        if self._upstream is not None:
            self._upstream.send(data)
        elif not self.answered:
            self._unsent.append(data)

    def _over_limit(self) -> bool:
        """Stop a body without a declared length that outgrows what its route takes."""
        route = self._route
        if self.framing != CHUNKED or route is None or self.answered:
            return False
        limit = self._plane.limits.body if route.body_limit is None else route.body_limit
        if limit is None or self._bytes_in <= limit:
            return False
        self._drop_upstream()
        self.keep_alive = False
        self.refuse(413, Reason.LIMIT, "The request is larger than this site accepts.")
        return True

    # Receiving the answer.

    def response_started(self, head: ResponseHead, framing: ResponseFraming, body: bytes) -> None:
        """Send the answer's head on, with what of its body came along."""
        plane = self._plane
        self.answered = True
        self._status = head.status
        self._upstream_took = plane.monotonic() - self._upstream_started
        self._bytes_out += len(body)
        parts = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *self._answer_lines(head)]
        connection = head.noted.get("connection")
        if connection is not None and connection not in _USUAL_CONNECTION:
            parts[1:] = without_named(parts[1:], named_by_connection(connection))
        parts.append(self._framing_of_answer(head, framing))
        if not self._request_complete:
            # What is still to come of the request would be taken for the next one.
            self.keep_alive = False
        parts.append(self._client.connection_line(keep_alive=self.keep_alive))
        if body:
            parts += (chunk(body) if self._chunked_answer else body,)
        self._client.write(b"".join(parts))
        if head.noted.get("content-type", b"").startswith(b"text/event-stream"):
            self._remember_stream()

    def _answer_lines(self, head: ResponseHead) -> list[bytes]:
        """The answer's own headers, and what must be added to or kept out of them."""
        lines = head.lines
        for value in head.set_cookies:
            if self._route_is_portal() or not self._plane.cookies.owns(value):
                lines += (b"\r\nSet-Cookie: ", value)
        if self._cookies:
            return self._with_cookies(head, lines)
        if self.authenticated is not None and "cache-control" not in head.noted:
            lines += (b"\r\nCache-Control: ", b"private")
        return lines

    def _with_cookies(self, head: ResponseHead, lines: list[bytes]) -> list[bytes]:
        """Add our cookies, and keep every cache from handing them to somebody else.

        SECURITY C5. They stay away when the answer took too long, or says that it is everybody's:
        the next request renews again and gets the same.
        """
        caching = head.noted.get("cache-control", b"").decode("latin-1").lower()
        too_late = self._plane.monotonic() > self._cookies_until
        if too_late or any(word in caching for word in _NEVER_SHARED):
            return lines
        kept = without_named(lines, _CACHING)
        for cookie in self._cookies:
            kept += (b"\r\nSet-Cookie: ", cookie.encode("latin-1"))
        kept += (b"\r\nCache-Control: ", b"no-store")
        return kept

    def _framing_of_answer(self, head: ResponseHead, framing: ResponseFraming) -> bytes:
        if framing in (CHUNKED, UNTIL_CLOSE):
            if self._client.speaks_chunked:
                self._chunked_answer = True
                return b"\r\nTransfer-Encoding: chunked"
            self.keep_alive = False
            return b""
        if self.expects_no_body or head.status in (204, 304):
            declared = head.noted.get("content-length")
            if declared is None or head.status == 204:
                return b""
            return b"\r\nContent-Length: %d" % int(declared)
        return b"\r\nContent-Length: %d" % framing

    def response_body(self, data: bytes) -> None:
        """Send a part of the answer's body on."""
        self._bytes_out += len(data)
        self._client.write(chunk(data) if self._chunked_answer else data)

    def response_ended(self) -> None:
        """The answer is whole."""
        if self._chunked_answer:
            self._client.write(LAST_CHUNK)
        upstream, self._upstream = self._upstream, None
        if upstream is not None and not self._request_complete:
            upstream.abort()
        self._finish()

    def response_upgraded(self, head: ResponseHead, data: bytes) -> None:
        """The app speaks WebSocket now: from here on both sides are bytes."""
        self.answered = True
        self._status = head.status
        self._upstream_took = self._plane.monotonic() - self._upstream_started
        self.keep_alive = False
        parts = [b"HTTP/1.1 101 Switching Protocols", *self._answer_lines(head)]
        parts += (b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", data)
        self._client.write(b"".join(parts))
        self._remember_stream()
        self._client.begin_tunnel()

    def upstream_failed(self, reason: str, *, timed_out: bool) -> None:
        """The answer will not come, or not be whole."""
        upstream, self._upstream = self._upstream, None
        if self._done:
            return
        if self.answered:
            # An answer that breaks off must not look whole (SECURITY H3).
            self._report_upstream(reason)
            self.keep_alive = False
            self._finish(broken=not self.wants_upgrade)
            return
        stale = upstream is not None and upstream.served > 0
        if stale and self.repeatable and not self._retried and not timed_out:
            self._retried = True
            if self._pool is not None:
                self._pool.take(self)
            return
        if upstream is not None and self._pool is not None:
            self._pool.failed(upstream)
        self._report_upstream(reason)
        if timed_out:
            self.refuse(504, Reason.UPSTREAM, "The application did not answer in time.")
        else:
            self.refuse(502, Reason.UPSTREAM, "The application gave no proper answer.")

    def upstream_paused(self) -> None:
        self._client.pause_body()

    def upstream_resumed(self) -> None:
        self._client.want_body()

    # As the client connection sees it.

    def tunnel_bytes(self, data: bytes) -> None:
        """Bytes of an upgraded connection, on their way to the app."""
        self._bytes_in += len(data)
        if self._upstream is not None:
            self._upstream.transport.write(data)

    def client_paused(self) -> None:
        """The client reads too slowly: so do we."""
        if self._upstream is not None:
            self._upstream.hold()

    def client_resumed(self) -> None:
        if self._upstream is not None:
            self._upstream.go_on()

    def client_lost(self) -> None:
        """The client is gone: the app need not go on (SECURITY H20)."""
        if self._done:
            return
        if self._status == 0:
            self._status = 499
        self._drop_upstream()
        self._finish()

    def abandon(self) -> None:
        """The request turned out to be malformed: the app hears no more of it."""
        self._drop_upstream()

    def session_ended(self) -> None:
        """The session is over, and so is what it has open."""
        self._drop_upstream()
        self._finish(broken=True)

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        elif self._pool is not None:
            self._pool.forget(self)

    # Answering ourselves.

    def refuse(self, status: int, reason: Reason, detail: str) -> None:
        """Answer *status* ourselves."""
        self._refuse(Refuse(status, reason, detail, self._route))

    def _refuse(self, refused: Refuse) -> None:
        self._route = self._route or refused.route
        if not self._decision.startswith("renew"):
            self._decision = f"refuse:{refused.reason}"
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
        if not self._request_complete and not self._client.drains():
            self.keep_alive = False
        parts = [answers.status_line(status), lines]
        if self._cookies and self._plane.monotonic() <= self._cookies_until:
            parts += [f"\r\nSet-Cookie: {cookie}".encode("latin-1") for cookie in self._cookies]
        parts.append(self._client.connection_line(keep_alive=self.keep_alive))
        if not self.expects_no_body:
            parts.append(body)
        self._client.write(b"".join(parts))
        self._finish()

    # Ending.

    def _finish(self, *, broken: bool = False) -> None:
        self._done = True
        if self._stream_of is not None:
            self._plane.streams.remove(self._stream_of, self)
        self._record()
        self._client.finished(self, broken=broken)

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
        agent = request.noted.get("user-agent")
        observer.request_finished(
            request.client,
            request.method,
            request.authority.text,
            request.target.path,
            self._client.version,
            self._status,
            self._bytes_in,
            self._bytes_out,
            self._plane.monotonic() - self._started,
            self._upstream_took,
            None if self._route is None else self._route.path,
            None if token is None else token.principal.subject,
            None if token is None else token.session_id,
            self._decision,
            self.request_id,
            None if agent is None else agent.decode("latin-1"),
        )

    def _report_upstream(self, reason: str) -> None:
        if self._pool is not None:
            self._plane.observer.upstream_error(self._pool.name, reason)

    def _remember_stream(self) -> None:
        if self.authenticated is None or not self.authenticated.token.session_id:
            return
        token = self.authenticated.token
        self._stream_of = token.session_id
        self._plane.streams.add(token.session_id, token.principal.subject, self)

    def _route_is_portal(self) -> bool:
        return self._pool is not None and self._pool.internal


_CACHING: Final = frozenset(
    {b"cache-control", b"expires", b"surrogate-control", b"cdn-cache-control"}
)


def _store_unavailable(route: Route) -> Refuse:
    return Refuse(
        503,
        Reason.STORE_UNAVAILABLE,
        "Your sign-in cannot be renewed right now. You are still signed in; try again shortly.",
        route,
    )
