"""One client connection: request heads and bodies come in, answers go out, one at a time.

What follows a request waits unread until that request is answered, and a request whose end cannot
be found is never followed by another on the same connection (SECURITY H1, H10).
"""

import asyncio
import socket
import struct
from enum import Enum, auto
from ipaddress import ip_address
from typing import Final

from gateway.pipeline import Reason
from gateway.proxy import answers
from gateway.proxy.client_side import Ended
from gateway.proxy.deadlines import NEVER
from gateway.proxy.exchange import Exchange
from gateway.proxy.familiar import Familiar, remember
from gateway.proxy.framing import CHUNKED, ChunkedBody, LengthBody
from gateway.proxy.heads import HEAD_END, RequestHead
from gateway.proxy.incoming import Incoming, understand
from gateway.proxy.listening import Listening
from gateway.proxy.plane import DataPlane
from gateway.request import Authority, BadRequest, Request

WRITE_HIGH: Final = 128 * 1024
# A refused request's body is read and dropped up to here, so that the connection can go on.
DRAIN_BYTES: Final = 64 * 1024
# A client that has closed its sending half may still be reading; one that is gone looks the same.
HALF_CLOSED_SECONDS: Final = 3.0
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1024 * 1024

# on, 0 seconds: closing sends a reset.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class _State(Enum):
    HEAD = auto()  # a request may begin
    BODY = auto()  # the request's body is being read
    ANSWER = auto()  # the request is whole, its answer is not
    DRAIN = auto()  # answered; the rest of the body is dropped
    TUNNEL = auto()
    LINGER = auto()  # answered and closing; what still comes is dropped
    CLOSED = auto()


_HEAD: Final = _State.HEAD
_BODY: Final = _State.BODY
_ANSWER: Final = _State.ANSWER


class ClientConnection(asyncio.Protocol):
    """The client half of its exchanges."""

    __slots__ = (
        *("deadline", "peer", "version"),
        *("_body", "_buffer", "_exchange", "_forwarding", "_forwarding_for", "_half_closed"),
        *("_familiar", "_familiar_to", "_forwarding_client", "_forwarding_scheme"),
        *("_head", "_listening", "_lingered", "_reading", "_state", "_transport", "_writable"),
    )
    _transport: asyncio.Transport

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self.deadline = NEVER
        self.peer = ""
        self.version = "1.1"
        plane = listening.plane
        self._head = RequestHead(plane.request_fields, plane.limits.headers)
        self._state = _State.HEAD
        self._buffer = b""
        self._body: LengthBody | ChunkedBody | None = None
        self._exchange: Exchange | None = None
        self._reading = True
        self._writable = True
        self._half_closed = False
        self._lingered = 0
        self._forwarding = b""
        self._forwarding_for: Authority | None = None
        self._forwarding_client = ""
        self._forwarding_scheme = ""
        self._familiar: Familiar | None = None
        self._familiar_to: DataPlane | None = None

    # As the event loop sees it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream protocol has no other
        self.peer = _address(transport.get_extra_info("peername"))
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        listening = self._listening
        self.deadline = listening.deadlines.now + listening.plane.limits.head_timeout
        if not listening.admit(self):
            self._turn_away()

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is _HEAD:
            self._head_bytes(data)
        elif state is _BODY:
            self._body_bytes(data)
        elif state is _ANSWER:
            # The next request waits; when it is long, it waits in the client.
            self._buffer += data
            self._stop_reading()
        else:
            self._late_bytes(data)

    def eof_received(self) -> bool:
        """The client sends no more. It still gets its answer (RFC 9112 §9.6)."""
        if self._state is _ANSWER and self._exchange is not None:
            self._half_closed = True
            self.deadline = self._listening.deadlines.now + HALF_CLOSED_SECONDS
            return self._transport.get_extra_info("sslcontext") is None
        if self._state is _HEAD and self._buffer:
            self._reject(BadRequest("The request ended before it was whole."))
            return self._transport.can_write_eof()
        self._gone()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._gone()
        self.deadline = NEVER
        self._listening.forget(self)

    def pause_writing(self) -> None:
        self._writable = False
        if self._exchange is not None:
            if self._state is not _State.TUNNEL:
                self.deadline = self._listening.deadlines.now + self._limit_of_body()
            self._exchange.client_paused()

    def resume_writing(self) -> None:
        self._writable = True
        if self._exchange is not None:
            self.deadline = NEVER
            self._exchange.client_resumed()

    def expired(self) -> None:
        """A deadline has passed: say so where there is still somebody to hear it."""
        if self._state is _HEAD and self._buffer:
            self._reject(BadRequest("The request did not arrive in time.", 408))
        elif self._state is _BODY and self._exchange is not None and not self._answered():
            self._exchange.keep_alive = False
            self._exchange.refuse(408, Reason.LIMIT, "The request did not arrive in time.")
        else:
            self.abort()

    # As the listener sees it.

    @property
    def idle(self) -> bool:
        return self._state is _HEAD and not self._buffer

    def drain(self) -> None:
        """Finish what is under way and close."""
        if self.idle:
            self.close()
        elif self._exchange is not None:
            self._exchange.keep_alive = False

    def close(self) -> None:
        self._state = _State.CLOSED
        self._transport.close()

    def abort(self) -> None:
        self._gone()
        self._state = _State.CLOSED
        self._transport.abort()

    # Reading requests.

    def _head_bytes(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        plane = self._listening.plane
        end = data.find(HEAD_END) + len(HEAD_END)
        if end == len(HEAD_END) or data[:1] == b"\r":
            # RFC 9112 §2.2: an empty line before a request is ignored.
            data = data.lstrip(b"\r\n") if data[:2] == b"\r\n" else data
            end = data.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END):
            self._unfinished_head(data, plane)
            return
        if end > plane.limits.head:
            self._reject(BadRequest("The request's head is too long.", 431))
            return
        rest = b""
        if end != len(data):
            data, rest = data[:end], data[end:]
        try:
            familiar = self._familiar
            if familiar is not None and plane is self._familiar_to:
                request = familiar.recognize(data)
                if request is not None:
                    self._begin_familiar(request, familiar, rest, plane)
                    return
            self._head.read(data)
            incoming = understand(self._head, plane, self.peer)
        except BadRequest as refusal:
            self.version = self._head.version
            self._reject(refusal)
            return
        self._familiar = remember(data, incoming, self._head.lines, self._head.version)
        self._familiar_to = plane
        self._begin(incoming, rest, plane)

    def _begin_familiar(
        self, request: Request, familiar: Familiar, rest: bytes, plane: DataPlane
    ) -> None:
        self.deadline = NEVER
        self._state = _ANSWER
        self._buffer = rest
        exchange = self._exchange = Exchange(
            plane,
            self,
            request,
            familiar.lines,
            framing=0,
            keep_alive=not self._listening.draining,
            expects_continue=False,
            started=plane.monotonic(),
            request_id=plane.new_request_id(),
        )
        exchange.start()

    def _unfinished_head(self, data: bytes, plane: DataPlane) -> None:
        if len(data) > plane.limits.head:
            self._reject(BadRequest("The request's head is too long.", 431))
        elif data.count(b"\n") != data.count(b"\r\n") or not (
            data[:1].isalpha() or data in (b"", b"\r")
        ):
            # Neither a bare LF nor such a beginning can become a request any more.
            self._reject(BadRequest("The request is not well-formed HTTP/1.1."))
        else:
            if not self._buffer and data:
                limits = plane.limits
                self.deadline = min(
                    self.deadline, self._listening.deadlines.now + limits.head_timeout
                )
            self._buffer = data

    def _begin(self, incoming: Incoming, rest: bytes, plane: DataPlane) -> None:
        self.version = self._head.version
        self.deadline = NEVER
        framing = incoming.framing
        exchange = self._exchange = Exchange(
            plane,
            self,
            incoming.request,
            self._head.lines,
            framing=framing,
            keep_alive=self._head.keep_alive and not self._listening.draining,
            expects_continue=incoming.expects_continue,
            started=plane.monotonic(),
            request_id=incoming.request_id,
        )
        if framing == 0:
            self._state = _ANSWER
            self._buffer = rest
            exchange.start()
            return
        self._head.forget_body()
        body = self._body = ChunkedBody() if framing == CHUNKED else LengthBody(int(framing))
        try:
            decoded, after = body.feed(rest) if rest else (b"", b"")
        except BadRequest as refusal:
            self._exchange = None
            self._reject(refusal)
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

    def _deliver(self, decoded: bytes, after: bytes) -> None:
        """Hand a part of the body on; *after* it, the next request may have begun."""
        exchange, body = self._exchange, self._body
        if body is None:
            return
        if self._state is _State.DRAIN:
            if body.complete:
                self._next(after)
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

    def _late_bytes(self, data: bytes) -> None:
        match self._state:
            case _State.TUNNEL if self._exchange is not None:
                self._exchange.tunnel_bytes(data)
            case _State.DRAIN:
                self._drop_body(data)
            case _State.LINGER:
                self._lingered += len(data)
                if self._lingered > LINGER_BYTES:
                    self.abort()
            case _:
                pass

    def _drop_body(self, data: bytes) -> None:
        if self._body is None:
            return
        try:
            self._deliver(*self._body.feed(data))
        except BadRequest:
            self.abort()

    def _answered(self) -> bool:
        return self._exchange is not None and self._exchange.answered

    def _limit_of_body(self) -> float:
        exchange = self._exchange
        return (
            self._listening.plane.limits.body_timeout if exchange is None else exchange.body_timeout
        )

    # As an exchange sees it.

    @property
    def speaks_chunked(self) -> bool:
        return self.version == "1.1"

    def forwarding_lines(self, request: Request) -> bytes:
        if (
            request.authority is not self._forwarding_for
            or request.client != self._forwarding_client
            or request.scheme != self._forwarding_scheme
        ):
            self._forwarding_for = request.authority
            self._forwarding_client = request.client
            self._forwarding_scheme = request.scheme
            self._forwarding = _forwarding(request, self.peer, self._listening.plane)
        return self._forwarding

    def connection_line(self, *, keep_alive: bool) -> bytes:
        if not keep_alive:
            return b"\r\nConnection: close\r\n\r\n"
        return b"\r\n\r\n" if self.version == "1.1" else b"\r\nConnection: keep-alive\r\n\r\n"

    def write(self, data: bytes) -> None:
        if self._half_closed:
            self.deadline = self._listening.deadlines.now + HALF_CLOSED_SECONDS
        self._transport.write(data)

    def send_continue(self) -> None:
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def want_body(self) -> None:
        if self._state is _BODY or self._state is _State.TUNNEL:
            if self._state is _BODY:
                self.deadline = self._listening.deadlines.now + self._limit_of_body()
            self._go_on_reading()

    def pause_body(self) -> None:
        if self._state is _BODY:
            self.deadline = NEVER
        if self._state is _BODY or self._state is _State.TUNNEL:
            self._stop_reading()

    def drains(self) -> bool:
        exchange, body = self._exchange, self._body
        return (
            isinstance(body, LengthBody)
            and body.remaining <= DRAIN_BYTES
            and exchange is not None
            and not exchange.expects_continue
        )

    def begin_tunnel(self) -> None:
        self._state = _State.TUNNEL
        self.deadline = NEVER
        early, self._buffer = self._buffer, b""
        if early and self._exchange is not None:
            self._exchange.tunnel_bytes(early)
        self._go_on_reading()

    def finished(self, exchange: Ended, *, broken: bool) -> None:
        self._exchange = None
        self.deadline = NEVER
        if self._state is _State.CLOSED:
            return
        if broken:
            self._reset()
        elif not exchange.keep_alive or self._half_closed:
            self._linger()
        elif self._state is _BODY:
            self._state = _State.DRAIN
            self.deadline = self._listening.deadlines.now + self._limit_of_body()
            self._go_on_reading()
        else:
            buffer, self._buffer = self._buffer, b""
            self._next(buffer)

    # Between requests.

    def _next(self, rest: bytes) -> None:
        self._state = _HEAD
        self._body = None
        listening = self._listening
        if listening.draining:
            self.close()
            return
        self.deadline = listening.deadlines.now + listening.plane.limits.idle_timeout
        if rest:
            # Not from within the answer before: a pipeline of thousands would be a deep stack.
            asyncio.get_running_loop().call_soon(self._resume_with, rest)
        else:
            self._go_on_reading()

    def _resume_with(self, rest: bytes) -> None:
        if self._state is _HEAD:
            self._head_bytes(rest)
            if self.idle or self._buffer:
                self._go_on_reading()
        elif self._state is not _State.CLOSED:
            self._buffer = rest + self._buffer

    def _reject(self, refusal: BadRequest) -> None:
        """Answer what is no request, and close: where the next one begins is unknown."""
        plane = self._listening.plane
        lines, body = answers.problem(refusal.status, refusal.detail, code=Reason.MALFORMED)
        head = answers.status_line(refusal.status) + lines + self.connection_line(keep_alive=False)
        self._transport.write(head + body)
        plane.observer.request_finished(
            self.peer,
            self._head.method,
            "",
            "",
            self.version,
            refusal.status,
            0,
            len(body),
            0.0,
            None,
            None,
            None,
            None,
            f"refuse:{Reason.MALFORMED}",
            "",
            None,
        )
        self._linger()

    def _turn_away(self) -> None:
        """Too many connections: say so in one write, and close."""
        lines, body = answers.problem(
            503, "Too many connections.", code=Reason.LIMIT, extra=("Retry-After: 1",)
        )
        head = answers.status_line(503) + lines + self.connection_line(keep_alive=False)
        self._transport.write(head + body)
        self._linger()

    def _linger(self) -> None:
        """Close so that the client can read its answer: our half first, the rest a little later.

        A connection closed with bytes unread is reset, and the reset may overtake the answer
        (RFC 9112 §9.6).
        """
        self._buffer = b""
        if self._half_closed or not self._transport.can_write_eof():
            self.close()
            return
        self._state = _State.LINGER
        self.deadline = self._listening.deadlines.now + LINGER_SECONDS
        self._transport.write_eof()
        self._go_on_reading()

    def _reset(self) -> None:
        """Close so that the client cannot take what it got for a whole answer."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.abort()

    def _gone(self) -> None:
        exchange, self._exchange = self._exchange, None
        self._state = _State.CLOSED
        if exchange is not None:
            exchange.client_lost()

    def _stop_reading(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()


def _address(peername: object) -> str:
    """Return the peer's address; an IPv4 address in IPv6 clothes as IPv4 (SECURITY I4)."""
    if not isinstance(peername, tuple):
        return "unix"
    address = ip_address(str(peername[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _forwarding(request: Request, peer: str, plane: DataPlane) -> bytes:
    """Render the X-Forwarded family as one set (SECURITY I5), and Via (RFC 9110 §7.6.3)."""
    chain = request.client if request.client == peer else f"{request.client}, {peer}"
    port = request.authority.port or (443 if request.scheme == "https" else 80)
    return (
        f"\r\nX-Forwarded-For: {chain}"
        f"\r\nX-Forwarded-Proto: {request.scheme}"
        f"\r\nX-Forwarded-Host: {request.authority}"
        f"\r\nX-Forwarded-Port: {port}"
        f"\r\nX-Real-IP: {request.client}"
        f"\r\nVia: 1.1 "
    ).encode("latin-1") + plane.via
