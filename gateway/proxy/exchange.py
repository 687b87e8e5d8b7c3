"""One request and its answer: decided, perhaps renewed, sent on, and answered exactly once.

The client connection gives it the request, an upstream connection gives it the answer; neither
knows the other. What the app receives is generated here: our framing, our forwarding headers, our
identity headers, and nothing that a client sent under those names.
"""

from typing import Final

from gateway.observability.audit import AuditKind
from gateway.pipeline import FORWARD_AUTH, Decision, Forward, Reason, Refuse, Renew
from gateway.proxy import answers, forward_auth
from gateway.proxy.answer_framing import ResponseFraming
from gateway.proxy.answer_head import answer_lines, length_of_none
from gateway.proxy.answering import Answering, store_unavailable
from gateway.proxy.failure import Failure
from gateway.proxy.framing import CHUNKED, LAST_CHUNK, chunk
from gateway.proxy.heads import ResponseHead
from gateway.proxy.plane import RenewalUnavailable, Renewed
from gateway.proxy.request_head import request_head
from gateway.proxy.upstream import UpstreamConnection
from gateway.request import BadRequest, Request

_EVENT_STREAM: Final = b"text/event-stream"


class Exchange(Answering):
    """From the request's head to the end of its answer."""

    __slots__ = ()

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
        try:
            await self._renew_and_decide(decision)
        except Exception:
            # Whatever it is, the client gets an answer; the event loop reports it.
            if not self._done:
                self.refuse(500, Reason.ERROR, "Something went wrong here.")
            raise

    async def _renew_and_decide(self, decision: Renew) -> None:
        plane = self._plane
        request = self._asked or self.request
        try:
            renewed = await plane.renew(decision.refresh_token, request)
        except RenewalUnavailable:
            self._decision = "renew:unavailable"
            self._tell(AuditKind.REFRESH_UNAVAILABLE, "store", request)
            if not self._done:
                self._refuse(store_unavailable(decision.route))
            return
        self._decision = f"renew:{renewed.outcome}"
        if renewed.access_token is None:
            self._tell(AuditKind.REFRESH_REFUSED, renewed.outcome, request)
        if not self._done:
            self._decide_again(decision, request, renewed)

    def _decide_again(self, decision: Renew, request: Request, renewed: Renewed) -> None:
        plane, token = self._plane, renewed.access_token
        self._cookies = renewed.set_cookies
        self._cookies_until = plane.monotonic() + renewed.deliver_within
        again = plane.pipeline.decide_renewed(request, decision.route, token, plane.now())
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
            if decision.reason is Reason.CROSS_SITE:
                self._tell(AuditKind.CROSS_SITE_REFUSED, None, self._asked or self.request)
        elif isinstance(decision, Forward):
            self.authenticated = decision.authenticated
            if decision.authenticated is not None:
                self._recognize(decision.authenticated)
        self.answer(status, lines + answers.EMPTY, b"")

    # Sending the request on.

    def _forward(self, decision: Forward) -> None:
        plane = self._plane
        route = self._route = decision.route
        authenticated = self.authenticated = decision.authenticated
        if authenticated is not None and not authenticated.seen:
            self._recognize(authenticated)
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
        self._head = request_head(
            self.request,
            self._lines,
            self.framing,
            decision,
            host=pool.host,
            forwarding=self._client.forwarding_lines(self.request),
            request_id=self.request_id,
            rendered=self._rendered,
        )
        pool.take(self)

    def attach(self, connection: UpstreamConnection) -> None:
        """Use *connection*: send the head and what of the body has come so far."""
        if self._done:
            connection.keeper.unneeded(connection)
            return
        self._upstream = connection
        self._upstream_started = self._plane.monotonic()
        whole = self._request_complete
        unsent = self._unsent
        connection.begin(self, self._head, whole=whole, body=unsent)
        if unsent:
            self._unsent = []
        if not whole:
            if self.expects_continue:
                self.expects_continue = False
                self._client.send_continue()
            self._client.want_body()

    def refused(self, failure: Failure, text: str) -> None:
        """The pool has no connection for us."""
        if not self._done:
            self._report_upstream(failure, text)
            self.refuse(failure.status, Reason.UPSTREAM, failure.detail)

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
            self._upstream.send(data, last=complete)
        elif not self.answered:
            self._unsent.append(data)

    def _over_limit(self) -> bool:
        """Stop a body without a declared length that outgrows what its route takes."""
        route = self._route
        if self.framing != CHUNKED or route is None:
            return False
        limit = self._plane.limits.body if route.body_limit is None else route.body_limit
        if limit is None or self._bytes_in <= limit:
            return False
        self.keep_alive = False
        if self.answered:
            # Too late to say so: the app answers while it is being asked.
            self._finish(broken=True)
        else:
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
        parts.append(self._framing_of_answer(head, framing))
        if self.wants_upgrade or not (self._request_complete or self._repeats(head.status)):
            # What is still to come would be taken for the next request.
            self.keep_alive = False
        parts.append(self._client.connection_line(keep_alive=self.keep_alive))
        if body:
            parts += (chunk(body) if self._chunked_answer else body,)
        self._client.write(b"".join(parts))
        if head.noted.get("content-type", b"")[: len(_EVENT_STREAM)].lower() == _EVENT_STREAM:
            self._remember_stream()
            self._forget_head()
            self._end_if_too_late()

    def _answer_lines(self, head: ResponseHead) -> list[bytes]:
        plane, pool = self._plane, self._pool
        return answer_lines(
            head,
            None if pool is not None and pool.internal else plane.cookies,
            self._due_cookies() if self._cookies else (),
            personal=self.authenticated is not None,
        )

    def _framing_of_answer(self, head: ResponseHead, framing: ResponseFraming) -> bytes:
        if isinstance(framing, int):
            return b"\r\nContent-Length: %d" % framing if framing else self._no_body(head)
        if self._client.speaks_chunked:
            self._chunked_answer = True
            return b"\r\nTransfer-Encoding: chunked"
        self.keep_alive = False
        return b""

    def _no_body(self, head: ResponseHead) -> bytes:
        return length_of_none(head, asked_for_head=self.expects_no_body)

    def response_body(self, data: bytes) -> None:
        """Send a part of the answer's body on."""
        self._bytes_out += len(data)
        self._client.write(chunk(data) if self._chunked_answer else data)

    def response_ended(self) -> None:
        """The answer is whole."""
        if self._chunked_answer:
            self._client.write(LAST_CHUNK)
        if self._request_complete:
            self._upstream = None
        self._finish()

    def response_upgraded(self, head: ResponseHead, data: bytes) -> None:
        """The app speaks WebSocket now: from here on both sides are bytes."""
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            return
        self.answered = True
        self._status = head.status
        self._upstream_took = self._plane.monotonic() - self._upstream_started
        self._remember_stream()
        upgraded = b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        parts = [b"HTTP/1.1 101 Switching Protocols", *self._answer_lines(head), upgraded]
        self._forget_head()
        self._tunnel = self._client.begin_tunnel(upstream, b"".join(parts), data, self._tunnel_over)
        self._end_if_too_late()

    def upstream_failed(self, failure: Failure, text: str) -> None:
        """The answer will not come, or not be whole."""
        upstream, self._upstream = self._upstream, None
        if self._done:
            return
        if failure is Failure.STALE and self.repeatable and self._pool is not None:
            # Once, and on a new connection.
            self.repeatable = False
            self._pool.take(self, upstream)
            return
        self._report_upstream(failure, text)
        if self.answered:
            # An answer that breaks off must not look whole (SECURITY H3).
            self._finish(broken=True)
        else:
            self.refuse(failure.status, Reason.UPSTREAM, failure.detail)

    def upstream_paused(self) -> None:
        self._client.pause_body()

    def upstream_resumed(self) -> None:
        self._client.want_body()

    # As the client connection sees it.

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
