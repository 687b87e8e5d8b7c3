import logging

import pytest
from aiohttp import web

from gateway.portal.app import build
from tests.portal.house import AT, FORM, NAVIGATION, PASSWORD, House

RIGHT = {"username": "alice", "password": PASSWORD}
CHANGES = [
    ("POST", "/login"),
    ("POST", "/register"),
    ("POST", "/refresh-token"),
    ("POST", "/logout"),
    ("POST", "/sessions/others/end"),
    ("POST", "/sessions/x/end"),
    ("DELETE", "/sessions/x"),
]


@pytest.mark.parametrize(
    "sent",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8080"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8081"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_o8_a_page_of_another_site_changes_nothing(browser, house, method, path, sent):
    await browser.login()

    answer = await browser.client.request(method, AT + path, headers=sent, allow_redirects=False)

    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    assert len(await house.lifecycle.list("alice")) == 1
    assert house.kinds()[-1] == "cross_site.refused"


async def test_o8_a_cross_site_form_signs_nobody_in(browser):
    answer = await browser.submit("/login", RIGHT, **{"Sec-Fetch-Site": "cross-site"})

    assert answer.status == 403
    assert answer.content_type == "text/html"
    assert not browser.cookies


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8080"},
        {
            "Origin": "http://127.0.0.1:8080",
            "X-Forwarded-Host": "127.0.0.1:8080",
            "X-Forwarded-Proto": "http",
        },
    ],
)
async def test_o8_our_own_pages_and_programs_may_sign_in(browser, sent):
    assert (await browser.login(**sent)).status == 200


@pytest.mark.parametrize(
    "path",
    ["/login", "/register", "/logout", "/sessions", "/session", "/health", "/missing"],
)
async def test_o13_every_answer_carries_the_security_headers(browser, path):
    for answer in (await browser.open(path), await browser.get(path)):
        assert answer.headers["Cache-Control"] == "no-store"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] in ("same-origin", "no-referrer")
        assert "aiohttp" not in answer.headers["Server"]
        assert "Strict-Transport-Security" not in answer.headers


async def test_o13_https_by_configuration_is_announced(neighbourhood):
    house = neighbourhood.house(public_url="https://app.example.com")
    browser = await neighbourhood.browser(house)

    answer = await browser.open("/login", **{"X-Forwarded-Proto": "http"})

    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "app.example.com" in await answer.text()


async def test_c1_on_https_the_cookies_have_the_strongest_prefix(neighbourhood):
    house = neighbourhood.house(public_url="https://app.example.com")
    browser = await neighbourhood.browser(house)

    answer = await browser.login()

    for value in answer.headers.getall("Set-Cookie"):
        assert value.startswith("__Host-")
        assert "; Path=/; Secure; HttpOnly; SameSite=Lax" in value


async def test_pages_hold_neither_inline_script_nor_style_nor_foreign_addresses(browser):
    await browser.login()
    for path in ("/login", "/logout", "/sessions", "/missing"):
        text = await (await browser.open(path)).text()

        assert "style=" not in text
        assert "<style" not in text
        assert " on" + "click" not in text
        assert "<script>" not in text
        assert "//" not in text.replace("http://www.w3.org", "").replace("<!doctype", "")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/login", "GET,HEAD,POST"),
        ("GET", "/refresh-token", "POST"),
        ("POST", "/session", "GET,HEAD"),
        ("OPTIONS", "/login", "GET,HEAD,POST"),
        ("GET", "/sessions/x", "DELETE"),
    ],
)
async def test_a_method_that_is_not_allowed_is_told_which_are(browser, method, path, allow):
    answer = await browser.client.request(method, AT + path)

    assert answer.status == 405
    assert answer.headers["Allow"] == allow
    assert answer.content_type == "application/problem+json"


async def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_programs(browser):
    page = await browser.open("/missing")
    program = await browser.get("/missing")

    assert (page.status, program.status) == (404, 404)
    assert "There is no such page" in await page.text()
    assert (await program.json())["title"] == "Not Found"


@pytest.fixture
def broken(neighbourhood):
    house = neighbourhood.house()

    async def fail(_request):
        raise RuntimeError("secret detail")

    house.app = build(house.portal)
    house.app.router.add_get(f"{AT}/broken", fail)
    return house


async def test_our_own_fault_is_500_logged_once_and_never_shown(neighbourhood, broken, caplog):
    browser = await neighbourhood.browser(broken)
    caplog.set_level(logging.ERROR)

    program = await browser.get("/broken", **{"X-Request-Id": "r-7"})
    page = await browser.open("/broken", **{"X-Request-Id": "r-8"})

    assert (program.status, page.status) == (500, 500)
    for answer in (program, page):
        assert "secret" not in await answer.text()
        assert "Traceback" not in await answer.text()
    assert "r-8" in await page.text()
    assert len(caplog.records) == 2
    assert "r-7" in caplog.records[0].getMessage()


async def test_a_redirect_or_an_error_of_the_framework_keeps_its_status(neighbourhood):
    house = neighbourhood.house()

    async def unsupported(_request):
        raise web.HTTPUnsupportedMediaType

    house.app = build(house.portal)
    house.app.router.add_get(f"{AT}/odd", unsupported)
    browser = await neighbourhood.browser(house)

    answer = await browser.get("/odd")

    assert answer.status == 415
    assert answer.content_type == "application/problem+json"


async def test_a_person_who_waits_for_the_store_gets_a_page_that_tries_again(browser, house):
    await browser.login()
    house.clock.advance(901)
    house.store.down = True

    answer = await browser.open("/login?rd=/reports")

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "3"
    assert 'http-equiv="refresh"' in await answer.text()
    assert "Set-Cookie" not in answer.headers


def test_the_origin_is_spelled_as_browsers_do():
    spelled = {
        "http://localhost:8080": "http://localhost:8080",
        "https://App.Example.com": "https://app.example.com",
        "https://app.example.com:443/": "https://app.example.com",
        "http://app.example.com:80": "http://app.example.com",
        "https://app.example.com:80": "https://app.example.com:80",
        "http://[::1]:8080": "http://[::1]:8080",
    }
    for public_url, origin in spelled.items():
        house = House(public_url=public_url)
        assert house.portal.origin == origin
        house.passwords.close()


async def test_the_form_names_its_origin_to_us_and_its_page_to_nobody_else(browser):
    page = await browser.open("/login")
    program = await browser.login()

    assert page.headers["Referrer-Policy"] == "same-origin"
    assert program.headers["Referrer-Policy"] == "no-referrer"


async def test_a_form_without_a_body_is_answered_as_a_form(browser):
    answer = await browser.client.post(AT + "/login", headers={**NAVIGATION, **FORM})

    assert answer.status == 422
    assert answer.content_type == "text/html"
