"""A file is read again when it changes, and a bad content never replaces a good one."""

import asyncio
import os
import threading

import pytest

from gateway.identity.watched_file import BadFile, BadText, Problem, WatchedFile
from tests.fakes import FakeClock


def number(text: str) -> int:
    if not text.strip().isdigit():
        raise BadText(Problem(1, 1, f"{text.strip()!r} is not a number"), Problem(2, 3, "and more"))
    return int(text)


class Watched:
    """A watched file with a number in it."""

    def __init__(self, path):
        self.path = path
        self.clock = FakeClock()
        self.bad = []
        path.write_text("1")
        self.file = WatchedFile(path, number, now=self.clock, on_bad=self.bad.append)

    async def later(self):
        self.clock.advance(1)
        return await self.file.content()


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path / "number")


async def test_a_change_counts_a_second_later(watched):
    watched.path.write_text("22")

    assert await watched.file.content() == 1  # looked at less than a second ago
    assert await watched.later() == 22
    assert watched.file.last() == 22


async def test_a_clock_set_back_does_not_stop_the_looking(watched):
    watched.path.write_text("22")
    watched.clock.advance(-3600)

    assert await watched.file.content() == 22


async def test_a_replaced_file_of_same_size_and_time_is_noticed(watched):
    before = watched.path.stat()
    other = watched.path.with_suffix(".new")
    other.write_text("2")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(watched.path)

    assert await watched.later() == 2


async def test_a_bad_content_is_reported_once_and_the_good_one_stays(watched):
    watched.path.write_text("x")

    assert [await watched.later() for _ in range(3)] == [1, 1, 1]
    assert [str(bad) for bad in watched.bad] == [
        f"{watched.path}:1:1: 'x' is not a number\n{watched.path}:2:3: and more"
    ]

    watched.path.write_text("3")
    assert await watched.later() == 3

    watched.path.write_text("x")
    await watched.later()
    assert len(watched.bad) == 2


@pytest.mark.parametrize("content", [b"\xff", b"9" * (16 * 1024 * 1024 + 1)])
async def test_what_is_not_text_or_too_large_is_bad(watched, content):
    watched.path.write_bytes(content)

    assert await watched.later() == 1
    assert len(watched.bad) == 1


async def test_the_place_of_a_byte_that_is_not_utf8_is_named(watched):
    watched.path.write_bytes(b"ab\ncd\xff")
    await watched.later()

    assert str(watched.bad[0]) == f"{watched.path}:2:3: not UTF-8"


async def test_a_file_that_vanishes_is_reported_once_and_comes_back(watched):
    watched.path.unlink()

    assert [await watched.later() for _ in range(3)] == [1, 1, 1]
    assert [str(bad) for bad in watched.bad] == [f"{watched.path}: No such file or directory"]

    watched.path.write_text("4")
    assert await watched.later() == 4


async def test_a_file_that_cannot_be_read_for_a_while_is_read_again_unchanged(watched):
    watched.path.unlink()
    watched.path.mkdir()

    assert await watched.later() == 1
    assert "directory" in str(watched.bad[0])
    watched.path.rmdir()
    watched.path.write_text("5")

    assert await watched.later() == 5


def test_a_bad_file_cannot_be_opened(tmp_path):
    path = tmp_path / "number"
    with pytest.raises(BadFile, match="No such file"):
        WatchedFile(path, number, now=FakeClock(), on_bad=print)
    path.write_text("x")

    with pytest.raises(BadFile) as bad:
        WatchedFile(path, number, now=FakeClock(), on_bad=print)
    assert bad.value.problems == (Problem(1, 1, "'x' is not a number"), Problem(2, 3, "and more"))


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "number"
    path.write_bytes(b"\xef\xbb\xbf7")

    assert WatchedFile(path, number, now=FakeClock(), on_bad=print).last() == 7


async def test_while_one_reads_the_others_go_on_with_the_last_content(tmp_path):
    path, clock = tmp_path / "number", FakeClock()
    path.write_text("1")
    reading, go_on = threading.Event(), threading.Event()
    reads = []

    def slowly(text: str) -> int:
        reads.append(text)
        if len(reads) > 1:
            reading.set()
            go_on.wait()
        return number(text)

    file = WatchedFile(path, slowly, now=clock, on_bad=print)
    path.write_text("22")
    clock.advance(1)
    first = asyncio.ensure_future(file.content())
    await asyncio.to_thread(reading.wait)
    clock.advance(1)

    assert await file.content() == 1
    go_on.set()
    assert await first == 22
    assert len(reads) == 2
