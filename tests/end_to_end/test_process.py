"""The process itself: how it starts or refuses to, how it ends, and how it outlives its store."""

import datetime as dt
import re
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.end_to_end.client import ACCESS, REFRESH, Client, exchange
from tests.end_to_end.conftest import USERS, StartGateway, smallest, write_users
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, command, free_port, until, write_config
from tests.sessions.servers import Postgres


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has something to do when *number* comes."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"SigCgt:\t([0-9a-f]+)", status)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def refused(folder: Path, config, users=USERS) -> subprocess.CompletedProcess[str]:
    write_users(folder, users)
    write_config(folder, config)
    return command(folder, "run", "-c", "config.yaml")


class TestStarting:
    def test_bad_config_is_told_with_every_place_and_nothing_starts(self, tmp_path: Path):
        (tmp_path / "config.yaml").write_text(
            "listen: 127.0.0.1:0\n"
            "upstreams: {app: ftp://nowhere}\n"
            "routes:\n"
            "  - {path: /*, upstream: ap, acess: public}\n"
            "tokens: {access_lifetime: soon}\n"
            "login: [{users: users.yaml}]\n"
        )
        ended = command(tmp_path, "run", "-c", "config.yaml")
        assert ended.returncode == 2
        for place in ("config.yaml:2:", "config.yaml:4:", "config.yaml:5:"):
            assert place in ended.stderr, ended.stderr
        assert "access" in ended.stderr, "the nearest right key"
        assert "Traceback" not in ended.stderr
        assert not (tmp_path / "data").exists()

    def test_no_config_at_all_is_bad_usage(self, tmp_path: Path):
        ended = command(tmp_path, "run", "-c", "nothing.yaml")
        assert ended.returncode == 2
        assert "nothing.yaml" in ended.stderr

    @pytest.mark.parametrize(
        "text",
        ["users: {alice: {pasword: x}}\n", "users: [\n", "\x00", "users: {alice: {password: x}}\n"],
    )
    def test_a_broken_users_file_is_told_with_its_place(self, tmp_path: Path, app, text: str):
        write_config(tmp_path, smallest(app))
        (tmp_path / "users.yaml").write_text(text)
        ended = command(tmp_path, "run", "-c", "config.yaml")
        assert ended.returncode == 2
        assert re.search(r"users\.yaml:\d+:\d+: ", ended.stderr), ended.stderr
        assert "Traceback" not in ended.stderr + ended.stdout

    def test_a_missing_users_file_is_told(self, tmp_path: Path, app: EchoApp):
        write_config(tmp_path, smallest(app))
        ended = command(tmp_path, "run", "-c", "config.yaml")
        assert ended.returncode == 2
        assert "users.yaml" in ended.stderr

    def test_a_port_in_use_is_a_failure_that_names_it(self, tmp_path: Path, app: EchoApp):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            ended = refused(tmp_path, smallest(app, listen=f"127.0.0.1:{port}"))
        assert ended.returncode == 1
        assert f"127.0.0.1:{port}" in ended.stderr
        assert "Traceback" not in ended.stderr + ended.stdout

    def test_keys_that_cannot_be_made_are_told(self, tmp_path: Path, app: EchoApp):
        (tmp_path / "data").write_text("a file where a folder should be")
        ended = refused(tmp_path, smallest(app))
        assert ended.returncode == 2
        assert "data" in ended.stderr
        assert "Traceback" not in ended.stderr + ended.stdout

    def test_missing_folders_are_made_for_their_owner_alone(
        self, start_gateway: StartGateway, app: EchoApp, tmp_path: Path
    ):
        where = {"keys": "deep/er/keys"}
        store = {"store": "sqlite:///deep/er/still/sessions.db"}
        gateway = start_gateway(smallest(app, tokens=where, sessions=store))
        Client(gateway.port).signed_in()
        assert mode(tmp_path / "deep/er/keys") == 0o700
        assert {mode(each) for each in (tmp_path / "deep/er/keys").iterdir()} == {0o600}
        assert mode(tmp_path / "deep/er/still/sessions.db") == 0o600

    def test_flags_and_environment_win_over_the_file(
        self, start_gateway: StartGateway, app: EchoApp
    ):
        environ = {"GATEWAY_TOKENS__ACCESS_LIFETIME": "7m"}
        gateway = start_gateway(smallest(app), environ=environ)
        assert Client(gateway.port).sign_in().json()["expires_in"] == 420

    def test_it_serves_https_itself(
        self, start_gateway: StartGateway, app: EchoApp, tmp_path: Path
    ):
        context = ssl.create_default_context(cafile=_certificate(tmp_path))
        gateway = start_gateway(smallest(app, tls={"certificate": "tls.crt", "key": "tls.key"}))
        client = Client(gateway.port, "localhost", tls=context).signed_in()
        assert client.jar.keys() == {f"__Host-{ACCESS}", f"__Host-{REFRESH}"}
        assert client.get("/by-tls").status == 200
        arrival = app.last("/by-tls")
        assert arrival.header("X-Forwarded-Proto") == "https"
        assert arrival.header("X-Forwarded-User") == "alice"
        plain = exchange(gateway.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain

    def test_it_listens_on_a_unix_socket(self, start_gateway: StartGateway, app: EchoApp):
        with tempfile.TemporaryDirectory() as short:
            path = f"{short}/s"
            start_gateway(smallest(app, listen=f"unix:{path}"))
            client = Client(0, "localhost", unix=path).signed_in()
            assert client.get("/by-socket").status == 200
        assert app.last("/by-socket").header("X-Forwarded-User") == "alice"


def _certificate(folder: Path) -> Path:
    """Make tls.crt and tls.key for localhost, and return what a client must trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path = folder / "tls.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


class TestEnding:
    @pytest.fixture
    def slow(self, start_gateway: StartGateway, app: EchoApp) -> Running:
        return start_gateway(smallest(app, limits={"drain": "20s"}))

    def test_a_request_in_flight_is_answered_and_then_it_ends(self, slow: Running, app: EchoApp):
        client = Client(slow.port).signed_in()
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(client.post, "/drained/held", json={"n": 1})
            until(lambda: app.reached("/drained/held"), "the request is at the app")
            slow.terminate()
            until(lambda: _refuses(slow.port), "no new connection is accepted")
            assert slow.process.poll() is None
            app.release()
            assert answer.result(10).status == 200
        assert slow.wait() == 0

    def test_a_sighup_while_it_starts_is_granted_once_it_serves(self, app: EchoApp, tmp_path: Path):
        write_users(tmp_path, USERS)
        write_config(tmp_path, smallest(app))
        gateway = Running(tmp_path, ["run", "-c", "config.yaml"])
        try:
            until(lambda: catches(gateway.process.pid, signal.SIGTERM), "it listens to signals")
            gateway.process.send_signal(signal.SIGHUP)

            gateway.said("listening on ")
            until(lambda: gateway.events("config.reloaded"), "it has reloaded")
        finally:
            gateway.stop()

    def test_a_request_that_never_ends_is_cut_off(self, start_gateway: StartGateway, app: EchoApp):
        gateway = start_gateway(smallest(app, limits={"drain": "100ms"}))
        with Client(gateway.port).signed_in().websocket("/endless/socket") as socket:
            assert socket.answer.status == 101
            gateway.terminate()
            assert gateway.wait() == 0
            assert socket.hear() is None

    def test_an_idle_keep_alive_connection_does_not_hold_it_up(self, slow: Running):
        with socket.create_connection(("127.0.0.1", slow.port)) as idle:
            idle.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 401"
            slow.terminate()
            assert slow.wait(10) == 0


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


@pytest.fixture(scope="module")
def operated(starts_gateways: StartGateway, app: EchoApp) -> tuple[Running, Client]:
    port = free_port()
    gateway = starts_gateways(smallest(app, operations=f"127.0.0.1:{port}"))
    return gateway, Client(port)


class TestOperations:
    def test_it_is_alive_and_ready(self, operated):
        _, operations = operated
        assert operations.get("/healthz").json() == {"status": "ok"}
        ready = until(lambda: _ready(operations), "the gateway is ready").json()
        assert ready["missing"] == []
        assert ready["components"]["store"] == {"ok": True}

    def test_metrics_count_what_happened(self, operated):
        gateway, operations = operated
        client = Client(gateway.port).signed_in()
        before = _forwarded(operations)
        for _ in range(3):
            client.get("/counted")
        assert _forwarded(operations) == before + 3
        assert "alice" not in operations.get("/metrics").body.decode()

    def test_healthcheck_of_the_container_asks_it(self, operated):
        gateway, _ = operated
        healthy = command(gateway.folder, "healthcheck", "-c", "config.yaml")
        assert (healthy.returncode, healthy.stdout) == (0, "healthy\n")

    def test_healthcheck_says_when_nobody_answers(self, tmp_path: Path, app: EchoApp):
        write_users(tmp_path, USERS)
        write_config(tmp_path, smallest(app, listen=f"127.0.0.1:{free_port()}"))
        ended = command(tmp_path, "healthcheck", "-c", "config.yaml")
        assert ended.returncode == 1
        assert "unhealthy" in ended.stderr

    def test_operators_list_and_end_sessions(self, operated):
        gateway, operations = operated
        client = Client(gateway.port).signed_in("bob")
        listed = operations.get("/sessions?user=bob")
        assert listed.status == 200, listed.body
        assert client.access not in listed.body.decode()
        ended = operations.request("DELETE", "/sessions?user=bob")
        assert ended.status == 200, ended.body
        assert client.get("/page").status == 401

    def test_none_of_it_is_on_the_public_port(self, operated):
        gateway, _ = operated
        for path in ("/healthz", "/readyz", "/metrics"):
            assert Client(gateway.port).get(path).status == 401, "the app's, and it asks to sign in"
        health = Client(gateway.port).auth("GET", "/health")
        assert (health.status, health.body) == (200, b"ok")


def _forwarded(operations: Client) -> int:
    text = operations.get("/metrics").body.decode()
    line = r'gateway_requests_total\{code_class="2xx",decision="forward",route="/\*"\} (\d+)'
    found = re.search(line, text)
    return int(found[1]) if found else 0


def _ready(operations: Client):
    answer = operations.get("/readyz")
    return answer if answer.status == 200 else None


class TestStoreDown:
    """PostgreSQL is not there, as when it is restarted: nobody loses anything for it."""

    @pytest.fixture
    def cut_off(
        self, start_gateway: StartGateway, app: EchoApp
    ) -> Iterator[tuple[Client, Client, Postgres]]:
        operations = free_port()
        with Postgres.running() as postgres:
            gateway = start_gateway(
                smallest(
                    app,
                    sessions={"store": postgres.url},
                    operations=f"127.0.0.1:{operations}",
                )
            )
            client = Client(gateway.port).signed_in()
            postgres.kill()
            yield client, Client(operations), postgres
            # It must not be there at the end, or the gateway would be stopped after its store.
            gateway.stop()

    def test_r1_valid_tokens_go_on_and_nothing_is_cleared(self, cut_off):
        client, operations, postgres = cut_off
        until(lambda: operations.get("/readyz").status == 503, "readiness tells")
        assert "store" in operations.get("/readyz").json()["missing"]
        assert operations.get("/healthz").status == 200
        assert client.get("/page").status == 200
        refreshed = client.refresh()
        assert refreshed.is_problem(503)
        assert refreshed.header("Retry-After")
        assert refreshed.set_cookies == {}
        inline = client.copy()
        inline.forget(ACCESS)
        for answer in (inline.get("/page"), inline.navigate("/page"), inline.post("/page")):
            assert answer.status == 503
            assert answer.header("Retry-After")
            assert answer.set_cookies == {}
        assert Client(client.port).sign_in().is_problem(503)
        out = client.copy()
        left = out.auth("POST", "/logout")
        assert left.set_cookies.keys() >= {ACCESS, REFRESH}
        assert client.get("/page").status == 503, "denied here at once"

        postgres.start()
        until(lambda: operations.get("/readyz").status == 200, "it recovers without a restart")
        assert Client(client.port).sign_in().status == 200
        until(lambda: client.copy().get("/page").status == 401, "the sign-out has been caught up")

    def test_a_store_that_cannot_be_opened_is_waited_for(
        self, start_gateway: StartGateway, app: EchoApp, tmp_path: Path
    ):
        (tmp_path / "blocked").write_text("a file where a folder should be")
        operations = free_port()
        store = {"store": "sqlite:///blocked/gateway.db"}
        gateway = start_gateway(smallest(app, sessions=store, operations=f"127.0.0.1:{operations}"))
        ready = Client(operations).get("/readyz")
        assert ready.status == 503
        assert ready.json()["missing"] == ["store", "revocation-feed"]
        client = Client(gateway.port)
        assert client.sign_in().is_problem(503)
        assert client.get("/page").is_problem(401)
        (tmp_path / "blocked").unlink()
        until(lambda: client.sign_in().status == 200, "the store is there", every=0.2)
        assert client.get("/page").status == 200
