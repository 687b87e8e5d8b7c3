"""The parent of the workers never waits for whoever reads its log, and never ends for it."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.config.values import Log
from gateway.workers.parent_log import configure

_log = logging.getLogger("gateway.workers")


@pytest.fixture
def logs_to(monkeypatch):
    """Log as the parent does, to a descriptor in the place of standard output."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level

    @contextmanager
    def begin(output: int) -> Iterator[None]:
        with os.fdopen(output, "w") as out, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", out)
            configure(Log("info", access=True, format="json"))
            yield

    yield begin
    for each in set(root.handlers) - set(before):
        root.removeHandler(each)
    root.setLevel(level)


def test_a_line_is_written(logs_to):
    reading, writing = os.pipe()
    with logs_to(writing):
        _log.error("worker 1 died")
    with os.fdopen(reading) as written:
        assert "worker 1 died" in written.read()


def test_a_reader_that_reads_no_more_is_not_waited_for(logs_to):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)

    with logs_to(writing):
        _log.error("worker 1 died")

    os.close(reading)


def test_a_reader_that_is_gone_ends_nothing(logs_to):
    reading, writing = os.pipe()
    os.close(reading)

    with logs_to(writing):
        _log.error("worker 1 died")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full by itself is Linux")
def test_a_full_disk_ends_nothing(logs_to):
    with logs_to(os.open("/dev/full", os.O_WRONLY)):
        _log.error("worker 1 died")
