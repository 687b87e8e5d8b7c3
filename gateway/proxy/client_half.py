"""The client half of an exchange: what an exchange may ask of the connection that its client is on.

One request at a time has the connection; what follows it waits until its answer is read.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from gateway.observability.access_log import FinishedRequest
from gateway.pipeline import Reason
from gateway.proxy import answers
from gateway.proxy.client_side import Ended
from gateway.proxy.client_wire import ClientWire
from gateway.proxy.deadlines import NEVER
from gateway.proxy.exchange import Exchange
from gateway.proxy.forwarding import forwarding_lines
from gateway.proxy.framing import ChunkedBody, LengthBody
from gateway.proxy.listening import Admission, Listening
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream import UpstreamConnection
from gateway.request import Authority, Request

# A half-closed client that waits long is probed at every fifth look, eight times at most.
_LOOKS_PER_PROBE: Final = 5
_MOST_LOOKS_WITH_PROBE: Final = 40
_REPLY_SECONDS: Final = 0.5
# So much of a body that is mostly framing is work enough for one turn of the event loop.
ONE_TURN: Final = 8192
# A refused request's body is read and dropped up to here, so that the connection can go on.
DRAIN_BYTES: Final = 64 * 1024
_TOO_MANY: Final = (503, "Too many connections.")
_TOO_MANY_OF_ADDRESS: Final = (429, "Too many connections from this address.")
# Of what is no request, so much at most is called its method in the log.
_LONGEST_METHOD: Final = 20

# At the end, a client that was not told so may have sent one more request already.
LAST_REQUEST_SECONDS: Final = 0.5


class State(Enum):
    HEAD = auto()  # a request may begin
    BODY = auto()  # the request's body is being read
    ANSWER = auto()  # the request is whole, its answer is not, or not read yet
    NEXT = auto()  # answered; the next request has begun to come and is about to be read
    DRAIN = auto()  # answered; the rest of the body is dropped
    TUNNEL = auto()
    LINGER = auto()  # answered and closing; what still comes is dropped
    CLOSED = auto()


_BODY: Final = State.BODY
_CLOSED: Final = State.CLOSED


class ClientHalf(ClientWire):
    """The client half of its exchanges."""

    __slots__ = (
        *("version", "_body", "_buffer", "_exchange", "_forwarding", "_forwarding_client"),
        *("_forwarding_for", "_forwarding_scheme", "_forwarding_version", "_state", "_tunnel"),
    )

    def __init__(self, listening: Listening) -> None:
        super().__init__(listening)
        self.version = "1.1"
        self._state = State.HEAD
        self._buffer = b""
        self._body: LengthBody | ChunkedBody | None = None
        self._exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._forwarding = b""
        self._forwarding_for: Authority | None = None
        self._forwarding_client = ""
        self._forwarding_scheme = ""
        self._forwarding_version = ""

    @property
    def speaks_chunked(self) -> bool:
        return self.version == "1.1"

    def forwarding_lines(self, request: Request) -> bytes:
        if (
            request.authority is not self._forwarding_for
            or request.client != self._forwarding_client
            or request.scheme != self._forwarding_scheme
            or self.version != self._forwarding_version
        ):
            self._forwarding_for = request.authority
            self._forwarding_client = request.client
            self._forwarding_scheme = request.scheme
            self._forwarding_version = self.version
            self._forwarding = forwarding_lines(
                request, self.peer, self._listening.plane.via, self.version
            )
        return self._forwarding

    def connection_line(self, *, keep_alive: bool) -> bytes:
        if not keep_alive:
            return answers.CLOSES
        return b"\r\n\r\n" if self.version == "1.1" else b"\r\nConnection: keep-alive\r\n\r\n"

    def send_continue(self) -> None:
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def want_body(self) -> None:
        if self._state is _BODY:
            if self._writable:
                self.deadline = self._listening.deadlines.now + self._limit_of_body()
            self._go_on_reading()

    def pause_body(self) -> None:
        if self._state is _BODY:
            if self._writable:
                self.deadline = NEVER
            self._stop_reading()

    def drains(self, *, however_much: bool = False) -> bool:
        exchange, body = self._exchange, self._body
        return (
            isinstance(body, LengthBody)
            and (however_much or body.remaining <= DRAIN_BYTES)
            and exchange is not None
            and not exchange.expects_continue
        )

    def _let_others_have_a_turn(self) -> None:
        """Read on in a moment: tiny chunks are much work, and uvloop reads while there is more."""
        if self._reading and self._state is _BODY:
            self._stop_reading()
            asyncio.get_running_loop().call_soon(self._take_a_turn)

    def _take_a_turn(self) -> None:
        if self._state is _BODY:
            self._go_on_reading()

    def begin_tunnel(
        self,
        upstream: UpstreamConnection,
        head: bytes,
        data: bytes,
        over: Callable[[int, int], None],
    ) -> Tunnel:
        self._state = State.TUNNEL
        self._exchange = None
        self.deadline = NEVER
        early, self._buffer = self._buffer, b""
        self._forget_requests()
        self._go_on_reading()
        tunnel = self._tunnel = Tunnel(
            (self._transport, self),
            (upstream.transport, upstream),
            deadlines=self._listening.deadlines,
            patience=self._limit_of_body(),
            over=over,
        )
        tunnel.begin(head, data, early)
        if self._half_closed:
            tunnel.client_ended()
        return tunnel

    def finished(self, exchange: Ended, *, broken: bool) -> None:
        self._exchange = None
        if self._writable:
            self.deadline = NEVER
        if self._state is _CLOSED:
            return
        if broken:
            self._forbid_linger()
            self.abort()
        elif not exchange.keep_alive or (self._half_closed and not self._buffer):
            self._linger()
        elif self._state is _BODY:
            self._state = State.DRAIN
            self.deadline = self._listening.deadlines.now + self._limit_of_body()
            self._go_on_reading()
        elif self._writable:
            buffer, self._buffer = self._buffer, b""
            self._next(buffer)

    def pause_writing(self) -> None:
        self._writable = False
        self._expect_progress(self._limit_of_body())
        if self._exchange is not None:
            self._exchange.client_paused()

    def _look_after_half_closed(self, exchange: Exchange) -> None:
        """See whether a client that sends no more is still there, and let it wait on if it is.

        One that is gone answers to what is sent with a reset; so something is sent now and then.
        """
        if self._hung_up():
            self.abort()
            return
        self._look_again()
        if self._looks % _LOOKS_PER_PROBE == 0 and self._looks < _MOST_LOOKS_WITH_PROBE:
            self._transport.write(exchange.probe())
            self.deadline = min(self.deadline, self._listening.deadlines.now + _REPLY_SECONDS)
        self._looks += 1

    # As the listener sees it.

    @property
    def idle(self) -> bool:
        return self._state is State.HEAD and not self._buffer

    @property
    def is_tunnel(self) -> bool:
        return self._tunnel is not None

    def drain(self) -> None:
        """Finish what is under way and close."""
        if self._tunnel is not None:
            self._tunnel.drain()
        elif self.idle:
            until = self._listening.deadlines.now + LAST_REQUEST_SECONDS
            self.deadline = min(self.deadline, until)
        elif self._exchange is not None and not self._exchange.answered:
            self._exchange.keep_alive = False

    # Ending.

    def _forget_requests(self) -> None:
        """Keep nothing that only the next request would need: there is none after a tunnel."""
        self._forwarding = b""
        self._forwarding_for = None

    @abstractmethod
    def _next(self, rest: bytes) -> None:
        """Go on with the next request, of which *rest* has come already."""

    def _judged(self, admission: Admission) -> None:
        """Stay, or go and be told: with a moment to read it, as long as there is room for that."""
        match admission:
            case Admission.TURNED_AWAY:
                self._say(*_TOO_MANY, Reason.LIMIT)
            case Admission.ONE_TOO_MANY:
                self._say(*_TOO_MANY_OF_ADDRESS, Reason.LIMIT)
            case Admission.DROPPED:
                self._say_in_passing(*_TOO_MANY)
            case Admission.ONE_DROPPED:
                self._say_in_passing(*_TOO_MANY_OF_ADDRESS)
            case Admission.ADMITTED:
                pass

    def _say_in_passing(self, status: int, detail: str) -> None:
        """Answer and close, without a look at whether it is read, and without a line in the log."""
        self._transport.write(b"".join(self._refusal(status, detail, Reason.LIMIT)))
        self._gone()
        self._transport.close()

    def _say(self, status: int, detail: str, reason: Reason, begun: bytes = b"") -> None:
        """Answer where there is no request to be answered, only what has *begun*, and close."""
        method = begun[:_LONGEST_METHOD].partition(b" ")[0].decode("latin-1")
        head, body = self._refusal(status, detail, reason)
        if method == "HEAD":
            # Not even then: what follows the head would be taken for another answer.
            self._transport.write(head)
        else:
            self._transport.write(head + body)
        self._listening.plane.observer.request_finished(
            FinishedRequest(
                *(self.peer, method, "", self.version, None, None, None, f"refuse:{reason}", None),
                *("", status, 0, len(body), 0.0, None, ""),
            )
        )
        self._linger()

    def _refusal(self, status: int, detail: str, reason: Reason) -> tuple[bytes, bytes]:
        extra = ("Retry-After: 1",) if status in {429, 503} else ()
        return answers.last(status, detail, code=reason, extra=extra)

    def close(self) -> None:
        self._state = State.CLOSED
        self._transport.close()
        self._deliver_within(self._limit_of_body())

    def abort(self) -> None:
        if self._answered():
            # An answer that breaks off must not look whole (SECURITY H3).
            self._forbid_linger()
        self._gone()
        self._state = State.CLOSED
        if self._tunnel is not None:
            self._tunnel.abort()
        else:
            self._transport.abort()

    def _linger(self) -> None:
        """Close so that the client can read its answer."""
        self._buffer = b""
        lingers = self._close_when_sent(self._limit_of_body())
        self._state = State.LINGER if lingers else State.CLOSED

    def _gone(self) -> None:
        exchange, self._exchange = self._exchange, None
        self._state = State.CLOSED
        if exchange is not None:
            exchange.client_lost()

    def _answered(self) -> bool:
        return self._exchange is not None and self._exchange.answered

    def _limit_of_body(self) -> float:
        exchange = self._exchange
        return (
            self._listening.plane.limits.body_timeout if exchange is None else exchange.body_timeout
        )
