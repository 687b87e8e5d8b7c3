"""A child process as its parent sees it, and how it comes into the world."""

import os
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from gateway.app.seat import Seat
from gateway.app.serving import exit_code_of
from gateway.app.sockets import Sockets
from gateway.app.source import Source
from gateway.config.values import Config
from gateway.workers.channel import Others
from gateway.workers.ends import Ends
from gateway.workers.lifeline import RELOAD_OTHERS, Lifeline
from gateway.workers.post import Post
from gateway.workers.shared_counts import SharedCounts
from gateway.workers.signals import Signals
from gateway.workers.worker import work

_WORDS_AT_ONCE = 64


@dataclass(slots=True, eq=False)
class Child:
    """*end* is the parent's end of the lifeline: the child notices when it is gone."""

    pid: int
    end: socket.socket
    started: float = field(default_factory=time.monotonic)

    def age(self) -> float:
        return time.monotonic() - self.started

    def words(self) -> bytes:
        """Return what it has said since, a word in each byte."""
        try:
            return self.end.recv(_WORDS_AT_ONCE)
        except OSError:
            return b""

    def tell(self, word: int) -> None:
        """Say *word*; it waits until the child listens."""
        with suppress(OSError):
            self.end.send(bytes([word]))

    def ended(self) -> int | None:
        """Return its exit code, or minus the signal that ended it; None while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def close(self) -> None:
        self.end.close()


class Inherited(Protocol):
    """What a place has that a child may inherit."""

    number: int
    sockets: Sockets
    channel: Ends
    box: Ends
    connections: SharedCounts
    attempts: SharedCounts
    child: Child | None


def fork(
    mine: Inherited, places: Sequence[Inherited], config: Config, source: Source, signals: Signals
) -> Child:
    """Start a worker at *mine*, one of *places*."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)  # noqa: FBT003 - the standard library's signature
    # Else both processes would write what is waiting in the buffers.
    sys.stdout.flush()
    sys.stderr.flush()
    with signals.held_back():
        pid = os.fork()
        if pid == 0:
            ours.close()
            _live(mine, places, config, source, signals, Lifeline(theirs))
    theirs.close()
    return Child(pid, ours)


def _live(
    mine: Inherited,
    places: Sequence[Inherited],
    config: Config,
    source: Source,
    signals: Signals,
    lifeline: Lifeline,
) -> NoReturn:
    code = 1
    try:
        signals.forget()
        _let_go(mine, places)
        writing = [place.box.writing for place in places if place is not mine]
        post = Post(mine.box.reading, writing, mine.attempts)
        others = _others(mine, places, lifeline)
        seat = Seat(mine.number, mine.sockets, mine.connections, post, others)
        answering = None if mine.number == 0 else mine.channel.reading
        code = exit_code_of(work(config, source, seat, lifeline, post, answering))
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as a parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _let_go(mine: Inherited, places: Sequence[Inherited]) -> None:
    """Close what belongs to others: a socket lives for as long as anybody has it open."""
    for place in places:
        if place.child is not None:
            place.child.close()
        if place is mine:
            continue
        for each in place.sockets:
            if each not in mine.sockets:
                each.close()
        place.channel.reading.close()
        place.box.reading.close()
        if mine.number != 0:
            place.channel.writing.close()


def _others(mine: Inherited, places: Sequence[Inherited], lifeline: Lifeline) -> Others | None:
    """Only the first has the operations port, and so somebody to ask."""
    if mine.number != 0:
        return None
    channels = {place.number: place.channel.writing for place in places if place is not mine}
    return Others(channels, lambda: lifeline.say(RELOAD_OTHERS))
