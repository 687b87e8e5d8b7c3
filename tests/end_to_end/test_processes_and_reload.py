"""Several workers behind one port, a new configuration while they serve, and their end."""

import http.client
import json
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.certificates import make_pair, written
from tests.end_to_end.client import FETCH, PASSWORD, PREFIX, Client, WebSocket
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, command, free_port, until, write_config

OPEN = [{"path": "/*", "upstream": "app", "access": "public"}]


@pytest.fixture
def app() -> Iterator[EchoApp]:
    with EchoApp().running() as running:
        yield running


class Site:
    """A gateway with two workers, its configuration and its operations port."""

    def __init__(self, start_gateway: StartGateway, app: EchoApp, folder: Path) -> None:
        self._start = start_gateway
        self.app = app
        self.folder = folder
        self.operations = Client(free_port())
        self.connections: list[Kept] = []
        self.config = smallest(
            app,
            workers=2,
            operations=f"127.0.0.1:{self.operations.port}",
            log={"access": False},
            limits={"drain": "20s"},
        )

    def close(self) -> None:
        for kept in self.connections:
            kept.connection.close()

    def start(self, **sections: object) -> Running:
        self.gateway = self._start({**self.config, **sections})
        until(lambda: len(self.workers()) == self.config["workers"], "every worker listens")
        return self.gateway

    def write(self, **sections: object) -> None:
        """Exchange the configuration file for one with *sections* laid over what there was."""
        self.config |= sections
        new = self.folder / "new"
        new.mkdir(exist_ok=True)
        write_config(new, self.config).replace(self.folder / "config.yaml")

    def workers(self) -> list[int]:
        """Return the processes that said that they listen and still live, the eldest first.

        Each writes its log by itself, so that the order of lines says nothing.
        """
        said = re.findall(r"listening on .*\(process (\d+)\)", self.gateway.log)
        return sorted(int(pid) for pid in said if alive(int(pid)))

    def client(self) -> Client:
        return Client(self.gateway.port)

    def kept(self, client: Client | None = None) -> "Kept":
        self.connections.append(Kept(client or self.client()))
        return self.connections[-1]

    def reloads(self, kind: str) -> int:
        return len(self.gateway.events(f"config.{kind}"))

    def who_forwarded(self) -> set[str]:
        """Return the workers whose counters say that they have forwarded something."""
        text = self.operations.get("/metrics").body.decode()
        assert text.count("# TYPE gateway_requests_total counter") == 1
        counted = re.findall(
            r'gateway_requests_total\{.*decision="forward".*worker="(\d)"\} (\d+)', text
        )
        return {worker for worker, count in counted if float(count) > 0}

    def connections_of(self, worker: int) -> int:
        """Return how many clients are connected to the worker of this number."""
        text = self.operations.get("/metrics").body.decode()
        found = re.search(rf'gateway_connections\{{.*worker="{worker}"\}} (\d+)', text)
        assert found, text
        return int(found[1])

    def told_of_workers(self) -> dict[str, object]:
        return self.operations.get("/readyz").json()["components"]["workers"]

    def last_reloads(self) -> dict[str, float]:
        """Return the metric of the last reload, by worker."""
        text = self.operations.get("/metrics").body.decode()
        found = re.findall(r'gateway_config_last_reload_success\{worker="(\d)"\} (\S+)', text)
        return {worker: float(value) for worker, value in found}


@pytest.fixture
def site(start_gateway: StartGateway, app: EchoApp, tmp_path: Path) -> Iterator[Site]:
    site = Site(start_gateway, app, tmp_path)
    yield site
    site.close()


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Kept:
    """A connection that is kept, and so belongs to one worker."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=15)

    def get(self, path: str) -> int:
        self.connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in (*self.client.usual(path), *FETCH):
            self.connection.putheader(name, value)
        self.connection.endheaders()
        with self.connection.getresponse() as answer:
            answer.read()
            return answer.status

    def worker(self, app: EchoApp) -> str:
        """Return who serves this connection: each process has a name of its own in Via."""
        assert self.get("/who") == 200
        return app.last("/who").header("Via") or ""


def one_to_each_worker(site: Site, client: Client) -> list[Kept]:
    found: dict[str, Kept] = {}

    def tried() -> bool:
        kept = site.kept(client)
        found.setdefault(kept.worker(site.app), kept)
        return len(found) == 2

    until(tried, "both workers get connections")
    return list(found.values())


class TestWorkers:
    def test_both_serve_with_one_key_and_one_store(self, site: Site):
        site.start()
        client = site.client().signed_in()
        served = Counter()
        jwks = set()
        for _ in range(60):
            assert client.get("/who").status == 200
            served[site.app.last("/who").header("Via")] += 1
            jwks.add(site.client().auth("GET", "/.well-known/jwks.json").body)

        assert len(served) == 2
        assert min(served.values()) >= 10
        assert len(jwks) == 1
        assert len(list((site.folder / "data/keys").glob("*.pem"))) == 1

    def test_r6_a_sign_out_at_one_is_seen_by_the_other_within_a_second(self, site: Site):
        site.start()
        client = site.client().signed_in()
        connections = one_to_each_worker(site, client)

        assert client.copy().auth("POST", "/logout").status == 200
        for kept in connections:
            until(lambda kept=kept: kept.get("/who") == 401, "the sign-out is heard of", 1.0)

    def test_r6_a_sign_out_at_one_ends_the_websockets_at_every_other(self, site: Site):
        site.start()
        client = site.client().signed_in()
        with ExitStack() as opened:
            sockets: list[WebSocket] = []

            def at_both() -> bool:
                sockets.append(opened.enter_context(client.websocket("/socket")))
                names = {
                    each.header("Via") for each in site.app.arrivals if each.target == "/socket"
                }
                return len(names) == 2

            until(at_both, "both workers have one")
            assert client.copy().auth("POST", "/logout").status == 200

            assert [each.hear() for each in sockets] == [None] * len(sockets)

    def test_a_key_that_is_discarded_is_believed_by_none(self, site: Site):
        site.start()
        connections = one_to_each_worker(site, site.client().signed_in())

        assert command(site.folder, "keys", "rotate", "--discard-old").returncode == 0

        for kept in connections:
            until(lambda kept=kept: kept.get("/who") == 401, "it is refused")

    def test_n_of_them_share_connections_and_requests(self, site: Site):
        site.config |= {"workers": 3}
        site.start()
        client = site.client().signed_in()

        served = Counter(site.kept(client).worker(site.app) for _ in range(120))

        assert len(served) == 3
        assert min(served.values()) >= 15, "a fair coin with three sides almost never says fewer"
        until(lambda: site.who_forwarded() == {"0", "1", "2"}, "all are in the metrics")

    def test_one_that_is_killed_is_replaced_and_nobody_is_signed_out(self, site: Site):
        gateway = site.start()
        client = site.client().signed_in()
        victim = site.workers()[1]

        os.kill(victim, signal.SIGKILL)
        # Whoever connects meanwhile waits in the queue that the parent keeps open.
        for _ in range(30):
            assert client.get("/who").status == 200

        gateway.said("was ended by SIGKILL")
        until(lambda: len(site.workers()) == 2, "there is another")
        one_to_each_worker(site, client)

    def test_the_operations_port_comes_back_with_its_worker(self, site: Site):
        site.start()
        os.kill(site.workers()[0], signal.SIGKILL)

        def ready() -> bool:
            with suppress(ConnectionError):
                return site.operations.get("/readyz").status == 200
            return False

        until(ready, "it is ready again")

    def test_metrics_are_of_all_of_them_and_readiness_names_who_hangs(self, site: Site):
        site.start()
        for kept in one_to_each_worker(site, site.client().signed_in()):
            kept.get("/who")

        # A busy machine may make a worker too late for an answer, once.
        until(lambda: site.who_forwarded() == {"0", "1"}, "both are in the metrics")
        until(lambda: site.told_of_workers() == {"ok": True}, "both are well")

        hanging = site.workers()[1]
        os.kill(hanging, signal.SIGSTOP)
        try:
            assert site.told_of_workers()["detail"] == "worker 1: no answer"
            assert site.operations.get("/readyz").status == 200, "the others serve"
        finally:
            os.kill(hanging, signal.SIGCONT)

    def test_where_none_can_be_kept_alive_everything_ends_so_that_somebody_notices(
        self, site: Site
    ):
        gateway = site.start()
        (site.folder / "users.yaml").write_text("users: [gone, bad]\n")
        for worker in site.workers():
            os.kill(worker, signal.SIGKILL)

        assert gateway.wait(30) == 1
        assert "every worker dies at its start: giving up" in gateway.log

    def test_they_end_with_their_parent_whatever_became_of_it(self, site: Site):
        gateway = site.start()
        workers = site.workers()

        gateway.process.kill()
        gateway.process.wait()

        until(lambda: not any(map(alive, workers)), "no worker is left behind")

    def test_what_is_wrong_at_the_start_is_told_once(self, site: Site):
        (site.folder / "users.yaml").write_text("users: [not, a, mapping]\n")
        write_config(site.folder, site.config)

        ended = command(site.folder, "run", "-c", "config.yaml")

        assert ended.returncode == 2
        assert ended.stderr.count("users.yaml") == 1
        assert "Traceback" not in ended.stderr

    def test_a_port_in_use_is_told(self, site: Site):
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            (site.folder / "users.yaml").write_text("users: {}\n")
            write_config(
                site.folder, {**site.config, "listen": f"127.0.0.1:{taken.getsockname()[1]}"}
            )
            ended = command(site.folder, "run", "-c", "config.yaml")

        assert ended.returncode == 1
        assert "cannot listen on 127.0.0.1:" in ended.stderr


def held(site: Site, worker_count: int) -> tuple[list[threading.Thread], list[int]]:
    """Have requests under way, and collect how they end; 0 is a connection that broke."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            statuses.append(site.client().get("/held").status)
        except (OSError, http.client.HTTPException):
            statuses.append(0)

    threads = [threading.Thread(target=ask) for _ in range(8 * worker_count)]
    for thread in threads:
        thread.start()
    arrived: Callable[[], bool] = lambda: len(site.app.arrivals) >= len(threads)  # noqa: E731
    until(arrived, "all requests are with the app")
    return threads, statuses


@pytest.mark.parametrize("workers", [1, 2])
class TestTheEnd:
    def test_a_sigterm_answers_what_is_under_way_and_turns_readiness_first(
        self, site: Site, workers: int
    ):
        gateway = site.start(workers=workers, routes=OPEN) if workers == 2 else alone(site)
        threads, statuses = held(site, workers)

        gateway.terminate()
        until(lambda: site.operations.get("/readyz").status == 503, "readiness tells")
        assert site.operations.get("/readyz").json()["status"] == "draining"
        assert site.operations.get("/healthz").status == 200
        with pytest.raises(ConnectionError):
            site.client().get("/who")
        site.app.release()
        for thread in threads:
            thread.join(10)

        assert statuses == [200] * len(threads)
        assert gateway.wait() == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_second_signal_waits_for_nobody(
        self, site: Site, workers: int, number: signal.Signals
    ):
        gateway = site.start(workers=workers, routes=OPEN) if workers == 2 else alone(site)
        threads, statuses = held(site, workers)

        gateway.process.send_signal(number)
        until(lambda: site.operations.get("/readyz").status == 503, "it drains")
        began = time.monotonic()
        gateway.process.send_signal(number)

        assert gateway.wait() == 0
        assert time.monotonic() - began < 10, "drain would have been 20 s"
        for thread in threads:
            thread.join(10)
        assert statuses == [0] * len(threads)


def alone(site: Site) -> Running:
    site.config |= {"workers": 1}
    return site.start(routes=OPEN)


@pytest.mark.parametrize("workers", [1, 2])
class TestReload:
    @pytest.fixture
    def serving(self, site: Site, workers: int) -> Site:
        site.config |= {"workers": workers}
        site.start()
        return site

    def test_r7_no_request_is_lost_while_configurations_alternate(self, serving: Site):
        """Every answer is whole, and what one of the two configurations says."""
        site = serving
        old = [{"path": "/*", "upstream": "app", "access": "public"}]
        new = [{"path": "/only", "upstream": "app", "access": "public"}]
        stop = threading.Event()
        statuses: Counter[int] = Counter()
        broken: list[str] = []

        def ask(keeping: bool) -> None:
            kept = site.kept()
            while not stop.is_set():
                try:
                    statuses[kept.get("/x")] += 1
                except (OSError, http.client.HTTPException) as error:
                    broken.append(repr(error))
                if not keeping:
                    kept.connection.close()
                    kept = site.kept()

        threads = [threading.Thread(target=ask, args=(n % 2 == 0,)) for n in range(4)]
        for thread in threads:
            thread.start()
        workers = site.config["workers"]
        for number, routes in enumerate([old, new] * 4, start=1):
            site.write(routes=routes)
            site.gateway.process.send_signal(signal.SIGHUP)
            until(lambda n=number: site.reloads("reloaded") >= n * workers, "all have reloaded")
        stop.set()
        for thread in threads:
            thread.join(10)

        assert broken == []
        assert set(statuses) == {200, 401, 404}
        assert site.reloads("refused") == 0

    def test_a_change_of_the_file_is_noticed(self, serving: Site):
        serving.write(routes=OPEN)

        until(
            lambda: all(serving.client().get("/x").status == 200 for _ in range(8)),
            "every worker serves the new routes",
        )

    def test_a_bad_file_is_refused_told_and_measured_and_the_old_one_goes_on(self, serving: Site):
        site, workers = serving, serving.config["workers"]
        assert site.client().get("/x").status == 401
        (site.folder / "config.yaml").write_text("routes: [{path: no, upstream: nowhere}]\n")
        site.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: site.reloads("refused") >= workers, "all have refused")

        assert site.client().get("/x").status == 401
        assert site.client().sign_in().status == 200
        told = site.gateway.events("config.refused")[0]["detail"]
        assert "config.yaml:1:" in told
        if workers == 2:
            until(lambda: site.last_reloads() == {"0": 0.0, "1": 0.0}, "both say so")

        site.write(routes=OPEN)
        site.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: site.client().get("/x").status == 200, "a good one is taken")

    @pytest.mark.parametrize("bad", ["users: [not, a, mapping]\n", None], ids=["bad", "missing"])
    def test_r7_what_a_file_kept_from_being_used_is_tried_again_when_the_file_is_mended(
        self, serving: Site, bad: str | None
    ):
        site, workers = serving, serving.config["workers"]
        others = site.folder / "others.yaml"
        if bad is not None:
            others.write_text(bad)
        site.write(routes=OPEN, login=[{"users": "others.yaml"}])
        until(lambda: site.reloads("refused") >= workers, "all have refused")
        assert site.client().get("/x").status == 401

        others.write_text("users: {}\n")

        until(
            lambda: all(site.client().get("/x").status == 200 for _ in range(8)),
            "every worker serves the new routes",
        )
        assert site.client().sign_in().status == 401, "nobody is in the new file"

    def test_a_reload_that_an_operator_asked_for_is_tried_again_too(self, site: Site, workers: int):
        written(site.folder, *make_pair("first"))
        tls = {"certificate": "tls.crt", "key": "tls.key"}
        site.config |= {"workers": workers}
        site.start(tls=tls, public_url="https://localhost", routes=OPEN)
        certificate, key = make_pair("second")
        (site.folder / "tls.crt").write_bytes(certificate)
        assert site.operations.request("POST", "/reload").status == 422

        (site.folder / "tls.key").write_bytes(key)

        until(lambda: site.reloads("reloaded") >= workers, "all have reloaded")

    def test_operators_reload_and_hear_what_is_wrong(self, serving: Site):
        site = serving
        site.write(routes=OPEN)
        assert site.operations.request("POST", "/reload").status == 200
        until(
            lambda: all(site.client().get("/x").status == 200 for _ in range(8)),
            "the others follow",
        )
        assert site.operations.get("/config").json()["routes"][0]["access"] == "public"

        site.write(listen="127.0.0.1:1")
        answer = site.operations.request("POST", "/reload")
        assert answer.status == 422
        assert answer.json()["errors"] == [
            "listen: 127.0.0.1:0 became 127.0.0.1:1, which needs a restart"
        ]
        assert site.client().get("/x").status == 200


class TestWhatARestartedWorkerServes:
    def test_it_serves_what_the_others_serve(self, site: Site):
        site.start()
        connections = one_to_each_worker(site, site.client().signed_in())
        for kept in connections:
            kept.client = site.client()
        site.write(routes=OPEN)
        site.gateway.process.send_signal(signal.SIGHUP)
        for kept in connections:
            until(lambda kept=kept: kept.get("/x") == 200, "both have reloaded")
        # What the others refused is not what a new one starts with.
        site.write(routes=[{"path": "/*", "upstream": "nowhere"}])
        site.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: site.reloads("refused") >= 2, "both have refused")

        os.kill(site.workers()[1], signal.SIGKILL)
        until(lambda: len(site.workers()) == 2, "there is another")

        for kept in one_to_each_worker(site, site.client()):
            assert kept.get("/x") == 200


def test_an_exchanged_certificate_is_shown_by_every_worker(site: Site):
    written(site.folder, *make_pair("first"))
    tls = {"certificate": "tls.crt", "key": "tls.key"}
    site.start(tls=tls, public_url="https://localhost", routes=OPEN)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def names() -> set[bytes]:
        shown = set()
        for _ in range(12):
            connection = http.client.HTTPSConnection(
                "localhost", site.gateway.port, context=context, timeout=10
            )
            with closing(connection):
                connection.connect()
                der = connection.sock.getpeercert(binary_form=True)
                shown |= {name for name in (b"first", b"second") if name in der}
                connection.request("GET", "/x", headers={"Host": "localhost"})
                assert connection.getresponse().status == 200
        return shown

    assert names() == {b"first"}
    written(site.folder, *make_pair("second"))
    until(lambda: names() == {b"second"}, "both show the new one")

    another, _ = make_pair("mismatched")
    (site.folder / "tls.crt").write_bytes(another)
    site.gateway.said("key values mismatch")
    assert names() == {b"second"}


def test_sign_in_over_tls_sets_host_cookies(site: Site):
    written(site.folder, *make_pair("it"))
    tls = {"certificate": "tls.crt", "key": "tls.key"}
    site.start(tls=tls, public_url="https://localhost")
    trusting = ssl.create_default_context(cafile=str(site.folder / "tls.crt"))
    connection = http.client.HTTPSConnection("localhost", site.gateway.port, context=trusting)
    with closing(connection):
        body = json.dumps({"username": "alice", "password": PASSWORD})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"{PREFIX}/login", body, headers)
        answer = connection.getresponse()
        cookies = answer.headers.get_all("Set-Cookie")

    assert answer.status == 200
    assert [cookie.partition("=")[0] for cookie in cookies] == [
        "__Host-accessToken",
        "__Host-refreshToken",
    ]
    assert all("; Secure" in cookie and "; HttpOnly" in cookie for cookie in cookies)
