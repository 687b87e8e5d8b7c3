"""One line per request, rendered in batches and written by somebody else.

Invariant: whatever bytes a client sends, a request is exactly one line of printable ASCII, and no
query string, cookie, token or full session id is ever in it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.observability.line import (
    TEXT_LIMIT,
    LineFormat,
    quoted,
    render,
    second_prefix,
    session_hash,
    timestamp,
)
from gateway.recent import Recent

FLUSH_AFTER_SECONDS = 0.1
FLUSH_AT_BYTES = 256 * 1024
RENDERED_TOGETHER = 64
PATH_LIMIT = 1024

# Rendered by one % operation: a third of the cost of json.dumps, and the order of fields is fixed.
# What comes back with most requests is written into the template first, once for all of them.
_JSON = (
    '{"time":"%%s%%03dZ","logger":"gateway.access","client":%s,"method":%s,"host":%s,"path":%%s,'
    '"protocol":%s,"status":%%d,"bytes_in":%%d,"bytes_out":%%d,"duration_ms":%%.3f,'
    '"upstream_ms":%%s,"route":%s,"user":%s,"session":%s,"decision":%s,"request_id":%%s,'
    '"user_agent":%s}\n'
)
_TEXT = (
    "time=%%s%%03dZ logger=gateway.access client=%s method=%s host=%s path=%%s "
    "protocol=%s status=%%d bytes_in=%%d bytes_out=%%d duration_ms=%%.3f "
    "upstream_ms=%%s route=%s user=%s session=%s decision=%s request_id=%%s "
    "user_agent=%s\n"
)
_USUAL_FIELDS: Final = 9
_REMEMBERED = 1024
_REMEMBERED_LENGTH = 1024


class FinishedRequest(NamedTuple):
    """What there is to tell of one request. *duration* and *upstream* are seconds.

    *path* without query. *upstream* is None where no upstream was asked. *decision* is `forward`,
    `refuse:<why>` or `renew:<outcome>`: a fixed word, since it is a label. *user_agent* as sent.
    """

    client: str
    method: str
    host: str
    protocol: str
    route: str | None
    user: str | None
    session_id: str | None
    decision: str
    user_agent: bytes | None
    # From here on each request has its own.
    path: str
    status: int
    bytes_in: int
    bytes_out: int
    duration: float
    upstream: float | None
    request_id: str


class AccessLog:
    """Collects requests and hands their lines to *write* every 100 ms or 256 KiB.

    Lines are rendered many in a row, which costs less than one between any two requests, but not so
    many that a request would have to wait for them; waking up whoever writes costs more than that,
    and is done seldom. *write* never blocks; it answers False when it has no room: then the lines
    are dropped, counted, and the next batch that finds room begins with a line that says how many.
    *later* is `loop.call_later`, armed only while requests wait: an idle process stays idle.
    """

    def __init__(
        self,
        write: Callable[[str], bool],
        now: Callable[[], float],
        line_format: LineFormat,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.dropped = 0
        self._write = write
        self._now = now
        self._format = line_format
        self._later = later
        self._templates: Recent[tuple[str | bytes | None, ...], str] = Recent(_REMEMBERED)
        self._waiting: list[tuple[float, FinishedRequest]] = []
        self._rendered: list[str] = []
        self._size = 0
        self._lines = 0
        self._second = -1
        self._prefix = ""
        self._unsaid = 0

    def record(self, request: FinishedRequest) -> None:
        """Note one finished request."""
        waiting = self._waiting
        if not waiting and not self._rendered:
            self._later(FLUSH_AFTER_SECONDS, self.flush)
        waiting.append((self._now(), request))
        if len(waiting) >= RENDERED_TOGETHER:
            self._render()
            if self._size >= FLUSH_AT_BYTES:
                self.flush()

    def flush(self) -> None:
        """Hand over what was collected."""
        self._render()
        if not self._lines:
            return
        batch, lines = "".join(self._rendered), self._lines
        self._rendered, self._size, self._lines = [], 0, 0
        if self._write(self._confession() + batch if self._unsaid else batch):
            self._unsaid = 0
        else:
            self.dropped += lines
            self._unsaid += lines

    def _render(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        text = "".join([self._line(at, request) for at, request in waiting])
        self._rendered.append(text)
        self._size += len(text)
        self._lines += len(waiting)

    def _line(self, at: float, request: FinishedRequest) -> str:
        usual = request[:_USUAL_FIELDS]
        try:
            template = self._templates[usual]
        except KeyError:
            template = _template(self._format, *usual)
            if sum(len(text) for text in usual if text is not None) <= _REMEMBERED_LENGTH:
                self._templates.keep(usual, template)
        path, status, bytes_in, bytes_out, duration, upstream, request_id = request[_USUAL_FIELDS:]
        second = int(at)
        if second != self._second:
            self._second = second
            self._prefix = second_prefix(second)
        return template % (
            self._prefix,
            (at - second) * 1000,
            _path_again(path) if len(path) <= TEXT_LIMIT else _path(path),
            status,
            bytes_in,
            bytes_out,
            duration * 1e3,
            "null" if upstream is None else "%.3f" % (upstream * 1e3),
            _quoted_id(request_id),
        )

    def _confession(self) -> str:
        return render(
            {
                "time": timestamp(self._now()),
                "level": "warning",
                "logger": "gateway.access",
                "message": "access log lines were dropped, the output is too slow",
                "dropped": self._unsaid,
            },
            self._format,
        )


def _template(
    line_format: LineFormat,
    client: str,
    method: str,
    host: str,
    protocol: str,
    route: str | None,
    user: str | None,
    session_id: str | None,
    decision: str,
    user_agent: bytes | None,
) -> str:
    """Return the line of such requests, with places for what each has of its own."""
    session = session_id and session_hash(session_id)
    agent = None if user_agent is None else user_agent[:TEXT_LIMIT].decode("latin-1")
    known = (client, method, host, protocol, route, user, session, decision, agent)
    template = _JSON if line_format is LineFormat.JSON else _TEXT
    return template % tuple(_fixed(text) for text in known)


def _fixed(text: str | None) -> str:
    return "null" if text is None else quoted(text[:TEXT_LIMIT]).replace("%", "%%")


def _path(path: str) -> str:
    # Callers give a path; a query that slips through with it would be a secret in the log.
    return quoted(path.partition("?")[0][:PATH_LIMIT])


_path_again = lru_cache(_REMEMBERED)(_path)


def _quoted_id(request_id: str) -> str:
    # Ours are letters and digits, which need no quoting.
    if request_id.isascii() and request_id.isalnum() and len(request_id) <= TEXT_LIMIT:
        return f'"{request_id}"'
    return quoted(request_id[:TEXT_LIMIT])
