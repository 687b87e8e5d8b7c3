"""Fifty requests at the moment of expiry, on three gateways: one rotation, nobody signed out."""

import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.end_to_end.client import ACCESS, REFRESH, Answer, Client, claims, seconds_left
from tests.end_to_end.conftest import shared_config
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.fleet import Fleet
from tests.end_to_end.running import until

GRACE, DELIVERY = 0.6, 0.8


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "redis"])
def fleet(request, tmp_path_factory: pytest.TempPathFactory, app: EchoApp) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    config = shared_config(
        app,
        folder,
        request.getfixturevalue("store_urls")(request.param, folder),
        tokens={"access_lifetime": "1s"},
        sessions={"grace": f"{int(GRACE * 1000)}ms", "delivery": f"{int(DELIVERY * 1000)}ms"},
    )
    with Fleet(folder, config).running() as running:
        yield running


@pytest.fixture
def ripe(fleet: Fleet) -> Client:
    """Alice, her access token expired, her refresh token due to rotate at its next use."""
    client = fleet.client(0).signed_in()
    assert client.get("/arrived").status == 200, "the head is seen in use"
    time.sleep(max(seconds_left(client.access), GRACE + DELIVERY) + 0.1)
    return client


def all_at_once(fleet: Fleet, client: Client, count: int = 50) -> list[Answer]:
    tabs = [fleet.client(index % len(fleet.nodes), client) for index in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda tab: tab.get("/parallel"), tabs))


def test_s3_exactly_one_rotation_and_all_fifty_are_answered_as_the_user(
    fleet: Fleet, ripe: Client, app: EchoApp
):
    before = len(app.arrivals)
    logged = renewals(fleet)
    answers = all_at_once(fleet, ripe)
    assert [each.status for each in answers] == [200] * 50
    users = [each.header("X-Forwarded-User") for each in app.arrivals[before:]]
    assert users == ["alice"] * 50
    generations = {claims(each.set_cookies[ACCESS].value)["gen"] for each in answers}
    assert generations == {2}
    until(lambda: renewals(fleet) > logged, "it is in the log")
    assert renewals(fleet) == logged + 1
    assert len({each.set_cookies[REFRESH].value for each in answers}) == 1


def test_s4_in_whatever_order_the_answers_are_applied_the_jar_ends_with_the_live_cookie(
    fleet: Fleet, ripe: Client
):
    answers = all_at_once(fleet, ripe, 30)
    order = random.Random(4)
    ends = set()
    for _ in range(100):
        order.shuffle(answers)
        jar = ripe.copy()
        for answer in answers:
            jar.keep(answer)
        ends.add(jar.refresh_token)
    assert len(ends) == 1
    for tab in fleet.everywhere(jar):
        assert tab.refresh().status == 200
    assert not fleet.events("refresh.theft")


def hold(tab: Client) -> socket.socket:
    """Ask for a page that the app does not answer yet."""
    head = "".join(f"{name}: {value}\r\n" for name, value in tab.usual("/held"))
    connection = socket.create_connection(("127.0.0.1", tab.port), 15)
    connection.sendall(f"GET /held HTTP/1.1\r\n{head}\r\n".encode())
    return connection


def renewals(fleet: Fleet) -> int:
    return len(fleet.events("refresh.ok", outcome="rotate"))


def rotate_unanswered(fleet: Fleet, client: Client, index: int) -> socket.socket:
    """Have the store hold a successor that the browser has not got."""
    before = renewals(fleet)
    connection = hold(fleet.client(index, client))
    until(lambda: renewals(fleet) == before + 1, "the session rotates")
    return connection


def goes_on(fleet: Fleet, client: Client) -> None:
    """Every node still takes the predecessor, and hands out one and the same successor."""
    given = []
    for tab in fleet.everywhere(client):
        answer = tab.get("/again")
        assert answer.status == 200
        given.append(answer.set_cookies[REFRESH].value)
    assert len(set(given)) == 1
    assert claims(tab.access)["gen"] == 2
    assert not fleet.events("refresh.theft")


def test_s5_a_connection_cut_after_the_stores_write_costs_nobody_their_session(
    fleet: Fleet, ripe: Client
):
    rotate_unanswered(fleet, ripe, 0).close()
    time.sleep(GRACE + 0.3)  # longer than grace: what was lost stays lost until it is asked for
    goes_on(fleet, ripe)


def test_s5_a_gateway_killed_between_the_stores_write_and_the_answer_costs_nobody_their_session(
    fleet: Fleet, ripe: Client
):
    with rotate_unanswered(fleet, ripe, 1) as connection:
        fleet.kill(1)
        assert connection.recv(1) == b""
    time.sleep(GRACE + 0.3)
    fleet.restart(1)
    goes_on(fleet, ripe)


def test_s8_a_client_that_hangs_up_at_once_leaves_nothing_half_done(fleet: Fleet, ripe: Client):
    before = renewals(fleet)
    for _ in range(5):
        for tab in fleet.everywhere(ripe):
            hold(tab).close()
    until(lambda: renewals(fleet) == before + 1, "the renewal is carried through")
    time.sleep(GRACE + 0.3)
    goes_on(fleet, ripe)
