"""Where a request's body ends: decided from its headers, then followed byte by byte.

The framing of what goes on is always generated anew, so a message that we and an upstream could
measure differently does not exist (RFC 9112 §6.3, §7.1; SECURITY H1, H2, H12).
"""

import re
from typing import Literal

from gateway.request import BadRequest

Chunked = Literal["chunked"]
CHUNKED: Chunked = "chunked"

_BLANKS = b" \t"
_MAX_LENGTH_DIGITS = 18
# A chunk-size line, and all of the trailers together, may not be longer.
MAX_CHUNK_LINE = 4096
MAX_TRAILERS = 8192
# Extensions carry nothing; a body whose extensions outgrow this is an attack (CVE-2023-39326).
MAX_EXTENSIONS = 16384

# RFC 9112 §7.1.1 without its optional blanks, which nobody sends but attackers.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:;%b(?:=(?:%b|%b))?)*)" % (_TOKEN, _TOKEN, _QUOTED)
)
_TRAILER_LINE = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")


def request_framing(
    content_length: bytes | None, transfer_encoding: bytes | None, version: str
) -> int | Chunked:
    """Return how many bytes the body has, or that it is chunked. Raises BadRequest."""
    if transfer_encoding is not None:
        if content_length is not None:
            raise BadRequest("both Content-Length and Transfer-Encoding are present")
        if version == "1.0":
            raise BadRequest("Transfer-Encoding is not part of HTTP/1.0")
        if transfer_encoding.strip(_BLANKS).lower() != b"chunked":
            raise BadRequest("the only transfer encoding understood is chunked")
        return CHUNKED
    if content_length is None:
        return 0
    content_length = content_length.strip(_BLANKS)
    if not content_length.isdigit() or len(content_length) > _MAX_LENGTH_DIGITS:
        raise BadRequest("Content-Length is not a number")
    return int(content_length)


class LengthBody:
    """A body of known length."""

    __slots__ = ("complete", "remaining")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.complete = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of *data* belongs to the body, and what follows it."""
        if len(data) <= self.remaining:
            self.remaining -= len(data)
            self.complete = self.remaining == 0
            return data, b""
        body, rest = data[: self.remaining], data[self.remaining :]
        self.remaining = 0
        self.complete = True
        return body, rest


class ChunkedBody:
    """A chunked body (RFC 9112 §7.1). Strict: no bare LF, no blanks, no signs; trailers dropped."""

    __slots__ = (
        *("complete", "_ends_chunk", "_extensions", "_in_chunk", "_in_trailers", "_kept"),
        "_trailers",
    )

    def __init__(self) -> None:
        self.complete = False
        self._kept = b""
        self._in_chunk = 0
        self._ends_chunk = False
        self._in_trailers = False
        self._extensions = 0
        self._trailers = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the decoded body bytes of *data*, and what follows the body.

        Raises BadRequest.
        """
        if self._kept:
            data = self._kept + data
            self._kept = b""
        body: list[bytes] = []
        at = 0
        while not self.complete and at < len(data):
            if self._in_chunk:
                piece = data[at : at + self._in_chunk]
                body.append(piece)
                self._in_chunk -= len(piece)
                at += len(piece)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._keep(data[at:])
                break
            self._line(data[at:end])
            at = end + 2
        return b"".join(body), data[at:] if self.complete else b""

    def _keep(self, tail: bytes) -> None:
        """Hold an unfinished line back, refusing early what can no longer become a valid one."""
        limit = MAX_TRAILERS if self._in_trailers else MAX_CHUNK_LINE
        if len(tail) > limit:
            raise BadRequest("a chunk line is too long")
        if b"\n" in tail or b"\r" in tail[:-1]:
            raise BadRequest("a chunk line does not end in CRLF")
        if self._ends_chunk and tail != b"\r":
            raise BadRequest("a chunk is longer than its size")
        self._kept = tail

    def _line(self, line: bytes) -> None:
        if self._ends_chunk:
            if line:
                raise BadRequest("a chunk is longer than its size")
            self._ends_chunk = False
        elif self._in_trailers:
            self._trailer(line)
        else:
            self._size(line)

    def _size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None or len(line) > MAX_CHUNK_LINE:
            raise BadRequest("a chunk size is malformed")
        self._extensions += len(match[2])
        if self._extensions > MAX_EXTENSIONS:
            raise BadRequest("the chunk extensions are too long")
        self._in_chunk = int(match[1], 16)
        if self._in_chunk:
            self._ends_chunk = True
        else:
            self._in_trailers = True

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.complete = True
            return
        self._trailers += len(line)
        if self._trailers > MAX_TRAILERS or not _TRAILER_LINE.fullmatch(line):
            raise BadRequest("a trailer is malformed or too long")


def chunk(data: bytes) -> bytes:
    """Frame *data* as one chunk. It must not be empty: the empty chunk ends a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
