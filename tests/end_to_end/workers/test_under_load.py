"""What changes, and what ends, while hundreds of requests are under way: nobody loses one (R7)."""

import http.client
import os
import signal
import socket
import ssl
import time
from contextlib import ExitStack, closing

import pytest

from tests.certificates import make_pair, written
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.load import Load
from tests.end_to_end.running import command, until
from tests.end_to_end.workers.site import Kept, Site

ROUTES = [
    {"path": "/x", "upstream": "app"},
    {"path": "/*", "upstream": "app", "access": "public"},
]
GOING_AWAY = (1001).to_bytes(2, "big")


def started(site: Site, workers: int, *, tls: bool = False, **limits: object) -> Load:
    """Start a gateway, and return the load of somebody who is signed in."""
    sections: dict[str, object] = {"routes": ROUTES, "workers": workers}
    sections["limits"] = {"drain": "20s", "upstream_queue": 4096, **limits}
    sections["upstreams"] = {"app": [site.app.url, f"http://localhost:{site.app.port}"]}
    trusting = None
    if tls:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        written(site.folder, *make_pair("first"))
        sections["tls"] = {"certificate": "tls.crt", "key": "tls.key"}
        sections["public_url"] = "https://localhost"
    else:
        sections["public_url"] = "http://localhost"
    site.config |= sections
    site.start()
    client = site.client()
    client.host, client.tls = "localhost", trusting
    client.signed_in()
    return Load(site.gateway.port, (f"Cookie: {client.cookie_header('/x')}",), trusting)


def reloaded(site: Site, kind: str, before: int) -> None:
    """Wait until every worker has said so once more."""
    expected = before + site.config["workers"]
    until(lambda: site.reloads(kind) >= expected, f"config.{kind} is told by all", 30)


@pytest.mark.parametrize(("workers", "tls"), [(1, True), (2, False)])
def test_r7_no_request_is_lost_while_everything_is_exchanged(
    site: Site, app: EchoApp, workers: int, tls: bool
):
    """Routes, upstreams, keys and certificates, by signal and by file, and bad files in between."""
    targets = [app.url, f"http://localhost:{app.port}"]
    with started(site, workers, tls=tls) as load:
        until(lambda: load.answered > 200 and load.said > 20, "all are at it")
        for turn in range(20):
            done, refused = site.reloads("reloaded"), site.reloads("refused")
            answered, said = load.answered, load.said
            site.write(
                upstreams={"app": targets[: 1 + turn % 2], "spare": f"http://127.0.0.1:{turn + 1}"},
                routes=[{"path": f"/{turn}", "upstream": "spare", "access": "public"}, *ROUTES],
            )
            if turn % 7 != 3:
                site.gateway.process.send_signal(signal.SIGHUP)
            if tls:
                written(site.folder, *make_pair(f"turn {turn}"))
            if turn % 8 == 0:
                assert command(site.folder, "keys", "rotate").returncode == 0
            reloaded(site, "reloaded", done)
            if turn % 5 == 4:
                good = (site.folder / "config.yaml").read_text()
                (site.folder / "config.yaml").write_text(f"{good}\nroutes: again\n")
                site.gateway.process.send_signal(signal.SIGHUP)
                reloaded(site, "refused", refused)
            until(lambda a=answered: load.answered > a + 50, "requests go on")
            until(lambda s=said: load.said > s, "WebSockets go on")
        load.stop()

    assert load.broken == []
    assert set(load.statuses) == {200}
    assert load.farewells == []
    assert load.refused == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("delay", ["0s", "1s"])
def test_at_the_end_nobody_loses_a_request_that_was_taken(site: Site, workers: int, delay: str):
    with started(site, workers, drain_delay=delay) as load:
        until(lambda: load.answered > 300 and load.said > 20, "all are at it")
        gateway = site.gateway
        gateway.terminate()
        until(lambda: site.operations.get("/readyz").status == 503, "readiness tells", every=0.001)
        told = load.answered
        if delay != "0s":
            until(lambda: load.answered > told + 50, "it goes on serving", every=0.001)
        assert gateway.wait(30) == 0
        load.stop()

    # Whoever connects in the microseconds between the last accept and the end is reset.
    assert [each for each in load.broken if "ConnectionResetError" not in each] == []
    assert len(load.broken) <= 1
    assert set(load.statuses) == {200}
    assert load.farewells == [GOING_AWAY] * load.talking
    assert load.refused == load.kept + load.fresh + load.uploading


def test_a_worker_that_is_killed_takes_along_its_own_connections_and_no_others(site: Site):
    with started(site, 3) as load:
        until(lambda: load.answered > 200 and load.said > 20, "all are at it")
        client = site.client()
        client.host = "localhost"
        kept = [site.kept(client) for _ in range(30)]
        owners = [each.worker(site.app) for each in kept]
        lost_at_most = site.connections_of(1) + load.fresh

        os.kill(site.workers()[1], signal.SIGKILL)

        survivors = [who for each, who in zip(kept, owners, strict=True) if answers(each)]
        answered = load.answered
        until(lambda: load.answered > answered + 200, "the others go on")
        until(lambda: len(site.workers()) == 3, "there is another")
        until(lambda: site.kept(client).worker(site.app) not in owners, "it is given connections")
        load.stop()

    lost = set(owners) - set(survivors)
    assert len(lost) == 1
    assert survivors == [who for who in owners if who not in lost]
    assert 0 < len(load.broken) <= lost_at_most
    assert load.refused == 0
    assert set(load.statuses) == {200}


def test_a_worker_that_is_told_to_end_is_replaced_and_nobody_loses_anything(site: Site):
    with started(site, 3) as load:
        until(lambda: load.answered > 200 and load.said > 20, "all are at it")
        os.kill(site.workers()[1], signal.SIGTERM)
        site.gateway.said("worker 1 ended with exit code 0")
        until(lambda: len(site.workers()) == 3, "there is another")
        answered = load.answered
        until(lambda: load.answered > answered + 200, "requests go on")
        load.stop()

    assert load.broken == []
    assert load.refused == 0
    assert set(load.statuses) == {200}
    assert set(load.farewells) <= {GOING_AWAY}


def answers(kept: Kept) -> bool:
    try:
        return kept.get("/public") == 200
    except (OSError, http.client.HTTPException):
        return False


def test_who_waits_in_the_queue_of_a_worker_that_dies_is_served_by_the_next(site: Site):
    site.start(routes=[{"path": "/*", "upstream": "app", "access": "public"}])
    hanging = site.workers()[1]
    os.kill(hanging, signal.SIGSTOP)
    with ExitStack() as opened:
        waiting = [
            opened.enter_context(socket.create_connection(("127.0.0.1", site.gateway.port), 15))
            for _ in range(32)
        ]
        for each in waiting:
            each.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        os.kill(hanging, signal.SIGKILL)

        assert {each.recv(12) for each in waiting} == {b"HTTP/1.1 200"}


def silent_port(closing_later: ExitStack) -> int:
    """Return a port whose backlog is full: the kernel answers no handshake."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    closing_later.enter_context(full)
    for _ in range(4):
        filler = closing_later.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    return int(full.getsockname()[1])


@pytest.mark.parametrize(
    "dead", ["never answers", "accepts nobody", "has a name that is not known"]
)
def test_r8_a_dead_upstream_with_thousands_of_requests_harms_no_other(site: Site, dead: str):
    with ExitStack() as stack:
        if dead == "never answers":
            hole = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=999)))
            url = f"http://127.0.0.1:{hole.getsockname()[1]}"
        elif dead == "accepts nobody":
            url = f"http://127.0.0.1:{silent_port(stack)}"
        else:
            url = "http://nobody.invalid:80"
        site.config |= {"workers": 1, "limits": {"drain": "0s", "upstream_queue": 2000}}
        site.config["upstreams"] = {"app": site.app.url, "dead": url}
        site.config["routes"] = [
            {"path": "/dead/*", "upstream": "dead", "access": "public"},
            *({**route, "access": "public"} for route in ROUTES),
        ]
        site.start()
        with Load(site.gateway.port, kept=4, fresh=2, uploading=2, talking=1) as load:
            until(lambda: load.answered > 50, "the other is served")
            waiting = []
            for number in range(1500):
                connection = socket.create_connection(("127.0.0.1", site.gateway.port))
                waiting.append(stack.enter_context(connection))
                connection.sendall(b"GET /dead/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
            answered, began = load.answered, time.monotonic()
            until(lambda: load.answered > answered + 500, "the other is served as before")
            assert time.monotonic() - began < 10
            load.stop()

        assert load.broken == []
        assert set(load.statuses) == {200}
