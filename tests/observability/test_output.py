"""Output over real pipes: nobody waits for a slow reader, and lines stay whole."""

import contextlib
import fcntl
import os
import select
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability.output import Output, _pieces


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(fd)


def read_all(reader: int) -> bytes:
    parts = []
    while part := os.read(reader, 1 << 16):
        parts.append(part)
    return b"".join(parts)


def test_lines_arrive_in_the_order_they_were_given(pipe):
    reader, writer = pipe
    output = Output(writer)

    for number in range(1000):
        assert output.write(f"line {number}\n")

    assert output.close()
    os.close(writer)
    assert read_all(reader).decode().splitlines() == [f"line {number}" for number in range(1000)]


def test_a_stuck_reader_blocks_nobody_and_holds_bounded_memory(pipe):
    _reader, writer = pipe
    output = Output(writer, capacity=200_000)
    line = "x" * 999 + "\n"

    taken = [output.write(line) for _ in range(1000)]

    assert taken[0]
    assert not taken[-1]
    # The pipe itself holds 64 KiB; what the thread has in hand counts until it is written.
    assert 190 <= sum(taken) <= 270
    assert output.dropped == 1000 - sum(taken)
    assert not output.close(timeout=0.01)


def test_a_reader_that_comes_back_gets_everything_that_was_taken(pipe):
    reader, writer = pipe
    output = Output(writer, capacity=200_000)
    line = "x" * 999 + "\n"
    taken = sum(output.write(line) for _ in range(1000))
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(read_all(reader)))
    thread.start()

    assert output.flush(timeout=10)
    assert output.write("again\n")

    assert output.close()
    os.close(writer)
    thread.join()
    assert got[0] == line.encode() * taken + b"again\n"


def test_a_reader_that_went_away_is_counted_and_stops_nothing(pipe):
    reader, writer = pipe
    output = Output(writer)
    os.close(reader)

    assert output.write("one\ntwo\n")
    assert output.flush()
    assert output.write("three\n")
    assert output.close()

    assert output.dropped == 3


def test_nothing_is_taken_after_the_end(pipe):
    _reader, writer = pipe
    output = Output(writer)
    output.write("last\n")
    output.close()

    assert not output.write("too late\n")
    assert output.dropped == 1


def test_an_output_that_was_never_used_ends_at_once_and_leaves_nothing_open(pipe):
    reader, writer = pipe

    output = Output(writer)
    assert output.close()
    assert output.close()

    os.close(writer)
    assert read_all(reader) == b""


def test_a_descriptor_made_non_blocking_by_someone_else_still_gets_whole_lines(pipe):
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
    output = Output(writer)
    lines = "x" * 200_000 + "\n"
    output.write(lines)
    while not select.select([reader], [], [], 0)[0]:
        time.sleep(0)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(read_all(reader)))
    thread.start()

    assert output.close(timeout=10)

    os.close(writer)
    thread.join()
    assert got[0] == lines.encode()


def test_processes_that_share_a_pipe_do_not_mix_within_a_line(pipe):
    reader, writer = pipe
    outputs = [Output(writer, shared=True) for _ in range(4)]
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(read_all(reader)))
    thread.start()

    for number, output in enumerate(outputs):
        output.write((str(number) * 700 + "\n") * 1000)

    assert all(output.close(timeout=10) for output in outputs)
    os.close(writer)
    thread.join()
    lines = got[0].decode().splitlines()
    assert len(lines) == 4000
    assert {(len(line), len(set(line))) for line in lines} == {(700, 1)}


@given(st.lists(st.integers(0, 40)), st.integers(1, 30))
def test_pieces_are_whole_lines_and_lose_nothing(lengths, size):
    lines = [b"x" * length + b"\n" for length in lengths]

    pieces = _pieces(b"".join(lines), size)

    assert b"".join(pieces) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= size or piece.count(b"\n") == 1 for piece in pieces)
