"""One line per request, rendered in batches and written by somebody else.

Invariant: whatever bytes a client sends, a request is exactly one line of printable ASCII, and no
query string, cookie, token or full session id is ever in it.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from gateway.observability.line import (
    TEXT_LIMIT,
    LineFormat,
    quoted,
    quoted_again,
    render,
    second_prefix,
    session_hash,
    timestamp,
)

FLUSH_AFTER_SECONDS = 0.1
FLUSH_AT_BYTES = 256 * 1024
RENDERED_TOGETHER = 64
PATH_LIMIT = 1024

# Rendered by one % operation: a third of the cost of json.dumps, and the order of fields is fixed.
# What comes back with most requests (%s without a name) is rendered once and remembered.
_JSON = (
    '{"time":"%s%03dZ","logger":"gateway.access",%s,"path":%s,"protocol":%s,"status":%d,'
    '"bytes_in":%d,"bytes_out":%d,"duration_ms":%d.%03d,"upstream_ms":%s,%s,"request_id":%s,'
    '"user_agent":%s}\n'
)
_JSON_WHO = '"client":%s,"method":%s,"host":%s'
_JSON_VERDICT = '"route":%s,"user":%s,"session":%s,"decision":%s'
_TEXT = (
    "time=%s%03dZ logger=gateway.access %s path=%s protocol=%s status=%d "
    "bytes_in=%d bytes_out=%d duration_ms=%d.%03d upstream_ms=%s %s request_id=%s "
    "user_agent=%s\n"
)
_TEXT_WHO = "client=%s method=%s host=%s"
_TEXT_VERDICT = "route=%s user=%s session=%s decision=%s"
REMEMBERED = 2048


class FinishedRequest(NamedTuple):
    """What there is to tell of one request. *duration* and *upstream* are seconds.

    *path* without query. *upstream* is None where no upstream was asked. *decision* is `forward`,
    `refuse:<why>` or `renew:<outcome>`: a fixed word, since it is a label. *user_agent* as sent.
    """

    client: str
    method: str
    host: str
    path: str
    protocol: str
    status: int
    bytes_in: int
    bytes_out: int
    duration: float
    upstream: float | None
    route: str | None
    user: str | None
    session_id: str | None
    decision: str
    request_id: str
    user_agent: bytes | None


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
        in_json = line_format is LineFormat.JSON
        self._template = _JSON if in_json else _TEXT
        self._who = lru_cache(REMEMBERED)(partial(_who, _JSON_WHO if in_json else _TEXT_WHO))
        self._verdict = lru_cache(REMEMBERED)(
            partial(_verdict, _JSON_VERDICT if in_json else _TEXT_VERDICT)
        )
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
        client, method, host, path, protocol, status, bytes_in, bytes_out = request[:8]
        duration, upstream, route, user, session_id, decision, request_id, user_agent = request[8:]
        second = int(at)
        if second != self._second:
            self._second = second
            self._prefix = second_prefix(second)
        # Whole numbers: a float costs three times as much to write.
        microseconds = round(duration * 1e6)
        return self._template % (
            self._prefix,
            (at - second) * 1000,
            self._who(client, method, host[:TEXT_LIMIT]),
            _path_again(path) if len(path) <= TEXT_LIMIT else _path(path),
            quoted_again(protocol),
            status,
            bytes_in,
            bytes_out,
            microseconds // 1000,
            microseconds % 1000,
            "null" if upstream is None else _milliseconds(upstream),
            self._verdict(route, user and user[:TEXT_LIMIT], session_id, decision),
            _quoted_id(request_id),
            _agent(user_agent and user_agent[:TEXT_LIMIT]),
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


def _who(template: str, client: str, method: str, host: str) -> str:
    return template % (quoted(client), quoted(method[:TEXT_LIMIT]), quoted(host))


def _verdict(
    template: str, route: str | None, user: str | None, session_id: str | None, decision: str
) -> str:
    return template % (
        _quoted_or_null(route),
        _quoted_or_null(user),
        _quoted_or_null(session_id and session_hash(session_id)),
        quoted(decision),
    )


def _path(path: str) -> str:
    # Callers give a path; a query that slips through with it would be a secret in the log.
    return quoted(path.partition("?")[0][:PATH_LIMIT])


_path_again = lru_cache(REMEMBERED)(_path)


@lru_cache(REMEMBERED)
def _agent(user_agent: bytes | None) -> str:
    return "null" if user_agent is None else quoted(user_agent.decode("latin-1"))


def _quoted_id(request_id: str) -> str:
    # Ours are letters and digits, which need no quoting.
    if request_id.isascii() and request_id.isalnum() and len(request_id) <= TEXT_LIMIT:
        return f'"{request_id}"'
    return quoted(request_id[:TEXT_LIMIT])


def _milliseconds(seconds: float) -> str:
    microseconds = round(seconds * 1e6)
    return f"{microseconds // 1000}.{microseconds % 1000:03d}"


def _quoted_or_null(text: str | None) -> str:
    return "null" if text is None else quoted(text)
