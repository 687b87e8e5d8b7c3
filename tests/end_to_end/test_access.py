"""Who may pass: the access rule of the first route that matches, and nothing else."""

import pytest

from tests.end_to_end.client import FETCH, NAVIGATE, Client
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running


@pytest.fixture
def people(gateway: Running) -> dict[str, Client]:
    everyone = {name: Client(gateway.port).signed_in(name) for name in ("alice", "bob", "zoë")}
    return everyone | {"nobody": Client(gateway.port)}


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/public/page", (200, 200, 200, 200)),
        ("/optional/page", (200, 200, 200, 200)),
        ("/app/page", (401, 200, 200, 200)),
        ("/admins/page", (401, 403, 403, 200)),
        ("/alice", (401, 403, 403, 200)),
        ("/it/page", (401, 403, 403, 200)),
        ("/either/page", (401, 403, 200, 200)),
        ("/docs/page", (200, 200, 200, 200)),
        ("/alice/below", (404, 404, 404, 404)),
        ("/elsewhere", (404, 404, 404, 404)),
        ("/appendix", (404, 404, 404, 404)),
        ("/", (404, 404, 404, 404)),
    ],
)
def test_each_rule_lets_its_people_through_and_nobody_else(people, path, statuses):
    names = ("nobody", "zoë", "bob", "alice")
    assert tuple(people[name].get(path).status for name in names) == statuses


def test_public_means_nobody_and_optional_means_whoever_it_is(
    alice: Client, client: Client, app: EchoApp
):
    for who, path, user in (
        (alice, "/public/told", None),
        (alice, "/optional/told", "alice"),
        (client, "/optional/told", None),
    ):
        assert who.get(path).status == 200
        assert app.last(path).header("X-Forwarded-User") == user


def test_a_method_that_the_first_route_does_not_name_falls_to_the_next(alice, bob, client):
    assert client.request("HEAD", "/docs/page").status == 200
    for who, status in ((client, 401), (bob, 403), (alice, 200)):
        assert who.post("/docs/page").status == status


def test_a_route_for_a_host_is_for_that_host_only(client: Client):
    for host, status in (
        ("open.example", 200),
        ("OPEN.example.", 200),
        ("open.example:8080", 200),
        ("open.example.evil.example", 404),
        ("xopen.example", 404),
    ):
        assert Client(client.port, host).get("/anything").status == status, host


@pytest.mark.parametrize(
    "path",
    [
        "/public/../admins/page",
        "/public/..%2fadmins/page",
        "/public/%2e%2e/admins/page",
        "/public/%252e%252e/admins/page",
        "/public//admins/page",
        "/public/..;/admins/page",
        "/public\\..\\admins",
        "/admins%2fpage",
        "/%61dmins/page",
        "//admins/page",
        "/ADMINS/page",
        "/admins/page#/public/",
        "/admins/page?/public/",
    ],
)
def test_p1_no_spelling_of_a_path_goes_past_its_rule(client: Client, app: EchoApp, path: str):
    before = len(app.arrivals)
    answer = client.get(path)
    for arrival in app.arrivals[before:]:
        # What an app of any kind would make of it still lies below /public/.
        assert answer.status == 200
        assert arrival.target.startswith("/public/")
        assert ".." not in arrival.target
        assert "%2e" not in arrival.target.lower()
        assert "\\" not in arrival.target


def test_o6_navigations_are_sent_to_sign_in_and_programs_are_told(client: Client, app: EchoApp):
    sent = client.navigate("/app/start?x=1")
    assert sent.status == 303
    assert sent.header("Location") == "/api/v1/auth/login?rd=/app/start%3Fx%3D1"
    assert sent.header("Cache-Control") == "no-store"
    prefetch = (*NAVIGATE, ("Sec-Purpose", "prefetch"))
    xhr = (("Accept", "text/html"), ("X-Requested-With", "XMLHttpRequest"))
    for method, headers in (
        ("GET", FETCH),
        ("GET", ()),
        ("GET", prefetch),
        ("GET", xhr),
        ("POST", NAVIGATE),
        ("DELETE", FETCH),
    ):
        answer = client.request(method, "/app/start", headers)
        assert answer.is_problem(401), (method, headers)
        assert answer.header("WWW-Authenticate").startswith("Bearer")
        assert answer.header("Location") is None
    assert not app.reached("/app/start")


def test_w1_a_websocket_without_sign_in_or_from_another_site_is_refused(
    client: Client, alice: Client, app: EchoApp
):
    with client.websocket("/app/closed/socket") as socket:
        assert socket.answer.is_problem(401)
    with alice.websocket("/app/closed/socket", [("Origin", "https://evil.example")]) as socket:
        assert socket.answer.is_problem(403)
    assert not app.reached("/app/closed/socket")


def test_o9_another_sites_page_changes_nothing_in_my_name(alice: Client, app: EchoApp):
    evil = (("Origin", "https://evil.example"),)
    for headers in (evil, (*evil, ("Sec-Fetch-Site", "cross-site"))):
        answer = alice.post("/app/transfer", headers, form={"to": "mallory"})
        assert answer.is_problem(403)
    assert not app.reached("/app/transfer")
    assert alice.get("/app/transfer", (("Sec-Fetch-Site", "cross-site"),)).status == 200


def test_p5_a_real_preflight_passes_where_the_route_says_so(client: Client, app: EchoApp):
    preflight = (
        ("Origin", "https://partner.example"),
        ("Access-Control-Request-Method", "POST"),
    )
    assert client.request("OPTIONS", "/cors/data", preflight).status == 200
    assert app.last("/cors/data").method == "OPTIONS"
    assert client.request("OPTIONS", "/cors/data").status == 401, "no preflight"
    assert client.request("OPTIONS", "/app/data", preflight).status == 401, "not this route"
    assert client.request("POST", "/cors/data", preflight).status == 401, "not the request itself"
