"""Lines of response heads, each understood once: an app says most of them again and again.

Only what is well-formed beyond any doubt is understood here (RFC 9112 §4, §5); a head with a line
that is not goes to the parser, which has the last word on it.
"""

import re
from typing import Final, NamedTuple

from gateway.headers.fields import ResponseFields
from gateway.recent import Recent

_STATUS_LINE: Final = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*((?:[\x21-\x7e\x80-\xff][\t\x20-\x7e\x80-\xff]*)?)"
)
_REMEMBERED: Final = 1024
_LONGEST: Final = 256


class StatusLine(NamedTuple):
    """*version* is `1.0` or `1.1`."""

    version: str
    status: int
    reason: bytes


class FieldLine(NamedTuple):
    """*line* goes on: begin of line and value, or nothing. *noted* names what decisions look at."""

    line: tuple[bytes, bytes] | tuple[()]
    noted: str | None
    value: bytes


class ResponseLines:
    """What the lines of an upstream's answers mean; shared by all its connections."""

    def __init__(self, fields: ResponseFields) -> None:
        self.fields = fields
        self.status_lines: Recent[bytes, StatusLine] = Recent(_REMEMBERED)
        self.field_lines: Recent[bytes, FieldLine] = Recent(_REMEMBERED)

    def status_line(self, raw: bytes) -> StatusLine | None:
        """Read a status line, without its CRLF; None where only the parser can tell.

        So it is with 101, whose rules are its own.
        """
        match = _STATUS_LINE.fullmatch(raw)
        if match is None or match[2] == b"101":
            return None
        line = StatusLine(match[1].decode("ascii"), int(match[2]), match[3])
        if len(raw) <= _LONGEST:
            self.status_lines.keep(raw, line)
        return line

    def field_line(self, raw: bytes) -> FieldLine | None:
        """Read a field line, without its CRLF; None where only the parser can tell."""
        match = _FIELD_LINE.fullmatch(raw)
        if match is None:
            return None
        name, value = match.groups()
        field = self.fields.known.get(name) or self.fields.judge(name)
        line = FieldLine(() if field.line is None else (field.line, value), field.noted, value)
        # Cookies are for one person each: what is remembered would be of no use again.
        if len(raw) <= _LONGEST and field.noted != "set-cookie":
            self.field_lines.keep(raw, line)
        return line
