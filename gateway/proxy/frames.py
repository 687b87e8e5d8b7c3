"""Follows the frames of a WebSocket just closely enough to know where one ends (RFC 6455 §5.2).

So that the gateway can say goodbye between two frames of the app, and never inside of one.
"""

from typing import Final

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008

_LONGEST_HEAD: Final = 14
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_TWO_BYTES: Final = 126


class Frames:
    """Counts through the frames of one direction."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._left = 0
        self._head = b""

    @property
    def between(self) -> bool:
        """Whether the last byte ended a frame, or no frame has begun."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        """Follow *data*."""
        size = len(data)
        if size < self._left:  # the usual part of a long message
            self._left -= size
            return
        self._through(data, -1)

    def end_of_frame(self, data: bytes) -> int:
        """Follow *data* up to the first end of a frame in it; how much that is, -1 if none."""
        return self._through(data, 1)

    def _through(self, data: bytes, most: int) -> int:
        """Follow *most* ends of frames, or all; where the last of them is, -1 if there is none."""
        at, size, ended = 0, len(data), -1
        while most:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
                if self._left:
                    return ended
            elif at == size:
                return ended
            else:
                taken = len(self._head)
                head = self._head + data[at : at + _LONGEST_HEAD - taken]
                length = _frame_length(head)
                if length is None:
                    self._head = head
                    return ended
                self._head = b""
                # The head's own rest is counted with the payload: at least one byte is new.
                self._left = length - taken
                continue
            ended = at
            most -= 1
        return ended


def _frame_length(head: bytes) -> int | None:
    """How long the frame that begins with *head* is in all; None if that cannot be seen yet."""
    if len(head) < 2:
        return None
    length, size = head[1] & _LENGTH, 2
    if length >= _TWO_BYTES:
        size = 4 if length == _TWO_BYTES else 10
        if len(head) < size:
            return None
        length = int.from_bytes(head[2:size])
    return size + length + (4 if head[1] & _MASKED else 0)


def close_frame(code: int, reason: str) -> bytes:
    """Return an unmasked Close frame, as servers send it. *reason* is short ASCII."""
    payload = code.to_bytes(2) + reason.encode("ascii")
    return bytes((0x88, len(payload))) + payload
