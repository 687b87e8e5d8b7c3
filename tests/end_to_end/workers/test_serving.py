"""Several workers behind one port serve as one, and one that dies is replaced (R6)."""

import http.client
import json
import os
import signal
import socket
import ssl
from collections import Counter
from contextlib import ExitStack, closing, suppress

from tests.certificates import make_pair, written
from tests.end_to_end.client import PASSWORD, PREFIX, WebSocket
from tests.end_to_end.running import command, until, write_config
from tests.end_to_end.workers.site import OPEN, Site, alive, one_to_each_worker


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
