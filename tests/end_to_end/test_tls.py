"""The TLS listener of a gateway process, as OpenSSL and clients without manners see it."""

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.certificates import make_pair, written
from tests.end_to_end.client import Client, WebSocket
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, free_port, until
from tests.sessions.servers import program

WEAKEST = ("-cipher", "ALL:@SECLEVEL=0")
REQUEST = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ROUTES = [
    {"path": "/public/*", "upstream": "app", "access": "public"},
    {"path": "/*", "upstream": "app"},
]


class Site:
    """A gateway that speaks TLS, and its operations port."""

    def __init__(self, gateway: Running, operations: int, trust: ssl.SSLContext) -> None:
        self.gateway = gateway
        self.operations = Client(operations)
        self.trust = trust

    @property
    def connections(self) -> int:
        text = self.operations.get("/metrics").body.decode()
        found = re.search(r"^gateway_connections (\d+)", text, re.MULTILINE)
        assert found, text
        return int(found[1])

    def client(self) -> Client:
        return Client(self.gateway.port, "localhost", tls=self.trust)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.gateway.port), 15)


@pytest.fixture(scope="module")
def site(
    starts_gateways: StartGateway, app: EchoApp, tmp_path_factory: pytest.TempPathFactory
) -> Site:
    pair = tmp_path_factory.mktemp("pair")
    written(pair, *make_pair("localhost"))
    operations = free_port()
    gateway = starts_gateways(
        smallest(
            app,
            routes=ROUTES,
            public_url="https://localhost",
            tls={"certificate": str(pair / "tls.crt"), "key": str(pair / "tls.key")},
            operations=f"127.0.0.1:{operations}",
            limits={"head_timeout": "1s"},
        )
    )
    trust = ssl.create_default_context(cafile=str(pair / "tls.crt"))
    return Site(gateway, operations, trust)


@pytest.fixture(autouse=True)
def _unharmed(site: Site) -> Iterator[None]:
    """After every test: no connection is left, the log is clean, and the next is served."""
    yield
    until(lambda: site.connections == 0, "every connection is closed")
    assert "Traceback" not in site.gateway.log
    assert '"level":"error"' not in site.gateway.log
    assert site.client().get("/public/still-here").status == 200


def openssl(site: Site, *options: str, send: bytes = REQUEST) -> str:
    """Let `openssl s_client` send *send*, and return all that it has to say."""
    address = f"127.0.0.1:{site.gateway.port}"
    ran = subprocess.run(
        [program("openssl"), "s_client", "-connect", address, "-ign_eof", *options],
        input=send,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return (ran.stdout + ran.stderr).decode("latin-1")


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1"])
def test_what_is_older_than_tls_1_2_is_refused(site: Site, option: str):
    said = openssl(site, option, *WEAKEST)
    assert "no peer certificate available" in said
    assert "HTTP/1.1 200" not in said


@pytest.mark.parametrize(("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_tls_1_2_and_1_3_are_spoken(site: Site, option: str, version: str):
    said = openssl(site, option)
    assert f"New, {version}" in said
    assert "HTTP/1.1 200" in said


@pytest.mark.parametrize("offered", ["http/1.1", "h2,http/1.1", "http/1.1,h2"])
def test_of_what_a_client_offers_http_1_1_is_chosen(site: Site, offered: str):
    said = openssl(site, "-alpn", offered)
    assert "ALPN protocol: http/1.1" in said
    assert "HTTP/1.1 200" in said


@pytest.mark.parametrize("options", [(), ("-alpn", "h2"), ("-alpn", "http/1.0,spdy/3")])
def test_where_nothing_in_common_is_offered_none_is_named_and_http_1_1_spoken(site: Site, options):
    """RFC 7301 §3.2 asks for an alert, which Python's ssl has no way to send."""
    said = openssl(site, *options)
    assert "No ALPN negotiated" in said
    assert "HTTP/1.1 200" in said


def test_http_2_without_an_agreement_is_told_the_version_and_closed(site: Site):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    assert "HTTP/1.1 505" in openssl(site, "-alpn", "h2", send=preface)


def test_renegotiation_is_refused(site: Site):
    """A client could have many handshakes for the price of one connection."""
    said = openssl(site, "-tls1_2", "-no_ign_eof", send=b"R\n")
    assert "no renegotiation" in said


@pytest.mark.parametrize(
    "raw",
    [b"hello\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", b"\x16\x03\x01\x00\x02\x01\x00"],
)
def test_what_is_neither_tls_nor_a_request_is_closed_without_an_answer_in_http(
    site: Site, raw: bytes
):
    with site.connect() as connection:
        connection.sendall(raw)
        received = b""
        with suppress(ConnectionResetError):
            while data := connection.recv(4096):
                received += data
    assert b"HTTP/" not in received
    assert len(received) < 64, "an alert at most"


def test_a_handshake_that_never_ends_is_closed_after_its_time_and_counted_until_then(site: Site):
    with site.connect() as silent, site.connect() as begun:
        begun.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        until(lambda: site.connections == 2, "both are counted")
        assert site.client().get("/public/between").status == 200
        assert silent.recv(1) == b""
        assert begun.recv(1) == b""


def test_a_websocket_over_tls_echoes_and_both_its_ends_close_together(site: Site):
    lines = (
        "GET /public/socket HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Origin: https://localhost",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    with site.trust.wrap_socket(site.connect(), server_hostname="localhost") as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with closing(WebSocket(connection)) as opened:
            assert opened.answer.status == 101
            for number in range(100):
                opened.say(f"message {number}")
                assert opened.hear() == f"echo: message {number}"
    until(lambda: site.connections == 0, "the tunnel is gone")


def test_the_access_log_says_https_requests_like_others(site: Site):
    site.client().get("/public/logged?secret=1")
    line = json.loads(site.gateway.said('"path":"/public/logged"'))
    assert (line["status"], line["client"]) == (200, "127.0.0.1")


def test_sessions_are_resumed_across_an_exchange_of_the_certificate(site: Site, tmp_path: Path):
    kept = tmp_path / "session"
    first = openssl(site, "-tls1_2", "-sess_out", str(kept))
    config = Path(site.gateway.folder / "config.yaml").read_text()
    found = re.search(r"certificate: (\S+)/tls.crt", config)
    assert found
    pair = Path(found[1])
    written(pair, *make_pair("localhost"))
    site.gateway.said("was read again")
    site.trust = ssl.create_default_context(cafile=str(pair / "tls.crt"))

    assert "New, TLSv1.2" in first
    assert "Reused, TLSv1.2" in openssl(site, "-tls1_2", "-sess_in", str(kept))
