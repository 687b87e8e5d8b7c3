"""A second opinion on HTTP/1.1: a slow, strict reader of messages that shares no line with ours.

Written from RFC 9112 alone, so that what the gateway reads or writes is judged by other eyes than
its own.
"""

import re
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/1\.([01])" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FIELD = re.compile(rb"(%b):[\t ]*([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_BLANKS = b" \t"


class Malformed(Exception):
    """No conforming sender writes this."""


class Unfinished(Exception):
    """More bytes could make a whole message of it."""


@dataclass(frozen=True)
class Message:
    """A request or an answer. *end* is where the next message begins."""

    version: str
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    end: int
    method: str = ""
    target: bytes = b""
    status: int = 0
    chunked: bool = False
    until_close: bool = False

    def values(self, name: bytes) -> list[bytes]:
        return [value for field, value in self.fields if field.lower() == name]


def read_request(data: bytes, at: int = 0) -> Message:
    """Read the request that begins at *at*. Raises Malformed or Unfinished."""
    line, fields, after = _head(data, at)
    start = _REQUEST_LINE.fullmatch(line)
    if start is None:
        raise Malformed(f"request line {line!r}")
    version = f"1.{start[3].decode()}"
    chunked, length = _framing(fields, version)
    body, end = chunks(data, after) if chunked else _exactly(data, after, length or 0)
    return Message(version, fields, body, end, start[1].decode(), start[2], chunked=chunked)


def read_answer(data: bytes, at: int = 0, *, method: str = "GET", ended: bool = False) -> Message:
    """Read the answer to a *method* that begins at *at*; *ended*: no more bytes will come.

    Raises Malformed or Unfinished.
    """
    line, fields, after = _head(data, at)
    start = _STATUS_LINE.fullmatch(line)
    if start is None:
        raise Malformed(f"status line {line!r}")
    status = int(start[2])
    version = f"1.{start[1].decode()}"
    chunked, length = _framing(fields, version)
    if status < 200 or status in (204, 304) or method == "HEAD":
        return Message(version, fields, b"", after, status=status)
    if chunked:
        body, end = chunks(data, after)
        return Message(version, fields, body, end, status=status, chunked=True)
    if length is not None:
        body, end = _exactly(data, after, length)
        return Message(version, fields, body, end, status=status)
    if not ended:
        raise Unfinished
    return Message(version, fields, data[after:], len(data), status=status, until_close=True)


def read_final(data: bytes, at: int = 0, *, method: str = "GET", ended: bool = False) -> Message:
    """Read the answer that ends the exchange, past all interim ones; 101 ends it too.

    Empty lines behind an interim answer are forgiven: some apps send one too many.
    """
    while True:
        answer = read_answer(data, at, method=method, ended=ended)
        if answer.status >= 200 or answer.status == 101:
            return answer
        at = answer.end
        while data[at : at + 1] in (b"\r", b"\n"):
            at += 1


def requests_in(data: bytes) -> list[Message]:
    """Every whole request of *data*, up to the first that is none."""
    found: list[Message] = []
    at = 0
    while True:
        while data.startswith(b"\r\n", at):
            at += 2  # RFC 9112 §2.2
        try:
            found.append(read_request(data, at))
        except (Malformed, Unfinished):
            return found
        at = found[-1].end


def _head(data: bytes, at: int) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], int]:
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        raise Unfinished
    line, *rest = data[at:end].split(b"\r\n")
    fields = []
    for text in rest:
        field = _FIELD.fullmatch(text)
        if field is None:
            raise Malformed(f"field line {text!r}")
        fields.append((field[1], field[2].rstrip(_BLANKS)))
    return line, tuple(fields), end + 4


def _framing(fields: tuple[tuple[bytes, bytes], ...], version: str) -> tuple[bool, int | None]:
    encodings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    if encodings:
        if lengths or version == "1.0" or [each.lower() for each in encodings] != [b"chunked"]:
            raise Malformed(f"framing {encodings!r} {lengths!r}")
        return True, None
    if len(lengths) > 1 or any(not re.fullmatch(rb"[0-9]+", each) for each in lengths):
        raise Malformed(f"lengths {lengths!r}")
    return False, int(lengths[0]) if lengths else None


def _exactly(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if len(data) - at < length:
        raise Unfinished
    return data[at : at + length], at + length


def chunks(data: bytes, at: int) -> tuple[bytes, int]:
    body = []
    while True:
        line, at = _line(data, at)
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise Malformed(f"chunk size {line!r}")
        length = int(size[1], 16)
        if not length:
            return b"".join(body), _trailers(data, at)
        piece, at = _exactly(data, at, length)
        body.append(piece)
        if not b"\r\n".startswith(data[at : at + 2]):
            raise Malformed("a chunk that does not end where it said")
        _, at = _exactly(data, at, 2)


def _trailers(data: bytes, at: int) -> int:
    while True:
        line, at = _line(data, at)
        if not line:
            return at
        if not _FIELD.fullmatch(line):
            raise Malformed(f"trailer {line!r}")


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Unfinished
    return data[at:end], end + 2
