"""Workers behind one port hold the limits of connections, and of failed sign-ins, together."""

import http.client
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.client import Client
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, free_port, until, write_config

WORKERS = 3
OTHER = "127.0.0.2"
# Failures of one account from one network, until it is closed to it.
MAY_FAIL = 10


class Connection:
    """A client's connection, kept until it is closed."""

    def __init__(self, port: int, source: str) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=15, source_address=(source, 0)
        )
        self._connection.connect()

    def ask(self) -> int:
        """Return the status of the answer; 0 where the connection is broken."""
        try:
            self._connection.request("GET", "/x", headers={"Host": "localhost"})
            with self._connection.getresponse() as answer:
                answer.read()
                return answer.status
        except (OSError, http.client.HTTPException):
            return 0

    def close(self) -> None:
        self._connection.close()


class Site:
    """A gateway with several workers, and the connections of its clients."""

    def __init__(self, gateway: Running, config: dict[str, object], operations: int) -> None:
        self.gateway = gateway
        self.config = config
        self.operations = Client(operations)
        self.kept: list[Connection] = []
        until(lambda: len(self.workers()) == WORKERS, "every worker listens")

    def workers(self) -> list[int]:
        """Return the processes that said that they listen, and still live."""
        said = re.findall(r"listening on .*\(process (\d+)\)", self.gateway.log)
        return [int(pid) for pid in said if Path(f"/proc/{pid}").exists()]

    def opened(self, count: int, source: str = "127.0.0.1") -> Counter[int]:
        """Open connections one by one, keep those that are let in, and return their answers."""
        outcomes: Counter[int] = Counter()
        for _ in range(count):
            before = self.connections()
            connection = Connection(self.gateway.port, source)
            status = connection.ask()
            outcomes[status] += 1
            if status == 200:
                self.kept.append(connection)
            else:
                connection.close()
                self.settled(before)
        return outcomes

    def close(self, count: int) -> None:
        """Close so many, and wait until the gateway has seen it."""
        left = self.connections() - count
        for connection in self.kept[:count]:
            connection.close()
        del self.kept[:count]
        self.settled(left)

    def settled(self, count: int) -> None:
        until(lambda: self.connections() == count, f"{count} connections are left")

    def connections(self) -> int:
        """Return how many there are at all workers, as each of them tells."""
        return sum(self.connections_of_each())

    def connections_of_each(self) -> list[int]:
        found: list[str] = []

        def told() -> bool:
            with suppress(ConnectionError):
                text = self.operations.get("/metrics").body.decode()
                found[:] = re.findall(r"^gateway_connections\{.*\} (\d+)", text, re.MULTILINE)
            return len(found) == WORKERS

        until(told, "every worker tells")
        return [int(each) for each in found]

    def reload(self, **limits: object) -> None:
        """Serve with other *limits*."""
        before = len(self.gateway.events("config.reloaded"))
        new = self.gateway.folder / "new"
        new.mkdir(exist_ok=True)
        self.config["limits"] = limits
        write_config(new, self.config).replace(self.gateway.folder / "config.yaml")
        self.gateway.process.send_signal(signal.SIGHUP)
        until(
            lambda: len(self.gateway.events("config.reloaded")) >= before + WORKERS,
            "every worker has reloaded",
        )


@pytest.fixture
def limited(start_gateway: StartGateway, app: EchoApp) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def start(**limits: object) -> Site:
        operations = free_port()
        config = smallest(
            app,
            workers=WORKERS,
            routes=[{"path": "/*", "upstream": "app", "access": "public"}],
            operations=f"127.0.0.1:{operations}",
            log={"access": False},
            limits=limits,
        )
        sites.append(Site(start_gateway(config), config, operations))
        return sites[-1]

    yield start
    for site in sites:
        for connection in site.kept:
            connection.close()


def test_all_workers_together_have_no_more_than_the_limit(limited: Callable[..., Site]):
    site = limited(connections=24)

    assert site.opened(24) == {200: 24}
    assert site.opened(6) == {503: 6}
    assert all(connection.ask() == 200 for connection in site.kept)

    site.close(10)
    assert site.opened(11) == {200: 10, 503: 1}


def test_all_workers_together_have_no_more_of_one_address(limited: Callable[..., Site]):
    site = limited(connections_per_address=8)

    assert site.opened(8) == {200: 8}
    assert site.opened(6) == {429: 6}
    assert site.opened(9, OTHER) == {200: 8, 429: 1}

    site.close(3)
    assert site.opened(4) == {200: 3, 429: 1}
    assert all(connection.ask() == 200 for connection in site.kept)


def test_a_worker_that_is_killed_leaves_its_places_to_others(limited: Callable[..., Site]):
    site = limited(connections=30, connections_per_address=20)
    assert site.opened(20) == {200: 20}
    assert site.opened(10, OTHER) == {200: 10}

    for victim in site.workers():
        os.kill(victim, signal.SIGKILL)
        until(
            lambda victim=victim: victim not in site.workers() and len(site.workers()) == WORKERS,
            "there is another",
        )
        site.kept = [connection for connection in site.kept if connection.ask() == 200]
        free = 30 - len(site.kept)
        site.settled(30 - free)

        # As many as there are places, whoever had them.
        assert site.opened(free, "127.0.0.3")[200] == min(free, 20)
        site.close(len(site.kept))
        assert site.opened(21) == {200: 20, 429: 1}
        assert site.opened(11, OTHER) == {200: 10, 503: 1}


def test_limits_that_change_count_connections_that_were_there(limited: Callable[..., Site]):
    site = limited(connections=20)
    assert site.opened(9) == {200: 9}

    site.reload(connections=20, connections_per_address=6)
    assert site.opened(1) == {429: 1}
    assert site.opened(7, OTHER) == {200: 6, 429: 1}
    assert all(connection.ask() == 200 for connection in site.kept), "nobody loses what he has"

    site.reload(connections=12)
    assert site.opened(1) == {503: 1}
    site.close(4)
    assert site.opened(2) == {200: 1, 503: 1}


def guess(site: Site, username: str = "alice") -> int:
    return Client(site.gateway.port).sign_in(username, "a guess").status


def test_a_guesser_has_no_more_attempts_for_there_being_several_workers(
    limited: Callable[..., Site],
):
    site = limited()
    outcomes = Counter(guess(site) for _ in range(4 * MAY_FAIL))

    assert outcomes == {401: MAY_FAIL, 429: 3 * MAY_FAIL}
    assert all(Client(site.gateway.port).sign_in().status == 429 for _ in range(4 * WORKERS))
    assert Client(site.gateway.port).sign_in("bob").status == 200


def test_a_burst_of_guesses_at_all_workers_gets_no_further_than_one_by_one(
    limited: Callable[..., Site],
):
    site = limited()
    for username in ("alice", "bob", "nobody", "somebody"):
        with ThreadPoolExecutor(4 * MAY_FAIL) as threads:
            outcomes = Counter(threads.map(lambda name: guess(site, name), [username] * 40))

        # Without a lock, each of the others may have let one in at the very moment.
        assert outcomes.keys() == {401, 429}
        assert MAY_FAIL <= outcomes[401] < MAY_FAIL + WORKERS


def test_a_sign_in_at_one_worker_forgives_the_failures_at_all(limited: Callable[..., Site]):
    site = limited()
    for _ in range(3):
        assert {guess(site) for _ in range(MAY_FAIL - 1)} == {401}
        assert Client(site.gateway.port).sign_in().status == 200
