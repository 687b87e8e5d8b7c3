"""The access log: one harmless line per request, written late, bounded, and cheap."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability import access_log
from gateway.observability.access_log import (
    FLUSH_AFTER_SECONDS,
    FLUSH_AT_BYTES,
    RENDERED_TOGETHER,
    AccessLog,
    FinishedRequest,
)
from gateway.observability.line import LineFormat, session_hash
from tests.fakes import FakeClock

FIELDS = [
    "time", "logger", "client", "method", "host", "path", "protocol", "status", "bytes_in",
    "bytes_out", "duration_ms", "upstream_ms", "route", "user", "session", "decision",
    "request_id", "user_agent",
]  # fmt: skip


@dataclass
class Sink:
    """Takes batches while it has room, and remembers what was planned for later."""

    room: bool = True
    batches: list[str] = field(default_factory=list)
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def write(self, batch: str) -> bool:
        if self.room:
            self.batches.append(batch)
        return self.room

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.later.append((delay, callback))

    @property
    def lines(self) -> list[str]:
        return "".join(self.batches).splitlines(keepends=True)


def make(line_format=LineFormat.JSON, clock=None) -> tuple[AccessLog, Sink]:
    sink = Sink()
    return AccessLog(sink.write, clock or FakeClock(), line_format, sink.call_later), sink


def note(log: AccessLog, **changed: object) -> None:
    request = {
        "client": "203.0.113.9",
        "method": "GET",
        "host": "app.example.org",
        "path": "/articles/2024",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes_in": 0,
        "bytes_out": 5123,
        "duration": 0.0123456,
        "upstream": 0.0111,
        "route": "/*",
        "user": "alice",
        "session_id": "AAAAAAAAAAAAAAAAAAAAAA",
        "decision": "forward",
        "request_id": "00000001",
        "user_agent": b"curl/8",
    }
    log.record(FinishedRequest(**(request | changed)))  # type: ignore[arg-type]


def test_a_request_is_one_json_line_with_fields_in_a_stable_order():
    log, sink = make()

    note(log)
    log.flush()

    (line,) = sink.lines
    entry = json.loads(line)
    assert list(entry) == FIELDS
    assert entry["time"] == "2027-01-15T08:00:00.000Z"
    assert entry["duration_ms"] == 12.346
    assert entry["upstream_ms"] == 11.1
    assert entry["session"] == session_hash("AAAAAAAAAAAAAAAAAAAAAA")


def test_the_text_format_has_the_same_fields_in_the_same_order():
    log, sink = make(LineFormat.TEXT)

    note(log, user_agent=b"Mozilla/5.0 (X11)")
    log.flush()

    (line,) = sink.lines
    names = [part.partition("=")[0] for part in line.split(" ") if "=" in part]
    assert names == FIELDS
    assert line.endswith('user_agent="Mozilla/5.0 (X11)"\n')


def test_what_is_not_known_is_null():
    log, sink = make()

    note(log, upstream=None, route=None, user=None, session_id=None, user_agent=None)
    log.flush()

    entry = json.loads(sink.lines[0])
    absent = {"upstream_ms", "route", "user", "session", "user_agent"}
    assert {name for name, value in entry.items() if value is None} == absent


WIRE = st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")) | st.binary(max_size=300).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)


@pytest.mark.parametrize("line_format", LineFormat)
@given(
    method=WIRE,
    host=WIRE,
    path=WIRE,
    user_agent=st.binary(max_size=300),
    user=WIRE,
    request_id=WIRE,
)
def test_r10_any_bytes_of_a_client_give_exactly_one_line(
    line_format, method, host, path, user_agent, user, request_id
):
    log, sink = make(line_format)

    note(
        log,
        method=method,
        host=host,
        path=path,
        user_agent=user_agent,
        user=user,
        request_id=request_id,
    )
    log.flush()

    (line,) = sink.batches
    assert line.count("\n") == 1
    assert all(" " <= character <= "~" for character in line[:-1])
    if line_format is LineFormat.JSON:
        assert list(json.loads(line)) == FIELDS


@pytest.mark.parametrize("path", ["/a?token=s3cret", "/a?", "/a?b?c=s3cret"])
def test_r10_a_query_never_reaches_the_log(path):
    log, sink = make()

    note(log, path=path)
    log.flush()

    assert json.loads(sink.lines[0])["path"] == "/a"


def test_r10_a_session_id_never_reaches_the_log():
    log, sink = make()

    note(log, session_id="SESSIONIDSESSIONIDSESS")
    log.flush()

    assert "SESSIONID" not in sink.lines[0]


def test_overlong_values_are_cut():
    log, sink = make()
    long = "x" * 30_000

    note(
        log, method=long, host=long, path=long, user=long, user_agent=long.encode(), request_id=long
    )
    log.flush()

    assert len(sink.lines[0]) < 3_000


@pytest.mark.parametrize("name", ["client", "host", "route", "user", "decision", "request_id"])
@pytest.mark.parametrize("line_format", LineFormat)
def test_a_percent_sign_is_nothing_special(name, line_format):
    log, sink = make(line_format)

    for _ in range(2):
        note(log, **{name: "100%s %d %%"}, user_agent=b"%s%%", path="/%2541%s")
    log.flush()

    first, second = sink.lines
    assert first == second
    assert first.count('"100%s %d %%"') == 1
    assert first.count('"%s%%"') == 1
    assert first.count('"/%2541%s"') == 1


def test_what_is_remembered_of_requests_is_bounded_in_number_and_in_length():
    log, sink = make()

    for number in range(5000):
        note(log, user=f"user{number}")
    log.flush()
    kept = log._templates.held()
    note(log, user="new", user_agent=b"a" * 30_000)
    log.flush()

    assert 1024 <= kept <= 2048
    assert log._templates.held() == kept
    assert len(sink.lines) == 5001


@pytest.fixture
def paths():
    """Return what is remembered of paths: nothing at first, and nothing for the next test."""
    access_log._path_again.cache_clear()
    yield access_log._path_again.cache_info
    access_log._path_again.cache_clear()


def test_paths_that_never_come_again_take_bounded_room(paths):
    log, sink = make()

    for number in range(5000):
        note(log, path=f"/made-up/{number}")
    log.flush()

    assert paths().currsize == 1024
    assert len(set(sink.lines)) == 5000


def test_a_path_that_is_long_is_not_remembered(paths):
    log, sink = make()

    note(log, path="/" + "a" * 30_000)
    log.flush()

    assert paths().currsize == 0
    assert len(sink.lines) == 1


def test_the_time_follows_the_clock_within_and_across_seconds():
    clock = FakeClock(1_800_000_000.25)
    log, sink = make(clock=clock)

    for step in (0.5, 0.5, -2.0):
        note(log)
        clock.advance(step)
    note(log)
    log.flush()

    seconds = [json.loads(line)["time"][17:] for line in sink.lines]
    assert seconds == ["00.250Z", "00.750Z", "01.250Z", "59.250Z"]


def test_lines_wait_for_one_timer_and_are_written_together():
    log, sink = make()

    for _ in range(3):
        note(log)

    assert sink.batches == []
    ((delay, flush),) = sink.later
    assert delay == FLUSH_AFTER_SECONDS
    flush()
    assert len(sink.batches) == 1
    assert len(sink.lines) == 3


def test_an_idle_log_plans_nothing_and_writes_nothing():
    log, sink = make()

    log.flush()

    assert sink.later == []
    assert sink.batches == []


def test_a_full_batch_does_not_wait_for_the_timer():
    log, sink = make()

    while not sink.batches:
        note(log)

    assert FLUSH_AT_BYTES <= len(sink.batches[0]) < FLUSH_AT_BYTES + RENDERED_TOGETHER * 1000
    assert len(sink.later) == 1


def test_a_timer_that_finds_nothing_leaves_the_next_request_one_of_its_own():
    log, sink = make()
    log.flush()
    note(log)
    ((_, first),) = sink.later
    log.flush()
    first()

    note(log)

    (_, (_, second)) = sink.later
    second()
    assert len(sink.lines) == 2


def test_lines_tell_when_a_request_finished_and_not_when_they_were_written():
    clock = FakeClock(1_800_000_000.25)
    log, sink = make(clock=clock)

    note(log)
    clock.advance(60.0)
    log.flush()

    assert json.loads(sink.lines[0])["time"] == "2027-01-15T08:00:00.250Z"


@pytest.mark.parametrize("line_format", LineFormat)
def test_dropped_lines_are_counted_and_said_once_there_is_room(line_format):
    log, sink = make(line_format)
    sink.room = False
    for _ in range(2):
        note(log)
        note(log)
        log.flush()
    sink.room = True

    for _ in range(2):
        note(log)
        log.flush()

    assert log.dropped == 4
    said, *rest = sink.lines
    assert "dropped, the output" not in "".join(rest)
    assert len(rest) == 2
    assert {LineFormat.JSON: '"dropped":4}', LineFormat.TEXT: "dropped=4\n"}[line_format] in said
