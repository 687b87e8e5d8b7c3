"""What every log line has in common: its format, its time, its quoting.

Invariant: quoted text is printable ASCII without a line end, whatever text went in, and it is
JSON that the strictest reader accepts. This is the only defence against log injection needed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from json import dumps
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import NewType

from gateway.sessions import session

TEXT_LIMIT = 256

_QUOTE = '"'
_BARE = frozenset({"time", "level", "logger"})  # words of ours: the text format need not quote them

SessionHash = NewType("SessionHash", str)


class LineFormat(Enum):
    """How lines are written. Both carry the same fields in the same order."""

    JSON = "json"
    TEXT = "text"  # logfmt: name=value, values quoted as in JSON


def quoted(text: str) -> str:
    """Return *text* as a JSON string of printable ASCII."""
    if text.isascii():
        line = encode_basestring_ascii(text)
        # JSON leaves DEL as it is; a terminal does not.
        return line if "\x7f" not in line else line.replace("\x7f", "\\u007f")
    # A lone surrogate (undecodable bytes) is refused by strict JSON readers: U+FFFD stands for it.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return encode_basestring_ascii(whole).replace("\x7f", "\\u007f")


def session_hash(session_id: str) -> SessionHash:
    """Return the name of a session in logs: enough to correlate, useless as a credential."""
    return SessionHash(session.session_hash(session_id))


def second_prefix(second: int) -> str:
    """Return an RFC 3339 time in UTC up to the dot before the milliseconds."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")


def timestamp(now: float) -> str:
    """Return *now* in RFC 3339 with milliseconds."""
    second = int(now)
    return f"{second_prefix(second)}{int((now - second) * 1000):03d}Z"


def render(fields: Mapping[str, object], line_format: LineFormat) -> str:
    """Return *fields* as one line, in their order, with its line end.

    Names are ours, never a client's. Values that are neither text, number, boolean nor None are
    written as their text.
    """
    pairs = [(name, _value(value)) for name, value in fields.items()]
    if line_format is LineFormat.JSON:
        return "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}\n"
    words = (f"{name}={value.strip(_QUOTE) if name in _BARE else value}" for name, value in pairs)
    return " ".join(words) + "\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    # Python writes NaN and Infinity as words that are no JSON.
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return dumps(value)
    return quoted(str(value))
