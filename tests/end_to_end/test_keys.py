"""Keys are made once, kept, published and rotated, and nobody is signed out for it."""

import stat
from pathlib import Path

import jwt
import pytest

from tests.end_to_end.client import ACCESS, Client
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, command, until


def published(client: Client) -> dict:
    answer = client.auth("GET", "/jwks.json")
    assert answer.status == 200
    return answer.json()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_made_on_first_start_and_are_nobody_elses_to_read(gateway: Running):
    folder = gateway.folder / "data" / "keys"
    assert mode(folder) == 0o700
    files = list(folder.glob("*.pem"))
    assert len(files) == 1
    assert mode(files[0]) == 0o600
    assert mode(gateway.folder / "data" / "gateway.db") == 0o600


def test_an_access_token_verifies_with_the_published_keys(alice: Client):
    keys = jwt.PyJWKSet.from_dict(published(alice))
    header = jwt.get_unverified_header(alice.access)
    assert header["typ"] == "at+jwt"
    told = jwt.decode(
        alice.access,
        keys[header["kid"]],
        algorithms=["ES256"],
        audience="gateway",
        issuer="http://localhost",
    )
    assert told["sub"] == "alice"


def test_no_private_part_is_published(client: Client):
    for key in published(client)["keys"]:
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "k"}
        assert (key["use"], key["alg"]) == ("sig", "ES256")


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_other_algorithms_sign_and_are_published(
    start_gateway: StartGateway, app: EchoApp, algorithm: str
):
    gateway = start_gateway(smallest(app, tokens={"algorithm": algorithm}))
    client = Client(gateway.port).signed_in()
    assert client.get("/page").status == 200
    header = jwt.get_unverified_header(client.access)
    assert header["alg"] == algorithm
    key = jwt.PyJWKSet.from_dict(published(client))[header["kid"]]
    jwt.decode(client.access, key, algorithms=[algorithm], audience="gateway")


def test_hs256_signs_with_the_configured_secret_and_publishes_nothing(
    start_gateway: StartGateway, app: EchoApp
):
    config = smallest(app, tokens={"algorithm": "HS256", "keys": [{"secret": "${TOKEN_SECRET}"}]})
    environ = {"TOKEN_SECRET": "kXq7uJ3mC5bV9nZ2wE8rT6yP4sD1fG0h"}
    client = Client(start_gateway(config, environ=environ).port).signed_in()
    assert client.get("/page").status == 200
    assert published(client) == {"keys": []}


def test_sessions_and_keys_survive_kill_9(start_gateway: StartGateway, app: EchoApp):
    config = smallest(app)
    first = start_gateway(config)
    client = Client(first.port).signed_in()
    forgetful, out = client.copy(), Client(first.port).signed_in("bob")
    over = out.copy()
    out.auth("POST", "/logout")
    keys = published(client)
    first.kill()
    second = start_gateway(config)
    for each in (client, forgetful, over):
        each.port = second.port
    assert published(client) == keys
    assert client.get("/page").status == 200
    forgetful.forget(ACCESS)
    assert forgetful.get("/page").status == 200
    assert over.get("/page").status == 401, "what had ended stays ended"


def test_rotating_the_keys_signs_nobody_out(start_gateway: StartGateway, app: EchoApp):
    gateway = start_gateway(smallest(app))
    client = Client(gateway.port).signed_in()
    before = {key["kid"] for key in published(client)["keys"]}
    rotated = command(gateway.folder, "keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr

    def new_keys() -> set[str]:
        return {key["kid"] for key in published(client)["keys"]} - before

    new = until(new_keys, "the running gateway publishes the new key")
    assert len(new) == 1
    assert before <= {key["kid"] for key in published(client)["keys"]}
    assert client.get("/page").status == 200
    client.forget(ACCESS)
    assert client.get("/page").status == 200
    assert client.refresh().status == 200
    listed = command(gateway.folder, "keys", "list")
    assert new.pop() in listed.stdout


def test_discarding_the_old_keys_signs_everybody_out_at_once(
    start_gateway: StartGateway, app: EchoApp
):
    gateway = start_gateway(smallest(app))
    client = Client(gateway.port).signed_in()
    assert command(gateway.folder, "keys", "rotate", "--discard-old").returncode == 0
    until(lambda: client.copy().get("/page").status == 401, "the old key is not believed")
    assert client.signed_in().get("/page").status == 200
