"""Chunked bodies: what we decode, however it is cut, is what another reader decodes."""

from gateway.proxy.framing import MAX_CHUNK_LINE, MAX_TRAILERS, ChunkedBody, LengthBody
from gateway.request import BadRequest
from tests.fuzz.reader import Malformed, Unfinished, chunks
from tests.fuzz.stage import Finding, in_pieces


def chunked_body(data: bytes) -> None:
    """H1, H3, H12, H16: one reading, no more than the other reader allows, bounded memory."""
    whole, pieces = _read([data]), _read(in_pieces(data))
    if whole != pieces:
        raise Finding(f"in pieces {pieces}, in one {whole}")
    try:
        body, end = chunks(data, 0)
    except Unfinished:
        if whole is not None and whole[1] is not None:
            raise Finding("complete before its end") from None
        return
    except Malformed as error:
        if whole is not None and whole[1] is not None:
            raise Finding(f"{error} was accepted") from error
        return
    if whole is not None and whole != (body, data[end:]):
        raise Finding(f"{whole} instead of {(body, data[end:])}")


def length_body(data: bytes) -> None:
    """The first two bytes are the length, the rest what comes."""
    length, rest = int.from_bytes(data[:2]), data[2:]
    body = LengthBody(length)
    read, after = b"", b""
    for piece in in_pieces(rest) or [b""]:
        if body.complete:
            after += piece
            continue
        decoded, behind = body.feed(piece)
        read, after = read + decoded, after + behind
    if read != rest[:length] or after != rest[length:]:
        raise Finding("the body is cut in the wrong place")
    if body.complete != (len(rest) >= length):
        raise Finding("complete is wrong")


def _read(pieces: list[bytes]) -> tuple[bytes, bytes | None] | None:
    """Body and what follows (None: it is not complete); None where it is refused."""
    body = ChunkedBody()
    read, after = [], b""
    for piece in pieces:
        if body.complete:
            after += piece
            continue
        try:
            decoded, behind = body.feed(piece)
        except BadRequest:
            return None
        read.append(decoded)
        after += behind
        if len(body._kept) > max(MAX_CHUNK_LINE, MAX_TRAILERS):
            raise Finding(f"{len(body._kept)} bytes are kept")
    return b"".join(read), after if body.complete else None
