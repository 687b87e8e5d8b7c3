"""Real TCP proxies in front, which tell by the PROXY protocol who connected."""

import contextlib
import csv
import http.client
import io
import json
import re
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import make_pair, written
from tests.end_to_end.client import PASSWORD, PREFIX, exchange
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, free_port, until
from tests.sessions.servers import Process, folder, program, wait_until

CLIENT = "127.0.0.42"
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
ROUTES = [
    {"path": "/public/*", "upstream": "app", "access": "public"},
    {"path": "/*", "upstream": "app"},
]
HAPROXY = """
global
    stats socket {folder}/stats
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option httpchk GET {prefix}/health HTTP/1.1
    http-check send hdr Host localhost
"""
HAPROXY_SITE = """
listen {name}
    bind 127.0.0.1:{port} {bind}
    bind [::1]:{port} {bind}
    server gateway {target} {options} check check-send-proxy inter 200ms
"""
NGINX = """
load_module {module};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
stream {{
    server {{ listen 127.0.0.1:{plain}; proxy_pass 127.0.0.1:{to_plain}; proxy_protocol on; }}
    server {{ listen 127.0.0.1:{tls}; proxy_pass 127.0.0.1:{to_tls}; proxy_protocol on; }}
}}
"""


@dataclass
class Gateways:
    """The same gateway three times: in plain HTTP, over TLS, and on a unix socket."""

    plain: Running
    tls: Running
    unix: Running
    socket: str
    trust: ssl.SSLContext
    pair: Path


def expecting(app: EchoApp, **sections) -> dict:
    """Return a configuration that takes headers from 127.0.0.1 alone."""
    trusted = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]}
    return smallest(app, routes=ROUTES, **trusted, **sections)


@pytest.fixture(scope="module")
def gateways(
    starts_gateways: StartGateway, app: EchoApp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateways]:
    pair = tmp_path_factory.mktemp("pair")
    written(pair, *make_pair("localhost"))
    tls = {"certificate": str(pair / "tls.crt"), "key": str(pair / "tls.key")}
    with tempfile.TemporaryDirectory() as short:
        yield Gateways(
            starts_gateways(expecting(app)),
            starts_gateways(expecting(app, tls=tls)),
            starts_gateways(expecting(app, listen=f"unix:{short}/s")),
            f"{short}/s",
            ssl.create_default_context(cafile=str(pair / "tls.crt")),
            pair,
        )


@dataclass
class Front:
    """A proxy's ports by the way that they take, and where to ask HAProxy how it is."""

    ports: dict[str, int]
    stats: str = ""


@pytest.fixture(scope="module")
def haproxy(gateways: Gateways) -> Iterator[Front]:
    checked = "proxy-v2-options crc32c,unique-id,authority,ssl"
    over_tls = "check-ssl verify none"
    sites = {
        "v1": (f"127.0.0.1:{gateways.plain.port}", "send-proxy"),
        "v2": (f"127.0.0.1:{gateways.plain.port}", "send-proxy-v2"),
        "v2 checked": (f"127.0.0.1:{gateways.plain.port}", f"send-proxy-v2 {checked}"),
        "v1 tls": (f"127.0.0.1:{gateways.tls.port}", f"send-proxy {over_tls}"),
        "v2 tls": (f"127.0.0.1:{gateways.tls.port}", f"send-proxy-v2 {checked} {over_tls}"),
        "v2 unix": (f"unix@{gateways.socket}", "send-proxy-v2"),
        "v2 ended tls": (f"127.0.0.1:{gateways.plain.port}", "send-proxy-v2-ssl"),
    }
    ports = {name: free_port() for name in sites}
    with folder() as here:
        both = here / "both.pem"
        both.write_text(
            "".join((gateways.pair / f"tls.{part}").read_text() for part in ("crt", "key"))
        )
        text = HAPROXY.format(folder=here, prefix=PREFIX) + "".join(
            HAPROXY_SITE.format(
                name=name.replace(" ", "-"),
                port=ports[name],
                target=target,
                options=options,
                bind=f"ssl crt {both}" if "ended" in name else "",
            )
            for name, (target, options) in sites.items()
        )
        (here / "haproxy.cfg").write_text(text)
        command = program("haproxy", "/usr/sbin")
        process = Process([command, "-db", "-f", str(here / "haproxy.cfg")])
        with contextlib.closing(process):
            wait_until(lambda: listens(ports["v1"]), "HAProxy")
            yield Front(ports, str(here / "stats"))


@pytest.fixture(scope="module")
def nginx(gateways: Gateways) -> Iterator[Front]:
    if not STREAM_MODULE.is_file():
        pytest.skip("nginx's stream module is not installed")
    ports = {"v1": free_port(), "v1 tls": free_port()}
    with folder() as here:
        text = NGINX.format(
            module=STREAM_MODULE,
            folder=here,
            plain=ports["v1"],
            tls=ports["v1 tls"],
            to_plain=gateways.plain.port,
            to_tls=gateways.tls.port,
        )
        (here / "nginx.conf").write_text(text)
        command = program("nginx", "/usr/sbin")
        process = Process([command, "-p", str(here), "-c", str(here / "nginx.conf")])
        with contextlib.closing(process):
            wait_until(lambda: listens(ports["v1"]), "nginx")
            yield Front(ports)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def connect(
    front: Front, way: str, gateways: Gateways, source: str = CLIENT
) -> http.client.HTTPConnection:
    """Go through the proxy on *way*, as a client whose address is *source*."""
    host = "::1" if ":" in source else "127.0.0.1"
    connection = http.client.HTTPConnection("localhost", timeout=15)
    plain = socket.create_connection((host, front.ports[way]), 15, (source, 0))
    connection.sock = plain
    if way.endswith("tls"):
        connection.sock = gateways.trust.wrap_socket(plain, server_hostname="localhost")
    return connection


WAYS = ("v1", "v2", "v2 checked", "v1 tls", "v2 tls", "v2 unix", "v2 ended tls")


def seen_by_app(app: EchoApp, connection: http.client.HTTPConnection, path: str) -> str | None:
    """Ask twice on the connection, the second time with a lie, and return what the app was told."""
    told = set()
    for headers in ({}, {"X-Forwarded-For": "10.9.9.9", "X-Real-IP": "10.9.9.9"}):
        connection.request("GET", path, headers={"Host": "localhost", **headers})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        told.add(app.last(path).header("X-Forwarded-For"))
        assert app.last(path).header("X-Real-IP") in told
    assert len(told) == 1
    return told.pop()


@pytest.mark.parametrize("source", [CLIENT, "::1"])
@pytest.mark.parametrize("way", WAYS)
def test_haproxy_tells_who_connected(
    haproxy: Front, gateways: Gateways, app: EchoApp, way: str, source: str
):
    with contextlib.closing(connect(haproxy, way, gateways, source)) as connection:
        path = f"/public/{way.replace(' ', '-')}"
        assert seen_by_app(app, connection, path) == source


@pytest.mark.parametrize(
    ("way", "scheme"),
    [("v2 ended tls", "https"), ("v2 checked", "http"), ("v1", "http"), ("v1 tls", "https")],
)
def test_the_app_is_told_the_scheme_that_the_browser_uses(
    haproxy: Front, gateways: Gateways, app: EchoApp, way: str, scheme: str
):
    with contextlib.closing(connect(haproxy, way, gateways)) as connection:
        path = f"/public/scheme/{way.replace(' ', '-')}"
        connection.request("GET", path, headers={"Host": "localhost"})
        assert connection.getresponse().status == 200
        assert app.last(path).header("X-Forwarded-Proto") == scheme


@pytest.mark.parametrize("way", ["v1", "v1 tls"])
def test_nginx_tells_who_connected(nginx: Front, gateways: Gateways, app: EchoApp, way: str):
    with contextlib.closing(connect(nginx, way, gateways)) as connection:
        assert seen_by_app(app, connection, f"/public/nginx-{way[-3:]}") == CLIENT


def test_haproxys_health_checks_speak_for_haproxy_and_succeed(haproxy: Front):
    def healthy() -> bool:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(haproxy.stats)
            asking.sendall(b"show stat\n")
            with asking.makefile() as answer:
                rows = list(csv.DictReader(io.StringIO(answer.read().lstrip("# "))))
        servers = [row for row in rows if row["svname"] == "gateway"]
        assert len(servers) == len(WAYS)
        return all((row["status"], row["check_status"]) == ("UP", "L7OK") for row in servers)

    until(healthy, "every server is up, by an answer to a request")


def test_the_address_is_that_of_the_session_and_of_the_access_log(
    haproxy: Front, gateways: Gateways
):
    with contextlib.closing(connect(haproxy, "v2 checked", gateways)) as connection:
        body = json.dumps({"username": "alice", "password": PASSWORD})
        usual = {"Host": "localhost", "Content-Type": "application/json"}
        connection.request("POST", f"{PREFIX}/login", body, usual)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        cookies = "; ".join(
            value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie", [])
        )
        connection.request("GET", f"{PREFIX}/sessions", headers={"Cookie": cookies, **usual})
        assert CLIENT in connection.getresponse().read().decode()
        connection.request("GET", f"{PREFIX}/verify", headers={"Cookie": cookies, **usual})
        verified = connection.getresponse()
        assert (verified.status, verified.headers["X-Forwarded-User"]) == (200, "alice")
    line = json.loads(gateways.plain.said(f'"path":"{PREFIX}/login"'))
    assert (line["client"], line["status"]) == (CLIENT, 200)


def test_i4_whoever_goes_past_the_proxy_gets_no_answer(
    gateways: Gateways, start_gateway: StartGateway, app: EchoApp
):
    request = b"GET /public/past HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert exchange(gateways.plain.port, request) == b""
    strict = start_gateway(
        smallest(app, routes=ROUTES, proxy_protocol=True, trusted_proxies=["192.0.2.1"])
    )
    assert exchange(strict.port, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + request) == b""
    assert not app.reached("/public/past")
    warning = strict.said("it is not in trusted_proxies")
    assert json.loads(warning)["level"] == "warning"
    assert re.search(r"from 127\.0\.0\.1", warning)
