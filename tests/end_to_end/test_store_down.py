"""A store that is down costs nobody their session, and no request waits beyond its deadline."""

import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.client import ACCESS, NAVIGATE, REFRESH, Client
from tests.end_to_end.conftest import shared_config
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.fleet import Fleet
from tests.end_to_end.running import until
from tests.faults.link import Fault, Link
from tests.sessions.servers import Postgres, Redis

# What the adapters allow a call, and what a busy machine may add.
DEADLINE = {"redis": 1.0, "postgresql": 2.0, "sqlite": 2.0}
SLACK = 1.5

Outage = Callable[[], contextlib.AbstractContextManager[None]]


class House:
    """One gateway with a store of its own, and a way to take the store away."""

    def __init__(self, fleet: Fleet, outage: Outage, limit: float) -> None:
        self.fleet = fleet
        self.outage = outage
        self.limit = limit

    def ready(self) -> bool:
        return self.fleet.operations(0, "/readyz")[0] == 200


@contextmanager
def redis_killed(_folder: Path) -> Iterator[tuple[str, Outage]]:
    with Redis.running("--appendonly", "yes", "--appendfsync", "always") as server:

        @contextmanager
        def outage() -> Iterator[None]:
            server.kill()
            try:
                yield
            finally:
                server.start()

        yield server.url, outage


@contextmanager
def redis_frozen(_folder: Path) -> Iterator[tuple[str, Outage]]:
    with Redis.running() as server:

        @contextmanager
        def outage() -> Iterator[None]:
            server.freeze()
            try:
                yield
            finally:
                server.thaw()

        yield server.url, outage


@contextmanager
def redis_half_open(_folder: Path) -> Iterator[tuple[str, Outage]]:
    with Redis.running() as server, Link(server.port).running() as link:
        yield f"redis://127.0.0.1:{link.port}/0", half_open(link)


@contextmanager
def postgresql_half_open(_folder: Path) -> Iterator[tuple[str, Outage]]:
    with Postgres.running() as server, Link(server.port).running() as link:
        yield f"postgresql://postgres@127.0.0.1:{link.port}/postgres", half_open(link)


def half_open(link: Link) -> Outage:
    """Bytes vanish, and the connections that lost some stay as they are for ever."""

    @contextmanager
    def outage() -> Iterator[None]:
        link.inject(Fault.BLACKHOLE)
        try:
            yield
        finally:
            link.heal()

    return outage


@contextmanager
def sqlite_locked(folder: Path) -> Iterator[tuple[str, Outage]]:
    @contextmanager
    def outage() -> Iterator[None]:
        connection = sqlite3.connect(folder / "gateway.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.close()

    yield f"sqlite:///{folder}/gateway.db", outage


@contextmanager
def sqlite_on_a_full_disk(folder: Path) -> Iterator[tuple[str, Outage]]:
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:

        @contextmanager
        def outage() -> Iterator[None]:
            filler = disk / "filler"
            try:
                fill(filler)
                yield
            finally:
                filler.unlink()

        yield f"sqlite:///{disk}/gateway.db", outage
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(filler: Path) -> None:
    """Leave no byte of the disk."""
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


WAYS = [
    redis_killed,
    redis_frozen,
    redis_half_open,
    postgresql_half_open,
    sqlite_locked,
    sqlite_on_a_full_disk,
]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: way.__name__)
def house(request, tmp_path_factory: pytest.TempPathFactory, app: EchoApp) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("house")
    with ExitStack() as stack:
        url, outage = stack.enter_context(request.param(folder))
        # No delivery, no grace: every renewal rotates, so that every renewal has to write.
        config = shared_config(app, folder, url, sessions={"grace": "0s", "delivery": "0s"})
        fleet = stack.enter_context(Fleet(folder, config, size=1).running())
        limit = DEADLINE[request.param.__name__.partition("_")[0]]
        yield House(fleet, outage, limit)


def timed(ask: Callable[[], object]) -> tuple[object, float]:
    begun = time.monotonic()
    return ask(), time.monotonic() - begun


def test_r1_the_signed_in_go_on_the_rest_wait_and_everything_comes_back_by_itself(house: House):
    alice = house.fleet.client().signed_in()
    late = house.fleet.client().signed_in("bob")
    late.forget(ACCESS)
    before = dict(late.jar)
    until(house.ready, "the gateway is ready")
    waits = []

    with house.outage():
        for _ in range(4):
            answer, took = timed(lambda: alice.get("/page"))
            assert answer.status == 200
            assert took < 0.75
            for ask in (
                lambda: late.get("/page"),
                lambda: late.request("GET", "/page", NAVIGATE),
                late.refresh,
                lambda: Client(late.port).sign_in(),
            ):
                answer, took = timed(ask)
                waits.append(took)
                assert answer.status == 503
                assert int(answer.header("Retry-After")) >= 1
                assert answer.set_cookies == {}
                assert answer.header("Location") is None
        assert late.jar == before
        until(lambda: not house.ready(), "readiness says so", house.limit + SLACK)
        assert house.fleet.operations(0, "/healthz")[0] == 200
        assert Client(late.port).auth("GET", "/health").status == 200

    assert max(waits) < house.limit + SLACK
    until(lambda: late.refresh().status == 200, "renewals work again", 10)
    assert late.get("/page").status == 200
    until(house.ready, "readiness says so too", 10)
    assert house.fleet.client().sign_in().status == 200


def test_s5_a_sign_out_while_the_store_is_down_is_made_good_when_it_is_back(house: House):
    alice = house.fleet.client().signed_in()
    stolen = alice.copy()
    with house.outage():
        answer = alice.auth("POST", "/logout")
        assert answer.status == 503
        assert all(answer.set_cookies[name].clears for name in (ACCESS, REFRESH))
        assert stolen.copy().get("/page").status in (401, 503), "denied here at once"
    until(lambda: stolen.copy().refresh().status == 401, "the session is over", 20)
