"""Names of upstreams: looked up anew, by one for all, and never one name at the cost of another."""

import asyncio
import socket
import threading
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from gateway.app.dialling import connecting
from gateway.app.names import FRESH_SECONDS, Names, rotated
from gateway.config.routing import target
from tests.fakes import FakeClock, RecordingUpstream


def place(address: str, port: int = 80):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = (address, port, 0, 0) if ":" in address else (address, port)
    return (family, socket.SOCK_STREAM, 6, "", where)


class NameServer:
    """Knows some names; over others it hangs until it is released, or fails."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.hanging: set[str] = set()
        self.released = threading.Event()
        self.asked: Counter[str] = Counter()

    def __call__(self, host: str, port: int):
        self.asked[host] += 1
        if host in self.hanging:
            self.released.wait(10)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [place(address, port) for address in self.known[host]]


@pytest.fixture
def server():
    server = NameServer()
    yield server
    server.released.set()


def addresses(places) -> list[str]:
    return [each[4][0] for each in places]


async def test_a_new_address_is_found_when_the_old_one_is_no_longer_fresh(server):
    clock = FakeClock()
    names = Names(server, clock)
    server.known["app"] = ["10.0.0.1"]
    assert addresses(await names.places("app", 80)) == ["10.0.0.1"]

    server.known["app"] = ["10.0.0.2"]
    assert addresses(await names.places("app", 80)) == ["10.0.0.1"]
    clock.advance(FRESH_SECONDS)

    assert addresses(await names.places("app", 80)) == ["10.0.0.2"]
    assert server.asked["app"] == 2


async def test_a_name_that_hangs_delays_nobody_but_those_who_need_it(server):
    """More of them than any pool of threads has."""
    server.hanging = {f"hangs-{number}" for number in range(40)}
    server.known["app"] = ["10.0.0.1"]
    names = Names(server)
    waiting = [asyncio.ensure_future(names.places(name, 80)) for name in server.hanging]

    async with asyncio.timeout(5):
        assert addresses(await names.places("app", 80)) == ["10.0.0.1"]
    assert not any(each.done() for each in waiting)

    server.released.set()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(failure) for failure in failures} == {socket.gaierror}


async def test_a_crowd_that_waits_for_one_name_asks_once(server):
    server.hanging = {"app"}
    server.known["app"] = ["10.0.0.1"]
    names = Names(server)
    waiting = [asyncio.ensure_future(names.places("app", 80)) for _ in range(50)]
    leaving = asyncio.ensure_future(names.places("app", 80))
    await asyncio.sleep(0)
    leaving.cancel()

    server.released.set()

    assert {tuple(addresses(each)) for each in await asyncio.gather(*waiting)} == {("10.0.0.1",)}
    assert server.asked["app"] == 1


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
async def test_what_is_known_outlives_the_name_server(server, trouble, monkeypatch):
    monkeypatch.setattr("gateway.app.names.PATIENCE_SECONDS", 0.05)
    clock = FakeClock()
    names = Names(server, clock)
    server.known["app"] = ["10.0.0.1"]
    await names.places("app", 80)
    clock.advance(FRESH_SECONDS)
    if trouble == "hangs":
        server.hanging = {"app"}
    else:
        del server.known["app"]

    assert addresses(await names.places("app", 80)) == ["10.0.0.1"]


async def test_an_unknown_name_is_an_error_each_time(server):
    names = Names(server)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await names.places("nowhere", 80)


async def test_where_no_thread_can_be_had_the_next_look_up_tries_again(server, monkeypatch):
    server.known["app"] = ["10.0.0.1"]
    names = Names(server)
    start = threading.Thread.start

    def no_more(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with pytest.raises(OSError, match="can't start new thread"):
        await names.places("app", 80)
    monkeypatch.setattr(threading.Thread, "start", start)

    async with asyncio.timeout(5):
        assert addresses(await names.places("app", 80)) == ["10.0.0.1"]


async def test_whatever_the_look_up_raises_those_who_wait_hear_of_it():
    def odd(_host, _port):
        raise UnicodeError("label too long")

    with pytest.raises(OSError, match="label too long"):
        await Names(odd).places("x" * 64, 80)


def test_each_address_of_the_preferred_family_comes_first_in_turn():
    places = [place("::1"), place("::2"), place("10.0.0.1")]

    turns = [addresses(rotated(places, turn)) for turn in range(2)]

    assert turns == [["::1", "::2", "10.0.0.1"], ["::2", "::1", "10.0.0.1"]]
    assert rotated([], 1) == []


class TestConnecting:
    @pytest.fixture
    async def listening(self):
        """Start upstreams on addresses of the loopback network, all on one port."""
        async with AsyncExitStack() as stack:
            port = 0

            async def start(address: str) -> RecordingUpstream:
                nonlocal port
                upstream = RecordingUpstream()
                server = await asyncio.start_server(upstream._serve, address, port)
                port = upstream.port = server.sockets[0].getsockname()[1]
                stack.callback(server.close)
                stack.push_async_callback(upstream.stop)
                return upstream

            yield start

    async def ask(self, connect) -> None:
        transport, _ = await connect(asyncio.Protocol)
        transport.write(b"GET / HTTP/1.1\r\n\r\n")
        transport.close()

    async def test_connections_are_spread_over_the_addresses_of_a_name(self, server, listening):
        upstreams = [await listening("127.0.0.2"), await listening("127.0.0.3")]
        server.known["app"] = ["127.0.0.2", "127.0.0.3"]
        connect = connecting(target(f"http://app:{upstreams[0].port}"), None, Names(server))

        for _ in range(6):
            await self.ask(connect)

        for upstream in upstreams:
            await upstream.until(lambda upstream=upstream: len(upstream.heads) == 3)

    async def test_an_address_that_refuses_is_passed_over(self, server, listening):
        upstream = await listening("127.0.0.3")
        server.known["app"] = ["127.0.0.2", "127.0.0.3"]
        connect = connecting(target(f"http://app:{upstream.port}"), None, Names(server))

        for _ in range(4):
            await self.ask(connect)

        await upstream.until(lambda: len(upstream.heads) == 4)

    async def test_an_address_that_is_silent_is_passed_over_soon(self, server, listening):
        upstream = await listening("127.0.0.3")
        with socket.create_server(("127.0.0.2", upstream.port), backlog=0) as full:
            fillers = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
                fillers.append(filler)
            server.known["app"] = ["127.0.0.2", "127.0.0.3"]
            connect = connecting(target(f"http://app:{upstream.port}"), None, Names(server))

            async with asyncio.timeout(4):
                for _ in range(4):
                    await self.ask(connect)
            await upstream.until(lambda: len(upstream.heads) == 4)
            for filler in fillers:
                filler.close()

    async def test_numbers_are_looked_up_nowhere(self, server, listening):
        upstream = await listening("127.0.0.2")
        connect = connecting(target(f"http://127.0.0.2:{upstream.port}"), None, Names(server))

        await self.ask(connect)

        assert not server.asked
