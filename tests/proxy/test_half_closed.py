"""A client that has sent all it wants may close its half, and still gets every answer (H20)."""

import asyncio
import re
import socket
from pathlib import Path

import pytest

from tests.fakes import OK
from tests.proxy.conftest import World, until
from tests.proxy.strict_client import Broken, Whole, ask, dial
from tests.proxy.test_exchange import get

REFUSED = get("/x", connection="keep-alive")


async def test_every_pipelined_request_is_answered_also_where_the_answers_are_ours(world: World):
    for _ in range(50):
        answer = await world.send(REFUSED * 3, half_close=True)

        assert answer.count(b"HTTP/1.1 401 ") == 3


async def test_h10_what_comes_while_the_next_request_waits_to_be_read_is_read_after_it(
    world: World,
):
    """Two reads and a request between them: whoever is read first is answered first."""
    client = await world.connect()
    await until(lambda: len(world.listener) == 1)
    connection = next(iter(world.listener._connections))

    connection.data_received(
        get("/1", connection="keep-alive") + get("/2", connection="keep-alive")
    )
    connection.data_received(get("/public/3"))

    answers = await client.rest()
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answers) == [b"401", b"401", b"200"]
    assert re.findall(rb"rd=/(\d)", answers) == [b"1", b"2"]


def looked_at(world: World, times: int) -> bool:
    return any(one._looks >= times for one in world.listener._connections)


@pytest.mark.usefixtures("often")
async def test_a_slow_app_is_waited_for_and_a_probe_is_no_answer(world: World):
    world.upstream.answer = lambda _head: None
    asking = asyncio.create_task(asyncio.to_thread(ask_half_closed, world.port, get("/public/x")))
    await until(lambda: looked_at(world, 8))
    world.upstream.write(OK)

    assert await asking == Whole(200, b"ok", interim=(100, 100))


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked", b"Connection: close"]
)
async def test_an_answer_in_slow_pieces_arrives_whole(world: World, framing: bytes, version: str):
    def piece(data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if b"chunked" in framing else data

    world.upstream.answer = lambda _head: (
        b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + piece(b"first")
    )
    raw = get("/public/x", version=version)
    asking = asyncio.create_task(asyncio.to_thread(ask_half_closed, world.port, raw))
    await until(lambda: looked_at(world, 8))
    world.upstream.write(piece(b"after"))
    await until(lambda: not looked_at(world, 8))
    if b"chunked" in framing:
        world.upstream.write(b"0\r\n\r\n")
    elif b"close" in framing:
        next(iter(world.upstream._writers)).close()

    got = await asking

    assert isinstance(got, Whole)
    assert (got.status, got.body) == (200, b"firstafter")


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"])
async def test_h20_a_client_that_is_gone_answers_a_probe_with_a_reset(world: World, begun: bytes):
    """It has closed in good order, which looks the same as having closed its half."""
    world.upstream.answer = lambda _head: begun
    client = await world.connect()
    client.send(get("/public/x"))
    await world.upstream.until(lambda: len(world.upstream.heads) == 1)
    if begun:
        await client.head()

    client.close()

    await world.upstream.until(lambda: world.upstream.open_connections == 0)
    await world.quiet()
    assert [told.status for told in world.observed.requests] == [200 if begun else 499]


@pytest.mark.usefixtures("often")
async def test_h20_a_client_of_1_0_that_is_gone_is_noticed_at_the_next_piece(world: World):
    """Nothing may be sent to it but its answer."""
    world.upstream.answer = lambda _head: b"HTTP/1.1 200 OK\r\n\r\n"
    client = await world.connect()
    client.send(get("/public/x", version="1.0"))
    await client.head()
    client.close()
    await until(lambda: looked_at(world, 8))
    assert world.upstream.open_connections == 1

    world.upstream.write(b"piece")

    await world.upstream.until(lambda: world.upstream.open_connections == 0)


@pytest.mark.usefixtures("often")
async def test_h20_on_a_unix_socket_one_that_is_gone_is_told_from_one_that_waits(
    world: World, tmp_path: Path
):
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "gateway.sock"))
    await world.listener.listen_on(bound)
    world.upstream.answer = lambda _head: None
    waits = await asyncio.open_unix_connection(tmp_path / "gateway.sock")
    leaves = await asyncio.open_unix_connection(tmp_path / "gateway.sock")
    for _, writer in (waits, leaves):
        writer.write(get("/public/x", version="1.0"))
        writer.write_eof()
    await world.upstream.until(lambda: len(world.upstream.heads) == 2)
    await until(lambda: looked_at(world, 4))

    leaves[1].close()

    await world.upstream.until(lambda: world.upstream.open_connections == 1)
    world.upstream.write(OK)
    assert (await waits[0].read()).endswith(b"\r\n\r\nok")
    waits[1].close()


def ask_half_closed(port: int, raw: bytes) -> Whole | Broken:
    return ask(dial(port, None), raw, half_close=True)
