"""Before its first request: PROXY headers of trusted proxies alone, and handshakes that end."""

import asyncio
import contextlib
import logging
import socket
import ssl
from ipaddress import ip_network

import pytest

from gateway.proxy.proxy_header import LOCAL_HEADER
from tests.proxy.conftest import LOOPBACK, Client, World, listening, over_tls, trusting, until
from tests.proxy.test_exchange import get, status
from tests.proxy.test_proxy_header import SIGNATURE, V4, extension, v2

KEPT = get("/public/x", connection="keep-alive")
V1 = b"PROXY TCP4 203.0.113.9 198.51.100.1 54321 443\r\n"
V2 = v2(0x11, V4)
V2_FROM_V6 = v2(0x21, b"\x20\x01\x0d\xb8" + bytes(11) + b"\7" + bytes(16) + V4[8:])


async def told(world: World) -> tuple[bytes, bytes]:
    """The forwarding lines of the last request that the app got."""
    lines = dict(line.partition(b": ")[::2] for line in world.upstream.heads[-1].split(b"\r\n")[1:])
    return lines[b"X-Forwarded-For"], lines[b"X-Real-IP"]


# Who is believed.


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (V1, b"203.0.113.9"),
        (V2, b"192.0.2.7"),
        (V2_FROM_V6, b"2001:db8::7"),
        (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n", b"203.0.113.9"),
        (LOCAL_HEADER, b"127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", b"unknown"),
        (v2(0x00, b""), b"unknown"),
        (v2(0x31, b"/run/x".ljust(216, b"\0")), b"unknown"),
    ],
)
@pytest.mark.parametrize("piece", [1, 11, 1 << 20])
async def test_the_address_of_the_header_is_the_clients_in_log_and_app(
    world: World, header, client, piece
):
    await listening(world)
    connection = await world.connect()
    connection.writer.get_extra_info("socket").setsockopt(6, 1, 1)
    data = header + KEPT

    for at in range(0, len(data), piece):
        connection.send(data[at : at + piece])
        await asyncio.sleep(0)
    assert status(await connection.answer()) == 200
    connection.send(KEPT)
    assert status(await connection.answer()) == 200

    assert await told(world) == (client, client)
    assert {told.client for told in world.observed.requests} == {client.decode()}
    assert len(world.upstream.heads) == 2


async def test_i5_the_scheme_is_that_in_which_the_client_came_to_the_proxy(world: World):
    """Two clients of one address, whose requests are the same in every byte, and a reload."""
    await listening(world)
    over_tls_there = v2(0x11, V4 + extension(0x20, b"\1" + bytes(4)))
    secure, plain = await world.connect(), await world.connect()
    secure.send(over_tls_there)
    plain.send(V2)

    for _ in range(2):
        for client, scheme, port in ((secure, b"https", b"443"), (plain, b"http", b"80")):
            for _ in range(2):
                client.send(KEPT)
                assert status(await client.answer()) == 200
                head = world.upstream.heads[-1]
                assert b"\r\nX-Forwarded-Proto: %b\r\n" % scheme in head
                assert b"\r\nX-Forwarded-Port: %b\r\n" % port in head
        world.limit(head=16 * 1024)

    assert len(world.listener) == 2


async def test_i4_what_a_stranger_says_of_tls_is_not_believed(world: World):
    await listening(world, proxy_protocol=False)

    header = v2(0x11, V4 + extension(0x20, b"\1" + bytes(4)))

    assert status(await world.send(header + KEPT)) == 400
    assert world.upstream.received == []


@pytest.mark.parametrize("header", [V1, V2, LOCAL_HEADER, b"", b"PROXY UNKNOWN\r\n"])
async def test_i4_a_stranger_with_a_header_is_closed_and_changes_no_address(
    world: World, header, caplog
):
    await listening(world, trusted=(ip_network("192.0.2.0/24"),))

    assert await world.send(header + KEPT) == b""

    assert world.upstream.received == []
    assert world.observed.requests == []
    await world.quiet()
    assert "from 127.0.0.1: it is not in trusted_proxies" in caplog.text


async def test_nobody_is_trusted_where_nobody_is_named(world: World):
    await listening(world, trusted=())

    assert await world.send(V2 + KEPT) == b""
    assert world.upstream.received == []


@pytest.mark.parametrize(
    "data",
    [
        KEPT,
        b"\r\n" + V1 + KEPT,
        b"PROXY TCP4 203.0.113.9\r\n" + KEPT,
        SIGNATURE + b"\x31\x11\x00\x0c" + V4 + KEPT,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"PROXY " + b"x" * 10_000,
    ],
)
async def test_without_a_valid_header_nothing_is_passed_on_and_nothing_answered(
    world: World, data, caplog
):
    await listening(world)
    # What it sent was not read to its end: that makes a reset.
    with contextlib.suppress(ConnectionResetError):
        assert await world.send(data) == b""

    assert world.upstream.received == []
    assert world.observed.requests == []
    await world.quiet()
    assert "closed 1 connections" in caplog.text


async def test_a_second_header_is_no_request(world: World):
    await listening(world)

    assert status(await world.send(V1 + V2 + KEPT)) == 400
    assert status(await world.send(V2 + V1 + KEPT)) == 400
    assert world.upstream.received == []


async def test_i4_what_a_client_says_in_x_forwarded_for_is_not_believed(world: World):
    await listening(world)

    await world.send(V1 + get("/public/x", "X-Forwarded-For: 10.9.9.9", "X-Forwarded-Proto: https"))
    assert await told(world) == (b"203.0.113.9", b"203.0.113.9")
    for header in (b"PROXY UNKNOWN\r\n", v2(0x00, b""), v2(0x31, bytes(216))):
        await world.send(header + get("/public/x", "X-Forwarded-For: 10.9.9.9"))
        assert await told(world) == (b"unknown", b"unknown")


async def test_a_proxy_behind_the_proxy_is_believed_about_its_own_clients(world: World):
    await listening(world, trusted=(*LOOPBACK, ip_network("203.0.113.0/24")))

    await world.send(V1 + get("/public/x", "X-Forwarded-For: 198.51.100.20"))

    assert await told(world) == (b"198.51.100.20, 203.0.113.9", b"198.51.100.20")


async def test_trust_follows_a_reload(world: World):
    await listening(world)
    assert status(await world.send(V1 + get("/public/x"))) == 200
    world.change(trusted_proxies=())

    assert await world.send(V1 + get("/public/x")) == b""


async def test_without_proxy_protocol_a_header_is_a_malformed_request(world: World):
    world.change(trusted_proxies=LOOPBACK)
    for header in (V1, V2):
        assert status(await world.send(header + KEPT)) == 400
    assert world.upstream.received == []


async def test_a_unix_listener_takes_headers_too(world: World, tmp_path):
    await listening(world)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "s"))
    await world.listener.listen_on(bound)
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    client = Client(reader, writer)
    client.send(V2_FROM_V6 + KEPT)

    assert status(await client.answer()) == 200
    assert (await told(world))[0] == b"2001:db8::7"
    client.close()
    await world.quiet()


# Deadlines and caps.


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 203.0.11", V2[:13], V2[:20]])
async def test_a_header_that_does_not_come_in_time_closes_the_connection(world: World, begun):
    await listening(world)
    world.limit(head_timeout=0.3)

    assert await world.send(begun) == b""
    await world.quiet()


async def test_whoever_only_looks_whether_the_port_is_open_is_no_refusal(world: World, caplog):
    await listening(world)

    assert await world.send(b"", half_close=True) == b""
    await world.quiet()
    assert caplog.text == ""

    assert await world.send(V2[:20], half_close=True) == b""
    assert "it ended before its PROXY protocol header was whole" in caplog.text


async def test_many_refusals_are_one_line_a_minute(world: World, caplog):
    await listening(world)
    for _ in range(5):
        assert await world.send(b"GET / HTTP/1.1\r") == b""
    world.plane.deadlines.now += 61.0
    world.listener.refused("192.0.2.1", "a reason")

    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 2
    assert lines[1] == (
        "proxy_protocol: closed 5 connections since last told; the latest, from 192.0.2.1: a reason"
    )


async def test_the_cap_for_one_address_counts_the_headers_address_and_not_the_proxys(world: World):
    await listening(world)
    world.limit(connections_per_address=1)
    waiting = [await world.connect() for _ in range(80)]
    await until(lambda: len(world.listener) == 80)
    first = await world.connect()
    first.send(V1 + KEPT)
    assert status(await first.answer()) == 200

    assert status(await world.send(V1 + KEPT)) == 429
    assert status(await world.send(V2 + get("/public/x"))) == 200
    for client in waiting:
        client.close()
    first.close()
    await world.quiet()
    assert world.listener._counts._by_name == {}
    assert status(await world.send(V1 + get("/public/x"))) == 200


async def test_connections_that_owe_a_header_count_as_connections(world: World):
    await listening(world)
    world.limit(connections=2)
    for _ in range(2):
        await world.connect()
    await until(lambda: len(world.listener) == 2)

    assert status(await world.send(V1 + KEPT)) == 503


async def test_a_flood_that_sends_no_header_is_dropped_beyond_the_cap(world: World):
    await listening(world)
    world.limit(connections=2)
    crowd = [await world.connect() for _ in range(100)]

    await until(lambda: len(world.listener) <= 2 + 64)
    for client in crowd:
        client.writer.transport.abort()
    await world.quiet()


async def test_r7_a_drain_waits_for_nobody_who_has_not_asked_yet(world: World, tls):
    await listening(world, tls=tls)
    for begun in (b"", V1, V2[:3], V1 + b"\x16\x03\x01"):
        (await world.connect()).send(begun)
    await until(lambda: len(world.listener) == 4)

    await asyncio.wait_for(world.listener.drain(30.0), 5.0)

    await world.quiet()
    await until(lambda: len(world.tasks) == 0)


# TLS.


@pytest.mark.parametrize("header", [V1, V2, V2_FROM_V6, LOCAL_HEADER])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_begins_right_behind_the_header(world: World, tls, header, version):
    await listening(world, tls=tls)
    client = await over_tls(world, header, maximum_version=version)
    client.send(KEPT)
    assert status(await client.answer()) == 200
    client.send(KEPT)
    assert status(await client.answer()) == 200

    assert (await told(world))[0] in (b"203.0.113.9", b"192.0.2.7", b"2001:db8::7", b"127.0.0.1")
    client.close()
    await world.quiet()


class Everything(asyncio.Protocol):
    """Sends all it has to say in one write, hello and header together."""

    def __init__(self, header: bytes) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trusting().wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.received = b""
        self.header = header
        self.shaken = False
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.go_on()

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        self.go_on()

    def go_on(self) -> None:
        try:
            if not self.shaken:
                self.tls.do_handshake()
                self.shaken = True
                # With the end of the handshake: the request must not be lost between the two.
                self.tls.write(get("/public/x"))
            while data := self.tls.read(65536):
                self.received += data
            self.transport.close()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.transport.close()
        if data := self.header + self.outgoing.read():
            self.transport.write(data)
            self.header = b""

    def connection_lost(self, exc) -> None:
        self.closed.set_result(exc)


@pytest.mark.parametrize("header", [b"", V1, V2])
async def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    world: World, tls, header
):
    await listening(world, tls=tls, proxy_protocol=bool(header))
    for _ in range(20):
        _, protocol = await asyncio.get_running_loop().create_connection(
            lambda: Everything(header), "127.0.0.1", world.port
        )
        await asyncio.wait_for(protocol.closed, 10)
        assert status(protocol.received) == 200
    await world.quiet()
    assert len(world.tasks) == 0


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_h16_a_handshake_that_does_not_end_in_time_is_closed(world: World, tls, begun):
    await listening(world, tls=tls, proxy_protocol=False)
    world.limit(head_timeout=0.5)

    assert await world.send(begun) == b""
    await world.quiet()
    await until(lambda: len(world.tasks) == 0)


async def test_handshakes_count_in_the_caps_from_their_first_byte(world: World, tls):
    await listening(world, tls=tls, proxy_protocol=False)
    world.limit(connections_per_address=2)
    for _ in range(2):
        (await world.connect()).send(b"\x16\x03\x01")
    await until(lambda: len(world.listener) == 2)

    client = await over_tls(world, b"")
    assert status(await client.rest()) == 429
    other = await world.connect(local_addr=("127.0.0.2", 0))
    await other.writer.start_tls(trusting(), server_hostname="localhost")
    other.send(KEPT)
    assert status(await other.answer()) == 200


async def test_a_flood_of_handshakes_is_dropped_beyond_the_cap(world: World, tls):
    await listening(world, tls=tls, proxy_protocol=False)
    world.limit(connections=2)
    crowd = [await world.connect() for _ in range(100)]

    await until(lambda: len(world.listener) <= 2 + 64)
    for client in crowd:
        client.writer.transport.abort()
    await world.quiet()
    await until(lambda: len(world.tasks) == 0)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
async def test_a_request_in_clear_is_told_to_come_by_https(world: World, tls, method: str):
    await listening(world, tls=tls, proxy_protocol=False)

    answer = await world.send(get("/public/x").replace(b"GET", method.encode()))

    assert status(answer) == 400
    assert b"\r\nConnection: close\r\n" in answer
    assert b"https" in answer
    assert world.upstream.received == []
    await world.quiet()


@pytest.mark.parametrize("raw", [b"SSH-2.0-x\r\n", b"\0" * 600, b"\x16\x03\x01\x00\x05hello"])
async def test_what_is_no_tls_is_closed_without_a_trace(world: World, tls, raw):
    await listening(world, tls=tls, proxy_protocol=False)

    answer = await world.send(raw)

    assert not answer.startswith(b"HTTP/")
    assert world.upstream.received == []
    await world.quiet()
    await until(lambda: len(world.tasks) == 0)


async def test_a_client_that_leaves_within_the_handshake_leaves_nothing_behind(world: World, tls):
    await listening(world, tls=tls, proxy_protocol=False)
    for wait in (0.0, 0.002, 0.01):
        for begun in (b"", b"\x16\x03\x01\x02\x00"):
            client = await world.connect()
            client.send(begun)
            await asyncio.sleep(wait)
            client.writer.transport.abort()
            await world.send(begun, half_close=True)
    await world.quiet()
    await until(lambda: len(world.tasks) == 0)
