"""One client connection: request heads and bodies come in, answers go out, one at a time.

What follows a request waits unread until that request is answered, and a request whose end cannot
be found is never followed by another on the same connection (SECURITY H1, H10).
"""

import asyncio
import re
from typing import Final

from gateway.pipeline import Reason
from gateway.proxy.client_half import LAST_REQUEST_SECONDS, ONE_TURN, ClientHalf, State
from gateway.proxy.deadlines import NEVER
from gateway.proxy.exchange import Exchange
from gateway.proxy.familiar import Familiar, remember
from gateway.proxy.framing import CHUNKED, ChunkedBody, LengthBody
from gateway.proxy.heads import HEAD_END
from gateway.proxy.incoming import understand
from gateway.proxy.listening import Listening
from gateway.proxy.plane import DataPlane
from gateway.request import BadRequest

_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)*")
_HEAD: Final = State.HEAD
_BODY: Final = State.BODY
_ANSWER: Final = State.ANSWER
_NEXT: Final = State.NEXT


class ClientConnection(ClientHalf):
    """Reads requests, and lets their exchanges answer them."""

    __slots__ = ("_familiar", "_familiar_to")

    def __init__(self, listening: Listening) -> None:
        super().__init__(listening)
        self._familiar: Familiar | None = None
        self._familiar_to: DataPlane | None = None

    # As the event loop sees it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connected(transport)
        listening = self._listening
        self.deadline = listening.deadlines.now + listening.plane.limits.head_timeout
        self._judged(listening.admit(self))

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is _HEAD:
            self._head_bytes(data)
        elif state is _BODY:
            self._body_bytes(data)
        elif state is _ANSWER or state is _NEXT:
            # The next request waits; when it is long, it waits in the client.
            self._buffer += data
            self._stop_reading()
        elif state is State.DRAIN and self._body is not None:
            if self._writable:
                self.deadline = self._listening.deadlines.now + self._limit_of_body()
            try:
                self._deliver(*self._body.feed(data))
            except BadRequest:
                self.abort()
        elif state is State.LINGER:
            self._drop(data)

    def eof_received(self) -> bool:
        """The client sends no more. It still gets its answer (RFC 9112 §9.6)."""
        if self._state in (_ANSWER, _NEXT) and self._transport.can_write_eof():
            self._half_closed = True
            if self._writable:
                self._look_again()
            return True
        if self._state is _HEAD and self._buffer:
            self._half_closed = True
            self._reject(BadRequest("The request ended before it was whole."), self._buffer)
            return False
        if self._state is not State.LINGER:
            self._gone()
            self._deliver_within(self._limit_of_body())
        # What was written is still delivered: the event loop closes after the last byte.
        self._state = State.CLOSED
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._gone()
        self._tunnel = None
        self.deadline = NEVER
        self._listening.forget(self)

    def resume_writing(self) -> None:
        self._writable = True
        self._unsent = 0
        if self._state is _ANSWER and self._exchange is None:
            buffer, self._buffer = self._buffer, b""
            self._next(buffer)
        elif self._state is _ANSWER or self._state is _BODY:
            self.deadline = NEVER
            if self._half_closed:
                self._look_again()
            elif self._state is _BODY and self._reading:
                self.deadline = self._listening.deadlines.now + self._limit_of_body()
        if self._exchange is not None:
            self._exchange.client_resumed()

    def expired(self) -> None:
        """A deadline has passed: say so where there is still somebody to hear it."""
        state = self._state
        if state is State.LINGER or state is State.CLOSED:
            if not self._still_delivering(self._limit_of_body()):
                self.abort()
        elif self._transport.get_write_buffer_size():
            if not self._made_progress(self._limit_of_body()):
                self.abort()
        elif state is _HEAD and self._buffer:
            self._reject(BadRequest("The request did not arrive in time.", 408), self._buffer)
        elif state is _BODY and self._exchange is not None and not self._answered():
            self._exchange.keep_alive = False
            self._exchange.refuse(408, Reason.LIMIT, "The request did not arrive in time.")
        elif self._half_closed and self._exchange is not None:
            self._look_after_half_closed(self._exchange)
        else:
            self.abort()

    # Reading requests.

    def _head_bytes(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        plane = self._listening.plane
        end = data.find(HEAD_END) + len(HEAD_END)
        if end == len(HEAD_END) or data[:1] == b"\r":
            # RFC 9112 §2.2: an empty line before a request is ignored; a bare CR or LF is none.
            data = _EMPTY_LINES.sub(b"", data, 1)
            end = data.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END):
            self._unfinished_head(data, plane)
            return
        if end > plane.limits.head:
            self._reject(BadRequest("The request's head is too long.", 431), data)
            return
        rest = b""
        if end != len(data):
            data, rest = data[:end], data[end:]
        try:
            if self._is_familiar(data, rest, plane):
                return
        except BadRequest as refusal:
            self._reject(refusal, data)
            return
        # That of the configuration in force: which headers are ours alone may change (I1).
        head = plane.head
        try:
            head.read(data)
            incoming = understand(head, plane, self.peer)
        except BadRequest as refusal:
            self.version = head.version
            self._reject(refusal, data)
            return
        self.version = head.version
        familiar = remember(data, incoming.request, incoming.framing, head.lines, head.version)
        if familiar is not None:
            plane.familiar.keep(self.peer, familiar)
        exchange = Exchange(
            plane,
            self,
            incoming.request,
            head.lines,
            framing=incoming.framing,
            keep_alive=head.keep_alive and not self._listening.draining,
            expects_continue=incoming.expects_continue,
            started=plane.monotonic(),
            request_id=incoming.request_id,
        )
        self._begin(exchange, rest)

    def _is_familiar(self, head: bytes, rest: bytes, plane: DataPlane) -> bool:
        """Begin with a request whose headers were read before. Raises BadRequest."""
        framing = 0
        if head.startswith(b"GET "):
            familiar = self._familiar
            request = None
            if familiar is not None and plane is self._familiar_to:
                request = familiar.recognize(head)
            if request is None:
                familiar = plane.familiar.find(head, self.peer)
                if familiar is None:
                    return False
                self._familiar, self._familiar_to = familiar, plane
                request = familiar.recognize(head)
        else:
            found = plane.familiar.with_body(head, self.peer)
            if found is None:
                return False
            request, framing, familiar = found
        if familiar is None or request is None:
            return False
        self.version = "1.1"
        exchange = Exchange(
            plane,
            self,
            request,
            familiar.lines,
            framing=framing,
            keep_alive=not self._listening.draining,
            expects_continue=False,
            started=plane.monotonic(),
            request_id=plane.new_request_id(),
            rendered=familiar.rendered,
        )
        self._begin(exchange, rest)
        return True

    def _unfinished_head(self, data: bytes, plane: DataPlane) -> None:
        if len(data) > plane.limits.head:
            self._reject(BadRequest("The request's head is too long.", 431), data)
        elif data.count(b"\n") != data.count(b"\r\n") or not (
            data[:1].isalpha() or data in (b"", b"\r")
        ):
            # Neither a bare LF nor such a beginning can become a request any more.
            self._reject(BadRequest("The request is not well-formed HTTP/1.1."), data)
        else:
            if not self._buffer and data:
                until = self._listening.deadlines.now + plane.limits.head_timeout
                draining = self._listening.draining
                self.deadline = until if draining else min(self.deadline, until)
            self._buffer = data

    def _begin(self, exchange: Exchange, rest: bytes) -> None:
        self._exchange = exchange
        self.deadline = NEVER
        framing = exchange.framing
        if framing == 0:
            self._state = _ANSWER
            self._buffer = rest
            exchange.start()
            return
        body = self._body = ChunkedBody() if framing == CHUNKED else LengthBody(int(framing))
        try:
            decoded, after = body.feed(rest) if rest else (b"", b"")
        except BadRequest as refusal:
            self._exchange = None
            self._reject(refusal, exchange.request.method.encode() + b" ")
            return
        if body.complete and framing != CHUNKED:
            # It came along with its head: the app gets both in one piece.
            self._state = _ANSWER
            self._buffer = after
            exchange.request_body(decoded, complete=True)
            exchange.start()
            return
        self._state = _BODY
        # Until somebody takes the body, what has not come yet waits in the client.
        self._stop_reading()
        exchange.start()
        self._deliver(decoded, after)

    def _body_bytes(self, data: bytes) -> None:
        exchange, body = self._exchange, self._body
        if exchange is None or body is None:
            return
        if self.deadline != NEVER:
            self.deadline = self._listening.deadlines.now + self._limit_of_body()
        try:
            decoded, after = body.feed(data)
        except BadRequest as refusal:
            self._bad_body(exchange, refusal)
            return
        self._deliver(decoded, after)
        if len(data) > ONE_TURN and 2 * len(decoded) < len(data):
            self._let_others_have_a_turn()

    def _deliver(self, decoded: bytes, after: bytes) -> None:
        """Hand a part of the body on; the next request, *after* it, waits for an unread answer."""
        exchange, body = self._exchange, self._body
        if body is None:
            return
        if self._state is State.DRAIN:
            if body.complete and self._writable:
                self._next(after)
            elif body.complete:
                self._state, self._buffer = _ANSWER, after
                self._stop_reading()
        elif self._state is _BODY and exchange is not None:
            if body.complete:
                self._state = _ANSWER
                self._buffer = after
                self.deadline = NEVER
                self._go_on_reading()
            exchange.request_body(decoded, complete=body.complete)

    def _bad_body(self, exchange: Exchange, refusal: BadRequest) -> None:
        exchange.keep_alive = False
        if self._answered():
            self.abort()
        else:
            exchange.abandon()
            exchange.refuse(refusal.status, Reason.MALFORMED, refusal.detail)

    def _forget_requests(self) -> None:
        super()._forget_requests()
        self._familiar = self._familiar_to = None

    # Between requests.

    def _next(self, rest: bytes) -> None:
        self._body = None
        listening = self._listening
        seconds = listening.plane.limits.idle_timeout
        if listening.draining:
            # The client was not told that this answer is the last.
            seconds = LAST_REQUEST_SECONDS
        self.deadline = listening.deadlines.now + seconds
        if rest:
            # Not from within the answer before: a pipeline of thousands would be a deep stack.
            self._state, self._buffer = _NEXT, rest
            asyncio.get_running_loop().call_soon(self._resume)
        else:
            self._state = _HEAD
            self._go_on_reading()

    def _resume(self) -> None:
        if self._state is not _NEXT:
            return
        self._state = _HEAD
        rest, self._buffer = self._buffer, b""
        try:
            self._head_bytes(rest)
        except Exception:
            # The event loop reports it; nothing else would end this connection.
            self.abort()
            raise
        if self._state is not _HEAD:
            return
        if self._half_closed and self._buffer:
            self._reject(BadRequest("The request ended before it was whole."), self._buffer)
        elif self._half_closed:
            self._linger()
        else:
            self._go_on_reading()

    def _reject(self, refusal: BadRequest, begun: bytes) -> None:
        """Answer what is no request, and close: where the next one begins is unknown."""
        self._say(refusal.status, refusal.detail, Reason.MALFORMED, begun)
