"""Makes every log record of the process one line, in the configured format and without secrets.

Invariant: a record, its traceback included, is one line; what looks like a credential is masked,
so that a careless message cannot publish one.
"""

import logging
import re
from collections.abc import Callable, Mapping

from aiohttp.http_exceptions import HttpProcessingError

from gateway.observability.line import LineFormat, render, timestamp

_CREDENTIALS = (
    re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)+"),  # a JWT
    re.compile(r"\bgr1\.[\w.-]{8,}"),  # our refresh token
    re.compile(r"\$(?:argon2\w*|2[abxy])\$[\w$=,.+/-]+"),  # a password hash
    re.compile(r"(?<=bearer )[\w.~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(?<=basic )[\w+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(?<=://)[^/\s@]*:[^/\s@]+(?=@)"),  # user:password in a URL
)
_ASSIGNMENT = re.compile(
    r"(?P<name>password|(?<!ht)passwd|client_secret|secret|access_?token|refresh_?token|code_verifier)"
    r"(?P<is>[\"']?\s?[=:]\s?[\"']?)(?P<value>[^\s\"'&,;})]{4,})",
    re.IGNORECASE,
)
_SHOWN = 4


def configure(level: int, line_format: LineFormat, write: Callable[[str], bool]) -> None:
    """Send every log record to *write* as one line; may be called again, as on a reload.

    The audit log is not subject to *level*: who turns the chatter down still wants to know.
    """
    for_lines = _LineHandler(line_format, write)
    root = logging.getLogger()
    for handler in [old for old in root.handlers if isinstance(old, _LineHandler)]:
        root.removeHandler(handler)
    root.addHandler(for_lines)
    root.setLevel(level)
    logging.getLogger("gateway.audit").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    # aiohttp's access log would tell of every request a second time, query string included.
    logging.getLogger("aiohttp.access").disabled = True
    server = logging.getLogger("aiohttp.server")
    if _without_traceback not in server.filters:
        server.addFilter(_without_traceback)
    # SQL parameters are sessions and password hashes.
    for chatty in ("sqlalchemy", "aiosqlite"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def mask(text: str) -> str:
    """Return *text* with everything that looks like a credential cut to its first letters."""
    for credential in _CREDENTIALS:
        text = credential.sub(lambda found: _masked(found.group()), text)
    return _ASSIGNMENT.sub(
        lambda found: f"{found['name']}{found['is']}{_masked(found['value'])}", text
    )


def _masked(secret: str) -> str:
    return f"{secret[:_SHOWN]}***({len(secret)})"


class _LineHandler(logging.Handler):
    def __init__(self, line_format: LineFormat, write: Callable[[str], bool]) -> None:
        super().__init__()
        self._format = line_format
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = _fields(record)
        except Exception as error:  # noqa: BLE001 - logging must never break what it tells about
            # The standard library would print the arguments to stderr, unmasked, on many lines.
            fields = _start(record, f"log record cannot be rendered: {record.msg} ({error!r})")
        self._write(render(fields, self._format))


def _start(record: logging.LogRecord, message: str) -> dict[str, object]:
    return {
        "time": timestamp(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": mask(message),
    }


def _fields(record: logging.LogRecord) -> dict[str, object]:
    line = _start(record, record.getMessage())
    extra = getattr(record, "fields", None)
    if isinstance(extra, Mapping):
        line |= {
            name: mask(value) if isinstance(value, str) else value
            for name, value in extra.items()
            if name not in line
        }
    if record.exc_info or record.exc_text:
        line["exception"] = mask(_traceback(record))
    return line


def _traceback(record: logging.LogRecord) -> str:
    if record.exc_info:
        return logging.Formatter().formatException(record.exc_info)
    return record.exc_text or ""


def _without_traceback(record: logging.LogRecord) -> bool:
    """Turn aiohttp's traceback for every malformed request into one plain line.

    Anybody can send malformed requests as fast as they like; the log must not grow faster.
    """
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, HttpProcessingError):
        return True
    record.msg, record.args = "malformed request refused: %s", (type(error).__name__,)
    record.exc_info = record.exc_text = None
    record.levelno, record.levelname = logging.INFO, "INFO"
    return logging.getLogger(record.name).isEnabledFor(logging.INFO)
