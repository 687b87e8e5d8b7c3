"""The three ways to renew an expired access token, each in a real Chromium.

What each can and cannot do is the table of docs/transparent-refresh.md; these are its measurements.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.end_to_end.client import ACCESS, PASSWORD, PREFIX, REFRESH
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import Arrival, EchoApp
from tests.end_to_end.losing_proxy import LosingProxy
from tests.end_to_end.running import Running, until

WAYS = ["inline", "redirect", "off"]
KINDS = ["navigation", "fetch GET", "fetch POST", "form POST", "WebSocket"]
WORKS, SIGN_IN_PAGE, UNAUTHORIZED = "works", "works by way of the sign-in page", "401"
MEASURED = {
    **{("inline", kind): WORKS for kind in KINDS},
    **{("redirect", kind): WORKS for kind in KINDS},
    ("redirect", "WebSocket"): UNAUTHORIZED,
    **{("off", kind): UNAUTHORIZED for kind in KINDS},
    ("off", "navigation"): SIGN_IN_PAGE,
}
FETCH = """async ([path, how]) => {
    const answer = await fetch(path, how);
    const headers = Object.fromEntries(answer.headers);
    return {status: answer.status, type: answer.type, headers, body: await answer.text()};
}"""
SUBMIT = """([path, text]) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = path;
    const field = Object.assign(document.createElement('input'), {name: 'text', value: text});
    form.append(field);
    document.body.append(form);
    form.submit();
}"""
TALK = """path => new Promise(resolve => {
    const socket = new WebSocket(location.origin.replace('http', 'ws') + path);
    socket.onopen = () => socket.send('hello');
    socket.onmessage = message => { resolve(message.data); socket.close(); };
    socket.onerror = () => resolve('refused');
})"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(path).exists():
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gateways(starts_gateways: StartGateway, app: EchoApp) -> dict[str, Running]:
    """One gateway for each way, with access tokens that browsers keep for a second."""
    brief = {
        "tokens": {"access_lifetime": "2s"},
        "sessions": {"grace": "500ms", "delivery": "500ms"},
    }
    return {way: starts_gateways(configured(app, way, **brief)) for way in WAYS}


@pytest.fixture(scope="module")
def lasting(starts_gateways: StartGateway, app: EchoApp) -> dict[str, Running]:
    """Gateways whose access tokens outlive whatever a test does."""
    return {way: starts_gateways(configured(app, way)) for way in WAYS}


def configured(app: EchoApp, way: str, **sections: Any) -> dict[str, Any]:
    return smallest(
        app,
        routes=[
            {"path": "/public/*", "upstream": "app", "access": "public"},
            {"path": "/*", "upstream": "app"},
        ],
        auth={"transparent_refresh": way},
        **sections,
    )


@dataclass
class Visit:
    """Alice in a browser, signed in by the real page, on a page of the app."""

    gateway: Running
    context: BrowserContext
    page: Page

    def expire(self) -> None:
        until(lambda: ACCESS not in self.cookies(), "the browser drops the access cookie")

    def drop(self) -> None:
        """Leave the browser without the access cookie, as one does that has dropped it."""
        self.context.clear_cookies(name=ACCESS)

    def cookies(self) -> set[str]:
        return {each["name"] for each in self.context.cookies()}

    def fetch(self, path: str, **how):
        return self.page.evaluate(FETCH, [path, how])

    def submit(self, path: str, text: str):
        with self.page.expect_navigation() as navigation:
            self.page.evaluate(SUBMIT, [path, text])
        return navigation.value

    def talk(self, path: str) -> str:
        said: str = self.page.evaluate(TALK, path)
        return said


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.fill("#username", "alice")
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_load_state()


@pytest.fixture
def visiting(gateways, visiting_at):
    return lambda way: visiting_at(gateways[way])


@pytest.fixture
def visiting_at(chromium):
    contexts = []

    def visit(gateway: Running) -> Visit:
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        sign_in(page, f"{gateway.url}/start")
        assert page.url == f"{gateway.url}/start"
        return Visit(gateway, contexts[-1], page)

    yield visit
    for context in contexts:
        context.close()


def send(visit: Visit, kind: str, path: str) -> str:
    """Send a request of that kind and say what became of it."""
    match kind:
        case "navigation":
            answer = visit.page.goto(f"{visit.gateway.url}{path}?a=[1]#there")
            assert unquote(visit.page.url) == f"{visit.gateway.url}{path}?a=[1]#there"
            return _outcome(answer.status, _through(answer.request))
        case "fetch GET":
            return _outcome(visit.fetch(path, method="GET")["status"])
        case "fetch POST":
            headers = {"Content-Type": "application/json", "X-Custom": "kept"}
            answer = visit.fetch(path, method="POST", body='{"n": 1}', headers=headers)
            if answer["status"] == 401:
                assert answer["headers"]["content-type"] == "application/problem+json"
                assert answer["headers"]["www-authenticate"].startswith("Bearer")
            return _outcome(answer["status"])
        case "form POST":
            answer = visit.submit(path, "ä ö")
            return _outcome(answer.status)
        case _:
            said = visit.talk(path)
            return WORKS if said == "echo: hello" else UNAUTHORIZED


def _through(request) -> list[str]:
    urls = []
    while request is not None:
        urls.append(request.url)
        request = request.redirected_from
    return urls


def _outcome(status: int, through: list[str] = ()) -> str:
    if status != 200:
        return str(status)
    return SIGN_IN_PAGE if any("/login?" in url for url in through) else WORKS


def arrivals_at(app: EchoApp, path: str) -> list[Arrival]:
    return [each for each in app.arrivals if each.target.partition("?")[0] == path]


@pytest.mark.parametrize(("way", "kind"), list(product(WAYS, KINDS)))
def test_what_each_way_can_do(way, kind, visiting, app):
    path = f"/{way}/{kind.replace(' ', '-')}" + ("/socket" if kind == "WebSocket" else "")
    visit = visiting(way)
    visit.expire()

    assert send(visit, kind, path) == MEASURED[way, kind]

    arrived = arrivals_at(app, path)
    if MEASURED[way, kind] == UNAUTHORIZED:
        assert arrived == []
        return
    (arrival,) = arrived
    assert arrival.header("X-Forwarded-User") == "alice"
    assert arrival.header("Cookie") is None
    if kind == "fetch POST":
        assert (arrival.method, arrival.body) == ("POST", '{"n": 1}')
        assert arrival.header("X-Custom") == "kept"
    if kind == "form POST":
        assert (arrival.method, arrival.body) == ("POST", "text=%C3%A4+%C3%B6")
    assert ACCESS in visit.cookies() or way == "off"


@pytest.mark.parametrize("way", ["redirect", "off"])
def test_where_a_websocket_is_refused_it_opens_after_a_renewal(way, visiting):
    visit = visiting(way)
    visit.expire()
    assert visit.talk("/again/socket") == "refused"

    renewed = (
        visit.fetch(f"{PREFIX}/session")
        if way == "redirect"
        else visit.fetch(f"{PREFIX}/refresh-token", method="POST")
    )

    assert renewed["status"] == 200
    assert visit.talk("/again/socket") == "echo: hello"


def test_the_explicit_way_is_a_401_a_renewal_and_the_request_once_more(visiting, app):
    visit = visiting("off")
    visit.expire()
    how = {"method": "POST", "body": "{}", "headers": {"Content-Type": "application/json"}}

    refused = visit.fetch("/off/once-more", **how)
    renewed = visit.fetch(f"{PREFIX}/refresh-token", method="POST")
    again = visit.fetch("/off/once-more", **how)

    assert [each["status"] for each in (refused, renewed, again)] == [401, 200, 200]
    assert len(arrivals_at(app, "/off/once-more")) == 1


@pytest.mark.parametrize(
    ("way", "size"), [("inline", 20_000_000), ("redirect", 100_000), ("redirect", 20_000_000)]
)
def test_a_large_body_arrives_once_and_whole(lasting, visiting_at, app, way, size):
    """Each of the three times that it is sent may take longer than a token of a second lasts."""
    visit = visiting_at(lasting[way])
    visit.drop()
    path = f"/{way}/large-{size}"

    status = visit.page.evaluate(
        "async ([path, n]) => (await fetch(path, {method: 'PUT', body: 'x'.repeat(n)})).status",
        [path, size],
    )

    assert status == 200
    (arrival,) = arrivals_at(app, path)
    assert (arrival.method, len(arrival.body)) == ("PUT", size)


@pytest.mark.parametrize(("way", "status"), [("inline", 200), ("redirect", 200), ("off", 401)])
def test_twenty_requests_at_once_fare_alike(visiting, app, way, status):
    visit = visiting(way)
    visit.expire()

    statuses = visit.page.evaluate(
        """path => Promise.all([...Array(20).keys()].map(async n =>
            (await fetch(path + n, {method: 'POST', body: '' + n})).status))""",
        f"/{way}/at-once?",
    )

    assert statuses == [status] * 20
    assert len(arrivals_at(app, f"/{way}/at-once")) == (20 if status == 200 else 0)


@pytest.mark.parametrize("way", ["inline", "redirect"])
def test_a_beacon_arrives(visiting, app, way):
    visit = visiting(way)
    visit.expire()

    visit.page.evaluate("path => navigator.sendBeacon(path, 'left')", f"/{way}/beacon")

    until(lambda: app.reached(f"/{way}/beacon"), "the beacon arrives")
    assert app.last(f"/{way}/beacon").body == "left"


RESTRICTED = [
    ({"redirect": "manual"}, "basic 200", "opaqueredirect 0", "basic 401"),
    ({"redirect": "error"}, "basic 200", "TypeError", "basic 401"),
    ({"credentials": "omit"}, "basic 401", "basic 401", "basic 401"),
    ({"mode": "same-origin"}, "basic 200", "basic 200", "basic 401"),
]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_fetch_that_restricts_itself_gets(visiting, way):
    visit = visiting(way)

    got = []
    for how, *_ in RESTRICTED:
        visit.expire()
        outcome = visit.page.evaluate(
            """how => fetch('/restricted', how).then(
                answer => answer.type + ' ' + answer.status, error => error.name)""",
            how,
        )
        got.append((how, outcome))

    assert got == [(how, outcomes[WAYS.index(way)]) for how, *outcomes in RESTRICTED]


class TestRedirect:
    """The refresh cookie never travels with ordinary requests."""

    def test_the_refresh_cookie_is_shown_to_the_prefix_alone(self, visiting):
        visit = visiting("redirect")
        sent = {}
        visit.page.on("request", lambda request: sent.update({request.url: request}))
        visit.expire()
        visit.page.goto(f"{visit.gateway.url}/quiet")

        shown = {
            url.partition("?")[0].removeprefix(visit.gateway.url): REFRESH + "="
            in request.all_headers().get("cookie", "")
            for url, request in sent.items()
            if "favicon" not in url
        }
        assert shown == {"/quiet": False, f"{PREFIX}/refresh": True}

    def test_the_app_sees_the_form_as_if_it_had_come_straight(self, visiting, app):
        visit = visiting("redirect")
        visit.submit("/straight", "a")
        visit.page.goto(f"{visit.gateway.url}/start")
        visit.expire()
        visit.submit("/detour", "a")

        straight, detour = app.last("/straight"), app.last("/detour")
        for name in ("Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Content-Type"):
            assert detour.header(name) == straight.header(name), name
        assert detour.header("Origin") == visit.gateway.url

    def test_another_site_may_link_here_and_nothing_else(self, visiting, app):
        visit = visiting("redirect")
        other_site = f"http://localhost:{app.port}/"
        visit.page.goto(other_site)
        visit.expire()
        assert visit.submit(f"{visit.gateway.url}/posted-by-another-site", "x").status == 401

        visit.page.goto(other_site)
        with visit.page.expect_navigation() as navigation:
            visit.page.evaluate("url => location = url", f"{visit.gateway.url}/linked")
        assert navigation.value.status == 200

    def test_o9_a_sibling_of_our_site_cannot_post_by_way_of_the_renewal(self, visiting, app):
        """Another port is the same site, so our cookies do come along."""
        visit = visiting("redirect")
        visit.page.goto(app.url)
        visit.expire()
        seen = []
        visit.page.on("request", lambda request: seen.append(request.url))

        assert visit.submit(f"{visit.gateway.url}/posted-by-a-sibling", "x").status == 403
        assert not any("/refresh" in url for url in seen)
        assert not app.reached("/posted-by-a-sibling")

    def test_a_session_that_is_over_leads_a_person_to_sign_in_and_back(self, visiting):
        visit = visiting("redirect")
        state = visit.context.storage_state()
        assert visit.fetch(f"{PREFIX}/logout", method="POST")["status"] == 200
        visit.context.add_cookies(state["cookies"])
        visit.expire()

        assert visit.fetch("/over", method="POST", body="x")["status"] == 401
        visit.context.add_cookies([each for each in state["cookies"] if each["name"] != ACCESS])
        visit.page.goto(f"{visit.gateway.url}/over?a=b")

        assert "Your session is over" in visit.page.inner_text("body")
        assert visit.cookies().isdisjoint({ACCESS, REFRESH, f"{REFRESH}Held"})
        sign_in(visit.page, visit.page.url)
        assert visit.page.url == f"{visit.gateway.url}/over?a=b"


def test_o4_a_browser_that_loses_the_access_cookie_is_told_why_and_never_loops(
    gateways, chromium, app
):
    with LosingProxy(gateways["redirect"].port, ACCESS).running() as proxy:
        context = chromium.new_context()
        page = context.new_page()
        sign_in(page, f"http://127.0.0.1:{proxy.port}/lost")

        assert page.inner_text("h1") == "Going round in circles"
        assert "Something between your browser and this site removes cookies." in page.inner_text(
            "body"
        )
        assert len([each for each in proxy.targets if each.startswith("/lost")]) == 3
        until(
            lambda: all(each["name"] != "gatewayDetours" for each in context.cookies()),
            "the mark is forgotten",
        )
        page.goto(f"http://127.0.0.1:{proxy.port}/public/page")
        proxy.targets.clear()
        status = page.evaluate("async () => (await fetch('/lost')).status")
        assert status == 401
        # Two rounds at most; one, where the page's icon was sent round just before.
        assert len([each for each in proxy.targets if each.endswith("/lost")]) in (2, 4)
        assert not app.reached("/lost")
        context.close()
