"""Clients that are slow, or many, or endless: they end by a deadline, and nobody else feels them.

Each test ends with the process as it was: no connection left, memory within its bounds, nothing
but requests in the log (H16, H17).
"""

import re
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.certificates import make_pair, written
from tests.end_to_end.client import Client
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, free_port, until
from tests.sessions.servers import program

CONNECTIONS = 300
# What the data plane may hold for one connection, encrypted or not: up to its mark, and one read of
# the event loop that came on top.
BYTES_PER_CONNECTION = 512 * 1024
SLACK = 32 * 1024 * 1024
HOST = b"Host: localhost\r\n"


class Site:
    """A gateway with short deadlines, seen from outside."""

    def __init__(self, gateway: Running, operations: int, tls: ssl.SSLContext | None) -> None:
        self.gateway = gateway
        self.operations = Client(operations)
        self.tls = tls

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.gateway.port}"

    def client(self) -> Client:
        return Client(self.gateway.port, "localhost", tls=self.tls)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        address = ("127.0.0.1", self.gateway.port)
        connection = socket.create_connection(address, 15, (source, 0))
        if self.tls is None:
            return connection
        return self.tls.wrap_socket(connection, server_hostname="localhost")

    @property
    def connections(self) -> int:
        text = self.operations.get("/metrics").body.decode()
        found = re.search(r"^gateway_connections (\d+)", text, re.MULTILINE)
        assert found, text
        return int(found[1])

    @property
    def most_memory(self) -> int:
        """Return the most bytes that the process ever had in memory."""
        status = Path(f"/proc/{self.gateway.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.gateway.process.pid}/stat").read_text().rpartition(")")[2]
        return sum(map(int, fields.split()[11:13])) / 100

    @contextmanager
    def honest_client(self) -> Iterator[list[int]]:
        """Ask all the while, signed in; yields the answers' statuses."""
        client, statuses, over = self.client().signed_in(), [], threading.Event()

        def ask() -> None:
            while not over.wait(0.02):
                statuses.append(client.get("/page").status)

        with ThreadPoolExecutor(1) as threads:
            asking = threads.submit(ask)
            try:
                yield statuses
            finally:
                over.set()
                asking.result(20)


@pytest.fixture(scope="module", params=["http", "https"])
def site(
    request: pytest.FixtureRequest,
    starts_gateways: StartGateway,
    app: EchoApp,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    operations = free_port()
    sections, trust, in_time = {}, None, "2s"
    if request.param == "https":
        in_time = "4s"  # hundreds of handshakes at once: an honest one may have to wait its turn
        pair = tmp_path_factory.mktemp("pair")
        written(pair, *make_pair("localhost"))
        sections["tls"] = {"certificate": str(pair / "tls.crt"), "key": str(pair / "tls.key")}
        trust = ssl.create_default_context(cafile=str(pair / "tls.crt"))
    gateway = starts_gateways(
        smallest(
            app,
            **sections,
            routes=[
                {"path": "/public/*", "upstream": "app", "access": "public"},
                {"path": "/*", "upstream": "app"},
            ],
            operations=f"127.0.0.1:{operations}",
            limits={
                "head_timeout": in_time,
                "body_timeout": "2s",
                "idle_timeout": "2s",
                "upstream_connections": 1000,
            },
        )
    )
    return Site(gateway, operations, trust)


@pytest.fixture(autouse=True)
def _as_before(site: Site) -> Iterator[None]:
    site.client().signed_in().get("/page")
    before = site.most_memory
    yield
    until(lambda: site.connections == 0, "every connection is closed", 20)
    assert site.most_memory - before < CONNECTIONS * BYTES_PER_CONNECTION + SLACK
    assert "Traceback" not in site.gateway.log
    assert '"level":"error"' not in site.gateway.log
    assert site.client().get("/public/still-here").status == 200


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        pytest.param(("-H", "-i", "1", "-x", "24"), 408, id="slow heads"),
        pytest.param(("-B", "-i", "3", "-s", "8192", "-x", "10"), 408, id="slow bodies"),
        pytest.param(("-X", "-w", "512", "-y", "1024", "-z", "32", "-n", "1"), 200, id="slow read"),
        pytest.param(("-R", "-a", "10", "-b", "3000"), None, id="ranges"),
    ],
)
def test_h16_slowhttptest_is_cut_off_and_an_honest_client_gets_all_its_answers(
    site: Site, app: EchoApp, mode: tuple[str, ...], status: int | None
):
    name = mode[0].strip("-")
    path = f"/public/{name}/big" if name == "X" else f"/public/{name}"
    # Whoever reads slowly goes on to the end; the others stay until they are told.
    seconds = "6" if name == "X" else "12"
    many = ("-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-l", seconds, "-p", "3")
    command = [program("slowhttptest"), *mode, *many, "-u", site.url + path]
    with site.honest_client() as statuses:
        ran = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
        assert statuses, "the honest client was answered meanwhile"
        until(lambda: site.connections <= 1, "only the honest client is left", 20)
    assert set(statuses) == {200}
    until(lambda: app.pouring == 0, "the app is told that its answers are not read", 20)
    assert f"{path}" in ran.stdout
    if status == 408:
        until(lambda: site.gateway.log.count('"status":408') >= CONNECTIONS / 2, "they are told")


# Floods of our own.


def rest_of(connection: socket.socket) -> bytes:
    received = bytearray()
    with suppress(ConnectionError, ssl.SSLError):
        while data := connection.recv(65536):
            received += data
    return bytes(received)


def pour(connection: socket.socket, first: bytes, again: bytes, most: int) -> tuple[int, bytes]:
    """Send without end; return how many bytes were taken, and what came back."""
    sent = 0
    with suppress(ConnectionError, ssl.SSLError):
        connection.sendall(first)
        while sent < most:
            connection.sendall(again)
            sent += len(again)
    return sent, rest_of(connection)


POST = b"POST /public/flood HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes, bytes]] = {
    "a header line": (b"GET /public/x HTTP/1.1\r\n" + HOST + b"X: ", b"y" * 8192, b"431"),
    "header lines": (b"GET /public/x HTTP/1.1\r\n" + HOST, b"X: y\r\n" * 2000, b"431"),
    "a target": (b"GET /public/", b"y" * 8192, b"431"),
    "a chunk extension": (CHUNKED + b"5;", b"y" * 8192, b"400"),
    "chunk extensions": (CHUNKED, b"1;a=b\r\nx\r\n" * 1000, b"400"),
    "a chunk size": (CHUNKED, b"0" * 8192, b"400"),
    "a trailer": (CHUNKED + b"0\r\nX: ", b"y" * 8192, b"400"),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 2000, b"400"),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_h16_what_does_not_end_is_refused_long_before_it_would(site: Site, what: str):
    first, again, status = ENDLESS[what]
    with site.connect() as connection, site.honest_client() as statuses:
        sent, answer = pour(connection, first, again, 64 << 20)
    assert sent < 32 << 20
    # A reset may overtake it where we go on sending.
    assert not answer or answer.startswith(b"HTTP/1.1 " + status)
    assert set(statuses) <= {200}


def test_h16_a_million_chunks_of_a_byte_are_one_body_and_others_are_served(
    site: Site, app: EchoApp
):
    before = site.cpu_seconds
    body = b"1\r\nx\r\n" * 1_000_000 + b"0\r\n\r\n"
    with site.honest_client() as statuses, site.connect() as connection:
        connection.sendall(CHUNKED.replace(b"flood", b"chunks") + body)
        connection.settimeout(30)
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert len(app.last("/public/chunks").body) == 1_000_000
    assert set(statuses) == {200}
    assert site.cpu_seconds - before < 20


def test_h16_ten_thousand_requests_in_one_write_are_answered_once_and_in_order(
    site: Site, app: EchoApp
):
    count = 10_000
    lines = (b"GET /public/%s/%d HTTP/1.1\r\n%b\r\n" % (b"p", n, HOST) for n in range(count))
    already = len(app.arrivals)
    with site.connect() as connection:
        connection.settimeout(60)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(connection.sendall, b"".join(lines))
            received = bytearray()
            while received.count(b'"target": ') < count:
                data = connection.recv(1 << 16)
                assert data, received[-300:]
                received += data
    told = [int(n) for n in re.findall(rb'"target": "/public/p/(\d+)"', received)]
    arrived = [each.target for each in app.arrivals[already:] if "/p/" in each.target]
    assert told == list(range(count))
    assert arrived == [f"/public/p/{n}" for n in range(count)]


def test_h16_a_reader_that_never_reads_is_cut_and_its_upstream_connection_free(
    site: Site, app: EchoApp
):
    already = len(app.arrivals)
    with ExitStack() as opened:
        for _ in range(50):
            connection = opened.enter_context(site.connect())
            connection.sendall(b"GET /public/never/big?mib=64 HTTP/1.1\r\n" + HOST + b"\r\n")
        # The first may have been cut off when the last is there.
        until(lambda: len(app.arrivals) >= already + 50, "the app answers all of them")
        with site.honest_client() as statuses:
            until(lambda: app.pouring == 0, "the app is told", 20)
            until(lambda: site.connections <= 1, "they are closed", 20)
    assert set(statuses) == {200}


# Caps.


@pytest.fixture
def capped(start_gateway: StartGateway, app: EchoApp) -> Callable[..., Site]:
    def start(**limits: int) -> Site:
        operations = free_port()
        gateway = start_gateway(
            smallest(
                app,
                routes=[{"path": "/*", "upstream": "app", "access": "public"}],
                operations=f"127.0.0.1:{operations}",
                limits=limits,
            )
        )
        return Site(gateway, operations, None)

    return start


def flood(site: Site, count: int, source: str = "127.0.0.1") -> Counter[str]:
    """Open *count* connections at once, and return how they were received."""
    outcomes: Counter[str] = Counter()
    with ExitStack() as opened:
        connections = [opened.enter_context(site.connect(source)) for _ in range(count)]
        for connection in connections:
            with suppress(ConnectionError):
                connection.sendall(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")
        for connection in connections:
            data = b""
            with suppress(ConnectionError):
                data = connection.recv(12)
            outcomes[data.decode() or "closed"] += 1
    return outcomes


def test_over_the_cap_in_total_some_are_told_503_and_those_within_are_unharmed(capped):
    site = capped(connections=100)
    with ExitStack() as opened:
        kept = [opened.enter_context(site.connect()) for _ in range(20)]
        until(lambda: site.connections == 20, "they are in")
        outcomes = flood(site, 400)
        for connection in kept:
            connection.sendall(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
    assert 0 < outcomes["HTTP/1.1 503"] <= 400 - 80
    assert outcomes["HTTP/1.1 200"] > 0
    assert set(outcomes) <= {"HTTP/1.1 200", "HTTP/1.1 503", "closed"}
    until(lambda: site.connections == 0, "every connection is closed")
    assert flood(site, 100) == {"HTTP/1.1 200": 100}


def test_over_the_cap_for_one_address_it_is_told_429_and_others_are_unharmed(capped):
    site = capped(connections_per_address=20)
    outcomes = flood(site, 60)
    assert outcomes["HTTP/1.1 429"] > 0
    assert outcomes["HTTP/1.1 200"] >= 20
    with ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(site.connect())
        until(lambda: site.connections == 20, "they are in")
        assert flood(site, 1) == {"HTTP/1.1 429": 1}
        assert flood(site, 20, "127.0.0.2") == {"HTTP/1.1 200": 20}
