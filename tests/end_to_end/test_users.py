"""People come from a file that is reread, and from a database; both count at once."""

from typing import Any

import bcrypt
import pytest

from tests.end_to_end.client import ACCESS, PASSWORD, Client
from tests.end_to_end.conftest import USERS, StartGateway, smallest, write_users
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, command, until


@pytest.fixture(scope="module")
def both(starts_gateways: StartGateway, app: EchoApp) -> Running:
    """One gateway for this file, with a users file and a database."""
    login = [{"users": "users.yaml"}, {"database": "sqlite:///data/gateway.db"}]
    return starts_gateways(smallest(app, login=login))


def signs_in(gateway: Running, username: str, password: str = PASSWORD) -> Client:
    """Wait until the name opens the door, trying seldom: ten failures would close it."""
    client = Client(gateway.port)
    until(lambda: client.sign_in(username, password).status == 200, f"{username}: sign-in", 5, 0.5)
    return client


def changed(gateway: Running, **people: Any) -> None:
    write_users(gateway.folder, USERS | people)


def test_a_user_added_to_the_file_can_sign_in_without_a_restart(both: Running):
    assert Client(both.port).sign_in("fay").status == 401
    changed(both, fay=USERS["bob"])
    assert signs_in(both, "fay").get("/page").status == 200


def test_a_user_disabled_in_the_file_is_out_at_the_next_renewal(both: Running):
    changed(both)
    client = signs_in(both, "bob")
    changed(both, bob=USERS["bob"] | {"disabled": True})

    def renewal():
        attempt = client.copy()
        attempt.forget(ACCESS)
        answer = attempt.get("/page")
        return answer if answer.status == 401 else None

    refused = until(renewal, "bob's renewal is refused")
    assert all(each.clears for each in refused.set_cookies.values())
    assert len(refused.set_cookies) == 2
    assert Client(both.port).sign_in("bob").status == 401
    changed(both)


def test_new_groups_count_at_the_next_renewal(both: Running, app: EchoApp):
    changed(both)
    client = signs_in(both, "zoë")
    changed(both, zoë=USERS["zoë"] | {"groups": ["promoted"]})

    def told() -> bool:
        client.forget(ACCESS)
        assert client.get("/groups").status == 200
        return app.last("/groups").header("X-Forwarded-Groups") == "promoted"

    until(told, "the app is told of the new groups")


def test_a_broken_users_file_keeps_the_last_good_one_and_says_so(both: Running):
    (both.folder / "users.yaml").write_text("users: {alice: {pasword: x}}\n")
    until(
        lambda: Client(both.port).sign_in().status == 200 and "users.yaml:1" in both.log,
        "alice can sign in and the log names the mistake",
        every=0.2,
    )
    changed(both)


def test_bcrypt_hashes_are_understood(both: Running):
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    changed(both, gil={"password": hashed})
    signs_in(both, "gil")


def test_a_user_added_by_the_command_line_can_sign_in_and_be_shut_out(both: Running, app: EchoApp):
    words = ["hal", "--email", "hal@example.com", "--group", "night shift", "--password-stdin"]
    added = command(both.folder, "users", "add", *words, stdin=f"{PASSWORD}\n")
    assert added.returncode == 0, added.stderr
    client = Client(both.port).signed_in("hal")
    assert client.get("/hal").status == 200
    assert app.last("/hal").header("X-Forwarded-Groups") == "night shift"
    assert "hal@example.com" in command(both.folder, "users", "list").stdout
    disabled = command(both.folder, "users", "disable", "hal")
    assert disabled.returncode == 0, disabled.stderr
    until(lambda: client.copy().get("/hal").status == 401, "hal's sessions have ended")
    assert Client(both.port).sign_in("hal").status == 401
    assert command(both.folder, "users", "enable", "hal").returncode == 0
    assert Client(both.port).sign_in("hal").status == 200


def test_an_operator_ends_sessions_from_the_command_line(both: Running):
    client = Client(both.port).signed_in()
    listed = command(both.folder, "sessions", "list", "--user", "alice")
    assert listed.returncode == 0, listed.stderr
    revoked = command(both.folder, "sessions", "revoke", "--user", "alice")
    assert revoked.returncode == 0, revoked.stderr
    until(lambda: client.copy().get("/page").status == 401, "alice is out")


def test_a_hash_made_by_the_command_line_opens_the_door(both: Running):
    made = command(both.folder, "users", "hash", "--password-stdin", stdin="another long secret\n")
    assert made.returncode == 0
    changed(both, ida={"password": made.stdout.strip()})
    signs_in(both, "ida", "another long secret")
