"""WebSocket frames: where one ends is where another reader finds its end, however it is cut."""

from gateway.proxy.frames import Frames
from tests.fuzz.stage import Finding, in_pieces


def websocket_frames(data: bytes) -> None:
    """W2: frame ends are found, and nothing is held but a head."""
    ends = _ends(data)
    whole = Frames()
    whole.feed(data)
    pieces = Frames()
    for piece in in_pieces(data):
        pieces.feed(piece)
        if len(pieces._head) > 14:
            raise Finding("more than a head is held")
    for frames in (whole, pieces):
        if frames.between != (not data or (bool(ends) and ends[-1] == len(data))):
            raise Finding("between is wrong")
    if Frames().end_of_frame(data) != (ends[0] if ends else -1):
        raise Finding("the first end is somewhere else")
    _end_in_pieces(data, ends)


def _end_in_pieces(data: bytes, ends: list[int]) -> None:
    frames, at = Frames(), 0
    for piece in in_pieces(data):
        end = frames.end_of_frame(piece)
        if end >= 0:
            if not ends or at + end != ends[0]:
                raise Finding("in pieces, the first end is somewhere else")
            return
        at += len(piece)
    if ends:
        raise Finding("in pieces, no end is found")


def _ends(data: bytes) -> list[int]:
    """Where each whole frame ends (RFC 6455 §5.2)."""
    ends: list[int] = []
    at = 0
    while len(data) - at >= 2:
        length, size = data[at + 1] % 128, 2
        if length == 126:
            size, length = 4, int.from_bytes(data[at + 2 : at + 4])
        elif length == 127:
            size, length = 10, int.from_bytes(data[at + 2 : at + 10])
        if data[at + 1] >= 128:
            size += 4
        if at + size > len(data) or at + size + length > len(data):
            break
        at += size + length
        ends.append(at)
    return ends
