"""The end of a session is known on every gateway within a second, and no request asks the store."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.client import ACCESS, PASSWORD, REFRESH, Client
from tests.end_to_end.conftest import USERS, shared_config, write_users
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.fleet import Fleet
from tests.end_to_end.running import command, until
from tests.faults.link import Fault, Link

WITHIN = 1.0
STORES = ["sqlite", "postgresql", "redis"]


@pytest.fixture(scope="module", params=STORES)
def fleet(request, tmp_path_factory: pytest.TempPathFactory, app: EchoApp) -> Iterator[Fleet]:
    """Three gateways whose access tokens outlive every test, so that only the feed denies them."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    store = request.getfixturevalue("store_urls")(request.param, folder)
    config = shared_config(app, folder, store, sessions={"grace": "300ms", "delivery": "300ms"})
    command_database(folder, config)
    with Fleet(folder, config).running() as running:
        yield running


def command_database(folder: Path, config) -> None:
    """Add a database of users, for what the command line does to accounts."""
    config["login"].append({"database": f"sqlite:///{folder}/users.db"})


@pytest.fixture
def user(fleet: Fleet) -> str:
    """A user of the database whom no other test knows."""
    name = f"user{time.monotonic_ns()}"
    done = run(fleet, "users", "add", name, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    return name


def run(fleet: Fleet, *words: str, stdin: str = ""):
    return command(fleet.folder / "gateway-0", *words, "-c", "config.yaml", stdin=stdin)


def signed_in(fleet: Fleet, user: str, index: int = 0) -> Client:
    return fleet.client(index).signed_in(user)


def sign_out(_fleet: Fleet, victim: Client, _user: str) -> None:
    assert victim.copy().auth("POST", "/logout").status == 200


def sign_out_everywhere(fleet: Fleet, _victim: Client, user: str) -> None:
    other = signed_in(fleet, user, 2)
    assert other.auth("POST", "/logout?everywhere=true").status == 200


def own_page(fleet: Fleet, _victim: Client, user: str) -> None:
    other = signed_in(fleet, user, 2)
    listed = other.auth("GET", "/sessions").json()["sessions"]
    for each in listed:
        if not each["current"]:
            assert other.auth("DELETE", f"/sessions/{each['id']}").status == 200


def revoke_user(fleet: Fleet, _victim: Client, user: str) -> None:
    done = run(fleet, "sessions", "revoke", "--user", user)
    assert done.returncode == 0, done.stdout + done.stderr


def operations(fleet: Fleet, _victim: Client, user: str) -> None:
    status, body = fleet.operations(1, f"/sessions?user={user}", "DELETE")
    assert status == 200, body


def disable(fleet: Fleet, _victim: Client, user: str) -> None:
    done = run(fleet, "users", "disable", user)
    assert done.returncode == 0, done.stdout + done.stderr


def change_password(fleet: Fleet, _victim: Client, user: str) -> None:
    new = "another long enough password"
    done = run(fleet, "users", "passwd", user, "--password-stdin", stdin=f"{new}\n")
    assert done.returncode == 0, done.stdout + done.stderr


def theft(_fleet: Fleet, victim: Client, _user: str) -> None:
    """Let the session rotate and its head be used; then show the spent token after grace."""
    spent = victim.refresh_token
    holder = victim.copy()

    def rotated() -> bool:
        assert holder.refresh().status == 200
        return holder.refresh_token != spent

    until(rotated, "the token rotates", every=0.2)
    assert holder.get("/seen").status == 200
    time.sleep(0.6)
    thief = Client(victim.port, jar={REFRESH: victim.jar[REFRESH]})
    assert until(lambda: (a := thief.copy().refresh()).status == 401 and a, "theft is found")


WAYS: dict[str, Callable[[Fleet, Client, str], None]] = {
    "sign-out": sign_out,
    "sign-out everywhere": sign_out_everywhere,
    "own page": own_page,
    "sessions revoke": revoke_user,
    "operations port": operations,
    "disabled": disable,
    "password changed": change_password,
    "theft": theft,
}


@pytest.mark.parametrize("way", WAYS)
def test_s7_r6_no_gateway_honours_an_access_token_a_second_after(fleet: Fleet, user: str, way: str):
    victim = signed_in(fleet, user)
    bystander = signed_in(fleet, "bob", 1)
    tabs = fleet.everywhere(victim)
    bearer = [("Authorization", f"Bearer {victim.access}")]
    for tab in tabs:
        assert Client(tab.port).get("/page", bearer).status == 200
    with ExitStack() as opened:
        sockets = [opened.enter_context(tab.websocket("/socket")) for tab in tabs]
        streams = [event_stream(tab) for tab in tabs]
        for each in sockets:
            each.say("hello")
            assert each.hear() == "echo: hello"

        WAYS[way](fleet, victim, user)
        ended = time.monotonic()
        for tab in tabs:
            refused = until(
                lambda tab=tab: (a := Client(tab.port).get("/page", bearer)).status == 401 and a,
                f"{way} is known on port {tab.port}",
                WITHIN,
            )
            assert refused.set_cookies == {}
        for each in sockets:
            assert each.hear() is None, "the WebSocket ends"
        for stream in streams:
            assert drained(stream), "the event stream ends"
        assert time.monotonic() - ended < WITHIN + 1.0  # asked one after the other
    for tab in fleet.everywhere(victim):
        assert tab.get("/page").status == 401
    for tab in fleet.everywhere(bystander):
        assert tab.get("/page").status == 200


def event_stream(tab: Client) -> socket.socket:
    """Open a stream of events that the app never ends by itself."""
    head = "".join(f"{name}: {value}\r\n" for name, value in tab.usual("/events"))
    connection = socket.create_connection(("127.0.0.1", tab.port), 5)
    connection.sendall(f"GET /events HTTP/1.1\r\n{head}Accept: text/event-stream\r\n\r\n".encode())
    received = b""
    while b"data: first" not in received:
        more = connection.recv(4096)
        assert more, received
        received += more
    return connection


def drained(stream: socket.socket) -> bool:
    """Whether the other side ends the stream within the time limit."""
    stream.settimeout(WITHIN)
    try:
        while stream.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    finally:
        stream.close()
    return True


def test_j7_a_theft_leaves_the_other_sessions_of_the_user_alone(fleet: Fleet, user: str):
    victim, other = signed_in(fleet, user), signed_in(fleet, user, 1)
    before = len(fleet.events("refresh.theft"))
    theft(fleet, victim, user)
    until(lambda: len(fleet.events("refresh.theft")) == before + 1, "it is in the log")
    assert fleet.metric("gateway_refresh_total", '{outcome="theft"}') == before + 1
    for tab in fleet.everywhere(other):
        assert tab.get("/page").status == 200
        assert tab.refresh().status == 200


def test_j7_no_request_asks_the_store(tmp_path: Path, app: EchoApp, store_urls):
    """Even with the store out of reach, what is valid is let through and what ended is not."""
    port = int(store_urls("redis", tmp_path).rpartition(":")[2].partition("/")[0])
    with Link(port).running() as link:
        config = shared_config(app, tmp_path, f"redis://127.0.0.1:{link.port}/0")
        with Fleet(tmp_path, config).running() as fleet:
            alice, bob = signed_in(fleet, "alice"), signed_in(fleet, "bob", 1)
            assert alice.copy().auth("POST", "/logout").status == 200
            time.sleep(WITHIN)
            link.inject(Fault.BLACKHOLE)
            for _ in range(3):
                for tab in fleet.everywhere(bob):
                    begun = time.monotonic()
                    assert tab.get("/page").status == 200
                    assert time.monotonic() - begun < 0.5
                for tab in fleet.everywhere(alice):
                    tab.forget(REFRESH)
                    assert tab.get("/page").status == 401
            link.heal()


def test_r6_a_gateway_that_missed_the_news_catches_up(tmp_path: Path, app: EchoApp, store_urls):
    """Pushed news are not lost with the connection they were pushed on."""
    port = int(store_urls("redis", tmp_path).rpartition(":")[2].partition("/")[0])
    with Link(port).running() as link:
        config = shared_config(app, tmp_path, f"redis://127.0.0.1:{port}/0")
        away = Fleet(tmp_path, config, size=2)
        away.configs[1]["sessions"] = {"store": f"redis://127.0.0.1:{link.port}/0"}
        with away.running() as fleet:
            alice = signed_in(fleet, "alice")
            cut_off = fleet.client(1, alice)
            assert cut_off.get("/page").status == 200
            link.inject(Fault.BLACKHOLE)
            link.reset()
            assert alice.copy().auth("POST", "/logout").status == 200
            cut_off.forget(REFRESH)
            assert cut_off.get("/page").status == 200, "nobody could tell this gateway"
            link.heal()
            link.reset()
            until(lambda: cut_off.get("/page").status == 401, "it has caught up", 5)


def test_s7_a_user_taken_out_of_the_users_file_is_out_at_the_next_renewal(
    tmp_path: Path, app: EchoApp, store_urls
):
    config = shared_config(
        app, tmp_path, store_urls("sqlite", tmp_path), tokens={"access_lifetime": "1s"}
    )
    with Fleet(tmp_path, config).running() as fleet:
        bob = signed_in(fleet, "bob")
        write_users(tmp_path, {name: user for name, user in USERS.items() if name != "bob"})
        for tab in fleet.everywhere(bob):
            until(lambda tab=tab: tab.get("/page").status == 401, "bob is gone", 6)
            assert ACCESS not in tab.jar
