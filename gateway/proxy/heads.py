"""Message heads, read whole: the parser sees one head at a time and never a byte beyond it.

So a head costs one call whatever follows it, and bytes of the next message can never be taken for
this one. Each head has a parser of its own, and what was read is acted upon before anybody reads
another: that is why all connections may share one reader, and an idle one costs nothing here
(SECURITY H19). The callbacks are closures: they run for every header of every message, and looking
up attributes there would cost more than all the rest of the reading.
"""

import re
from collections.abc import Callable

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from gateway.headers.fields import SINGLE, RequestFields, ResponseFields
from gateway.proxy.response_lines import ResponseLines
from gateway.request import BadRequest

HEAD_END = b"\r\n\r\n"

_REPEATED = "repeated"
# RFC 9112 §4: the parser lets any byte but the line's end into a reason, and other versions pass.
_NEVER_IN_REASON = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ANSWERS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_LOWEST_STATUS = 100
_BLANKS_IN_REQUEST_LINE = 2
_OnHeader = Callable[[bytes, bytes], None]
_Begin = Callable[[], tuple[list[bytes], dict[str, bytes]]]


def is_no_answer(begun: bytes) -> bool:
    """Whether an answer's head of which *begun* has come can be refused without its rest."""
    start = begun[: len(_ANSWERS[0])]
    known = any(answer.startswith(start) for answer in _ANSWERS)
    return not known or begun.count(b"\n") != begun.count(b"\r\n")


class BadResponse(Exception):
    """The upstream's answer is malformed or ambiguous."""


class RequestHead:
    """Reads request heads; the attributes tell of the last one."""

    __slots__ = (
        *("keep_alive", "lines", "method", "noted", "on_header", "target", "version"),
        *("_begin", "_max_fields"),
    )

    def __init__(self, fields: RequestFields, max_fields: int) -> None:
        self._max_fields = max_fields
        self._begin, self.on_header = _collector(fields)
        self.method = ""
        self.target = b""
        self.version = ""
        self.keep_alive = False
        self.lines: list[bytes] = []
        self.noted: dict[str, bytes] = {}

    def read(self, head: bytes) -> None:
        """Read one whole head, up to and with its empty line. Raises BadRequest."""
        self.method = self.version = ""
        if not head[:1].isalpha():
            # llhttp skips every CR and LF before the method.
            raise BadRequest("The request is not well-formed HTTP/1.1.")
        self.lines, self.noted = self._begin()
        parser = HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            pass
        except HttpParserInvalidMethodError as error:
            raise BadRequest("The request does not begin with a method known here.") from error
        except HttpParserError as error:
            raise BadRequest("The request is not well-formed HTTP/1.1.") from error
        line_end = head.find(b"\r\n")
        if head.find(b" HTTP/", 0, line_end) < 0:
            # llhttp reads RTSP, ICE and HTTP/0.9 as well, and does not tell.
            raise BadRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if head.count(b" ", 0, line_end) != _BLANKS_IN_REQUEST_LINE:
            # It skips what is too many; others take it for a part of the target (RFC 9112 §3).
            raise BadRequest("The request line has blanks in the wrong places.")
        if head.count(b"\r\n") - 2 > self._max_fields:
            raise BadRequest("The request has too many headers.", 431)
        self.method = parser.get_method().decode("ascii")
        self.version = parser.get_http_version()
        self.keep_alive = _persists(self.version, self.noted.get("connection"))
        if _REPEATED in self.noted:
            name = self.noted[_REPEATED].decode("latin-1")
            raise BadRequest(f"The request has more than one {name} header.")

    def on_url(self, url: bytes) -> None:
        self.target = url


class ResponseHead:
    """Reads response heads of one upstream; the attributes tell of the last one."""

    __slots__ = (
        *("keep_alive", "lines", "noted", "reason", "set_cookies", "status", "version"),
        "_known",
    )

    def __init__(self, known: ResponseLines) -> None:
        self._known = known
        self.status = 0
        self.reason = b""
        self.version = ""
        self.keep_alive = False
        self.lines: list[bytes] = []
        self.noted: dict[str, bytes] = {}
        self.set_cookies: list[bytes] = []

    def read(self, head: bytes) -> None:
        """Read one whole head, up to and with its empty line. Raises BadResponse."""
        if not self._is_usual(head):
            self._parse(head)

    def _is_usual(self, head: bytes) -> bool:
        """Read a head all of whose lines are beyond doubt, which costs half of parsing it."""
        known = self._known
        field_lines = known.field_lines
        raw = head.split(b"\r\n")
        status_line = known.status_lines.get(raw[0]) or known.status_line(raw[0])
        if status_line is None:
            return False
        lines: list[bytes] = []
        noted: dict[str, bytes] = {}
        set_cookies: list[bytes] = []
        # Two empty pieces follow the CRLF of the last line and that of the empty one.
        for line in raw[1:-2]:
            try:
                going_on, note, value = field_lines[line]
            except KeyError:
                learned = known.field_line(line)
                if learned is None:
                    return False
                going_on, note, value = learned
            lines += going_on
            if note is not None:
                if note == "set-cookie":
                    set_cookies.append(value)
                elif note in noted:
                    return False
                else:
                    noted[note] = value
        self.version, self.status, self.reason = status_line
        self.lines, self.noted, self.set_cookies = lines, noted, set_cookies
        self.keep_alive = _persists(self.version, noted.get("connection"))
        return True

    def _parse(self, head: bytes) -> None:
        if not head.startswith(_ANSWERS):
            raise BadResponse("it is no answer of HTTP/1.1 or HTTP/1.0")
        parsed = _ParsedResponse(self._known.fields)
        parser = HttpResponseParser(parsed)
        try:
            parser.feed_data(head)
        except HttpParserUpgrade:
            pass
        except HttpParserError as error:
            raise BadResponse(str(error)) from error
        if parser.get_status_code() < _LOWEST_STATUS:
            raise BadResponse("its status is none")
        if _NEVER_IN_REASON.search(parsed.reason):
            raise BadResponse("its reason holds a control byte")
        if _REPEATED in parsed.noted:
            raise BadResponse("a header that frames the answer is repeated")
        self.status, self.reason = parser.get_status_code(), parsed.reason
        self.lines, self.noted, self.set_cookies = parsed.lines, parsed.noted, parsed.set_cookies
        self.version = parser.get_http_version()
        self.keep_alive = _persists(self.version, parsed.noted.get("connection"))


class _ParsedResponse:
    """What the parser tells of one response head."""

    __slots__ = ("_fields", "lines", "noted", "reason", "set_cookies")

    def __init__(self, fields: ResponseFields) -> None:
        self._fields = fields
        self.reason = b""
        self.lines: list[bytes] = []
        self.noted: dict[str, bytes] = {}
        self.set_cookies: list[bytes] = []

    def on_status(self, reason: bytes) -> None:
        self.reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        line, note = self._fields.known.get(name) or self._fields.judge(name)
        if line is not None:
            self.lines += (line, value)
        if note == "set-cookie":
            self.set_cookies.append(value)
        elif note in self.noted:
            _repeat(self.noted, note, value)
        elif note is not None:
            self.noted[note] = value


def _collector(fields: RequestFields) -> tuple[_Begin, _OnHeader]:
    """Return what begins a head, and what takes one header of it."""
    known = fields.known
    judge = fields.judge
    lines: list[bytes] = []
    noted: dict[str, bytes] = {}

    def begin() -> tuple[list[bytes], dict[str, bytes]]:
        nonlocal lines, noted
        lines, noted = [], {}
        return lines, noted

    def on_header(name: bytes, value: bytes) -> None:
        nonlocal lines
        try:
            line, note = known[name]
        except KeyError:
            line, note = judge(name)
        if line is not None:
            lines += (line, value)
        if note is not None:
            if note in noted:
                _repeat(noted, note, value)
            else:
                noted[note] = value

    return begin, on_header


def _persists(version: str, connection: bytes | None) -> bool:
    """Whether the connection outlives the message (RFC 9112 §9.3)."""
    if connection is None or connection == b"keep-alive":
        return version == "1.1" or connection is not None
    options = {option.strip().lower() for option in connection.split(b",")}
    return b"close" not in options and (version == "1.1" or b"keep-alive" in options)


def _repeat(noted: dict[str, bytes], name: str, value: bytes) -> None:
    """Join a repeated header as RFC 9110 §5.3 has it, except where only one may be."""
    if name in SINGLE:
        noted[_REPEATED] = name.encode()
    noted[name] += (b"; " if name == "cookie" else b", ") + value
