"""One connection to an upstream: it carries one exchange at a time, and is kept for the next.

A connection goes back to the pool only after an answer that ended exactly where it said it would;
anything else closes it (SECURITY H3, H19).
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.proxy.answer_framing import (
    UNTIL_CLOSE,
    ResponseFraming,
    announced_end,
    announces_body,
    response_framing,
)
from gateway.proxy.deadlines import NEVER, Deadlines
from gateway.proxy.failure import Failure
from gateway.proxy.framing import CHUNKED, ChunkedBody, LengthBody
from gateway.proxy.heads import HEAD_END, BadResponse, ResponseHead, is_no_answer
from gateway.proxy.unread import deliver_unread
from gateway.proxy.upstream_side import Exchange
from gateway.request import BadRequest

# A head, and all interim answers before it together, may not be longer.
MAX_RESPONSE_HEAD: Final = 256 * 1024
WRITE_HIGH: Final = 128 * 1024
_SWITCHING: Final = 101


class Keeper(Protocol):
    """Where connections come from and go back to."""

    deadlines: Deadlines

    def released(self, connection: "UpstreamConnection") -> None:
        """The connection has done its work and may be used again."""

    def unneeded(self, connection: "UpstreamConnection") -> None:
        """Whoever the connection was for is gone: it may be used, and has proven nothing."""

    def answered(self, connection: "UpstreamConnection") -> None:
        """The connection has done its work, and closes."""

    def detached(self, connection: "UpstreamConnection") -> None:
        """The connection became a tunnel and serves no other exchange any more."""

    def failed(self, connection: "UpstreamConnection") -> None:
        """The upstream behind the connection misbehaved."""

    def lost(self, connection: "UpstreamConnection") -> None:
        """The connection is closed."""


class UpstreamConnection(asyncio.Protocol):
    """The upstream half of an exchange."""

    __slots__ = (
        *("deadline", "exchange", "idle_since", "keep_until", "keeper", "origin", "served"),
        *("_answering", "_body", "_buffer", "_closing", "_head", "_keep_alive", "_until_close"),
        *("_full", "_held", "_interim", "_whole", "transport"),
    )
    transport: asyncio.Transport

    def __init__(self, keeper: Keeper, head: ResponseHead) -> None:
        self.keeper = keeper
        # Where it leads; what that is, its keeper knows.
        self.origin: object = None
        self.deadline = NEVER
        self.exchange: Exchange | None = None
        self.served = 0
        self.idle_since = 0.0
        self.keep_until = NEVER
        self._head = head
        self._buffer = b""
        self._body: LengthBody | ChunkedBody | None = None
        self._answering = False
        self._keep_alive = False
        self._until_close = False
        self._held = False
        self._full = False
        self._interim = 0
        self._whole = False
        self._closing = False

    @property
    def usable(self) -> bool:
        return not self._closing and not self.transport.is_closing()

    def begin(
        self, exchange: Exchange, head: bytes, *, whole: bool, body: Sequence[bytes] = ()
    ) -> None:
        """Send *head* and *body* for *exchange*; *whole*: no more of the body will follow."""
        self.exchange = exchange
        self._whole = whole
        # The answer's time begins when the whole request is there: a slow client is not our fault.
        self.deadline = self.keeper.deadlines.now + exchange.head_timeout if whole else NEVER
        if body:
            self.transport.writelines((head, *body))
        else:
            self.transport.write(head)

    def send(self, data: bytes, *, last: bool) -> None:
        """Send a part of the request's body."""
        self._whole = last
        exchange = self.exchange
        if exchange is not None and (last or self._answering) and not self._held:
            # An app that answers meanwhile may have nothing to say before it has read more.
            seconds = exchange.body_timeout if self._answering else exchange.head_timeout
            self.deadline = self.keeper.deadlines.now + seconds
        self.transport.write(data)

    def hold(self) -> None:
        """Read no more for now: whoever asked cannot take it so fast."""
        if self.usable and not self._held:
            self._held = True
            self.transport.pause_reading()
            self.deadline = NEVER

    def go_on(self) -> None:
        """Read again."""
        if self.usable and self._held:
            self._held = False
            self.transport.resume_reading()
            if self.exchange is not None:
                self.deadline = self.keeper.deadlines.now + self.exchange.body_timeout

    def abort(self) -> None:
        """Close at once; the exchange, if any, hears nothing more."""
        self.exchange = None
        self._close()

    # As the event loop sees it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream protocol has no other
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)
        self.keeper.deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            # Nobody asked: whatever this is, it must not become somebody's answer.
            self._close()
        elif not self._answering:
            self._read_head(exchange, data)
        else:
            self.deadline = self.keeper.deadlines.now + exchange.body_timeout
            self._read_body(exchange, data)

    def eof_received(self) -> bool | None:
        exchange = self.exchange
        if exchange is not None and self._until_close and announced_end(self.transport):
            self._ended(exchange, b"")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if exc is not None and self.exchange is not None and not (self._whole or self._held):
            deliver_unread(self.transport, self.data_received)
        self.deadline = NEVER
        self.keeper.deadlines.forget(self)
        exchange, self.exchange = self.exchange, None
        failure = self._how_it_was_lost()
        if exchange is not None and failure is not Failure.STALE:
            self.keeper.failed(self)
        self.keeper.lost(self)
        if exchange is not None:
            exchange.upstream_failed(failure, str(exc or "closed by the upstream"))

    def _how_it_was_lost(self) -> Failure:
        if self._answering or self._buffer or self._interim:
            return Failure.CUT_OFF
        # Kept without having served: whoever it was opened for had left meanwhile.
        return Failure.STALE if self.served or self.idle_since else Failure.CLOSED

    def pause_writing(self) -> None:
        self._full = True
        exchange = self.exchange
        if exchange is not None:
            if not self._held:
                self.deadline = self.keeper.deadlines.now + exchange.body_timeout
            exchange.upstream_paused()

    def resume_writing(self) -> None:
        self._full = False
        exchange = self.exchange
        if exchange is not None:
            if not self._answering:
                now = self.keeper.deadlines.now
                self.deadline = now + exchange.head_timeout if self._whole else NEVER
            exchange.upstream_resumed()

    def expired(self) -> None:
        exchange = self.exchange
        if exchange is not None:
            self._broken(exchange, Failure.TIMEOUT, "nothing came in time")
        else:
            self._close()

    # Reading the answer.

    def _read_head(self, exchange: Exchange, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        head = self._head
        while True:
            if self._interim:
                # Some send an empty line too many behind `100 Continue`.
                data = data.lstrip(b"\r\n")
            end = data.find(HEAD_END) + len(HEAD_END)
            whole = end >= len(HEAD_END)
            if self._interim + (end if whole else len(data)) > MAX_RESPONSE_HEAD:
                self._broken(exchange, Failure.MALFORMED, "the head of the answer is too long")
                return
            if not whole:
                if is_no_answer(data):
                    # Another protocol waits for us to speak; nothing more would come.
                    self._broken(exchange, Failure.MALFORMED, "it does not begin as an answer")
                    return
                self._buffer = data
                return
            try:
                head.read(data[:end])
                framing = response_framing(head, asked_for_head=exchange.expects_no_body)
            except BadResponse as error:
                self._broken(exchange, Failure.MALFORMED, str(error))
                return
            data = data[end:]
            if head.status >= 200:
                self._interim = 0
                self._start_body(exchange, framing, data)
                return
            if head.status == _SWITCHING:
                self._switch(exchange, data)
                return
            self._interim += end

    def _switch(self, exchange: Exchange, rest: bytes) -> None:
        asked = exchange.wants_upgrade
        if not asked or self._head.noted.get("upgrade", b"").lower() != b"websocket":
            self._broken(exchange, Failure.MALFORMED, "it switched protocols unasked")
            return
        self.exchange = None
        self.deadline = NEVER
        self.keeper.deadlines.forget(self)
        self.keeper.detached(self)
        exchange.response_upgraded(self._head, rest)

    def _start_body(self, exchange: Exchange, framing: ResponseFraming, rest: bytes) -> None:
        head = self._head
        self._answering = True
        self._keep_alive = head.keep_alive and framing != UNTIL_CLOSE
        self.deadline = self.keeper.deadlines.now + exchange.body_timeout
        if framing == UNTIL_CLOSE:
            self._until_close = True
            exchange.response_started(head, framing, rest)
            return
        if framing == 0 and announces_body(head):
            # To HEAD that is its right; but who is mistaken there sends it a moment later.
            self._keep_alive = False
        if framing in (len(rest), 0):
            # The usual answer is whole already: one write, and no body to follow. What follows an
            # answer without a body is no part of it (RFC 9112 §6.3).
            body, after = (rest, b"") if framing else (b"", rest)
            exchange.response_started(head, framing, body)
            if self.exchange is exchange:
                self._ended(exchange, after)
            return
        self._body = ChunkedBody() if framing == CHUNKED else LengthBody(int(framing))
        try:
            body, after = self._body.feed(rest) if rest else (b"", b"")
        except BadRequest as error:
            self._broken(exchange, Failure.MALFORMED, error.detail)
            return
        exchange.response_started(head, framing, body)
        if self._body.complete and self.exchange is exchange:
            self._ended(exchange, after)

    def _read_body(self, exchange: Exchange, data: bytes) -> None:
        body = self._body
        if body is None:
            if self._until_close:
                exchange.response_body(data)
            else:
                self._close()
            return
        try:
            decoded, after = body.feed(data)
        except BadRequest as error:
            self._broken(exchange, Failure.MALFORMED, error.detail)
            return
        if decoded:
            exchange.response_body(decoded)
        if body.complete and self.exchange is exchange:
            self._ended(exchange, after)

    def _ended(self, exchange: Exchange, after: bytes) -> None:
        self.exchange = None
        self.deadline = NEVER
        self.served += 1
        self._answering = False
        self._body = None
        # What was answered unread is still to be read, before anything else that is sent.
        reusable = self._keep_alive and not after and not self._full
        if self._held:
            self._held = False
            self.transport.resume_reading()
        exchange.response_ended()
        # The exchange closes the connection when its own request was not sent to the end.
        if reusable and not self._closing:
            self.keeper.released(self)
        else:
            self.keeper.answered(self)
            self._close()

    def _broken(self, exchange: Exchange, failure: Failure, text: str) -> None:
        self.exchange = None
        self.keeper.failed(self)
        self._close()
        exchange.upstream_failed(failure, text)

    def _close(self) -> None:
        self._closing = True
        self.deadline = NEVER
        self.transport.abort()
