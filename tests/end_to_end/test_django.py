"""Django with RemoteUserMiddleware, unchanged, behind the gateway."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.end_to_end.client import ACCESS, FETCH, Client
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.running import REPOSITORY, Running, environment

SPELLINGS = ("Remote-User", "REMOTE-USER", "Remote_User", "REMOTE_USER", "remote.user")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site's own address, which only the gateway should know."""
    configured = {
        "DJANGO_SETTINGS_MODULE": "tests.end_to_end.django_site.settings",
        "DJANGO_DATABASE": str(tmp_path_factory.mktemp("django") / "django.db"),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.end_to_end.django_site"],
        cwd=REPOSITORY,
        env=environment(configured),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            assert port, "Django did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def fronted(starts_gateways: StartGateway, site: str) -> Running:
    return starts_gateways(
        {
            "listen": "127.0.0.1:0",
            "upstreams": {"django": site},
            "routes": [
                {"path": "/open/*", "upstream": "django", "access": "optional"},
                {"path": "/*", "upstream": "django"},
            ],
            "headers": {"preset": "remote"},
            "login": [{"users": "users.yaml"}],
        }
    )


def test_the_person_is_djangos_user_and_gets_an_account_there(fronted: Running):
    for name in ("alice", "bob"):
        told = Client(fronted.port).signed_in(name).get("/who/").json()
        assert (told["user"], told["signed_in"]) == (name, True)


def test_nobody_reaches_it_without_signing_in(fronted: Running):
    assert Client(fronted.port).get("/who/").is_problem(401)
    told = Client(fronted.port).get("/open/who/").json()
    assert (told["user"], told["signed_in"]) == ("", False)


def test_djangos_own_session_and_csrf_protection_work_through_it(fronted: Running):
    client = Client(fronted.port).signed_in()
    told = client.get("/who/").json()
    assert {"csrftoken", "sessionid"} <= client.jar.keys()
    form = {"csrfmiddlewaretoken": told["csrf"], "text": "Größe & Maß"}
    client.forget(ACCESS)
    posted = client.post("/who/", form=form)
    assert posted.status == 200, posted.body
    assert posted.json()["posted"]["text"] == "Größe & Maß"
    assert posted.json()["cookies"] == ["csrftoken", "sessionid"], "ours stay behind"
    assert client.post("/who/", form={"text": "without the token"}).status == 403


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_i1_no_header_makes_one_somebody_else(fronted: Running, spelling: str):
    forged = (*FETCH, (spelling, "alice"))
    told = Client(fronted.port).signed_in("bob").get("/who/", forged).json()
    assert told["user"] == "bob"
    told = Client(fronted.port).get("/open/who/", forged).json()
    assert told["signed_in"] is False


def test_a_forged_header_does_work_where_no_gateway_stands(site: str):
    """That the site would believe it proves that the tests above can fail."""
    client = Client(int(site.rpartition(":")[2]))
    told = client.get("/who/", (("Remote_User", "alice"),)).json()
    assert told["user"] == "alice"


def test_signing_out_at_the_gateway_ends_it_for_django_too(fronted: Running):
    client = Client(fronted.port).signed_in()
    client.get("/who/")
    client.auth("POST", "/logout")
    assert "sessionid" in client.jar, "Django's own cookie is still there"
    assert client.get("/who/").is_problem(401)
    assert client.get("/open/who/").json()["signed_in"] is False
