"""The parent of the workers outlives whatever keeps one of them from being started."""

import errno
import logging
import socket

import pytest
import yaml

from gateway.app.source import Source
from gateway.workers import supervisor
from gateway.workers.child import Child
from gateway.workers.lifeline import IS_REFUSED
from gateway.workers.signals import Signals
from gateway.workers.supervisor import Supervisor


@pytest.fixture
def parent(tmp_path):
    (tmp_path / "users.yaml").write_text("users: {}")
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "listen": "127.0.0.1:0",
                "workers": 3,
                "upstreams": {"app": "http://127.0.0.1:1"},
                "routes": [{"path": "/*", "upstream": "app"}],
                "login": [{"users": "users.yaml"}],
            }
        )
    )
    source = Source(str(tmp_path / "config.yaml"), {})
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    parent = Supervisor(source.read(), source)
    for each in set(root.handlers) - set(before):
        root.removeHandler(each)
    yield parent
    root.setLevel(level)
    for place in parent._places:
        place.release()
        place.channel.close()
        place.box.close()


def test_where_no_process_can_be_had_for_the_others_they_are_tried_again(
    parent, monkeypatch, caplog
):
    def no_more(*_arguments):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(supervisor, "fork", no_more)
    with Signals() as signals:
        parent._start_the_others(signals)

    assert [place.due is not None for place in parent._places] == [False, True, True]
    assert "worker 2 cannot be started" in caplog.text


def test_a_dead_worker_leaves_neither_connections_nor_attempts_to_be_counted(parent):
    first, second, _ = parent._places
    for place in (first, second):
        place.connections.add("192.0.2.1")
        place.attempts.add("somebody")
    ours, theirs = socket.socketpair()
    with theirs:
        second.vacate(Child(0, ours))

    assert second.child is None
    for counts in (first.connections, first.attempts):
        assert counts.total() == 1
    assert first.connections.of("192.0.2.1") == 1
    assert first.attempts.of("somebody") == 1


class Worker:
    """What the parent sees of a worker that lives: what it says, and what it was told."""

    def __init__(self) -> None:
        self.said: list[int] = []
        self.told: list[int] = []

    def words(self) -> bytes:
        said, self.said = bytes(self.said), []
        return said

    def tell(self, word: int) -> None:
        self.told.append(word)


def look(parent: Supervisor) -> None:
    for _ in range(3):
        parent._look_at = 0.0
        parent._look_at_the_file()


@pytest.mark.parametrize("last", ["the one that follows", "the one that refuses"])
def test_while_one_worker_refuses_a_file_all_are_told_again_when_it_is_mended(
    parent, monkeypatch, tmp_path, last
):
    monkeypatch.setattr(supervisor, "configure", lambda _log: None)
    refusing, following = parent._places[:2]
    refusing.child, following.child = Worker(), Worker()
    number = parent._reload(parent._places)
    (tmp_path / "users.yaml").write_text("users: {  }")
    look(parent)
    assert following.child.told == [number], "whoever uses the file watches it"

    refusing.child.said, following.child.said = [IS_REFUSED], [number]
    order = [refusing, following] if last == "the one that follows" else [following, refusing]
    for place in order:
        parent._listen_to(place, None)
    look(parent)
    assert refusing.child.told == [number, number + 1]

    refusing.child.said = [number + 1]
    parent._listen_to(refusing, None)
    (tmp_path / "users.yaml").write_text("users: {}")
    look(parent)
    assert refusing.child.told == following.child.told == [number, number + 1]
