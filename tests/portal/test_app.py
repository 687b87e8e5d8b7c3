import re

import pytest

from tests.portal.house import AT


async def test_the_public_keys_are_published_and_may_be_kept_for_minutes(browser):
    answer = await browser.get("/jwks.json")

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    (key,) = (await answer.json(content_type=None))["keys"]
    assert key["kid"] == "key-1"
    assert "d" not in key


async def test_a_new_key_is_published_without_a_restart(browser, house):
    house.rotate("key-2")

    answer = await browser.get("/jwks.json")

    assert len((await answer.json(content_type=None))["keys"]) == 2


async def test_health_says_ok_and_nothing_else(browser, house):
    house.store.down = True

    answer = await browser.get("/health")

    assert (answer.status, await answer.text()) == (200, "ok")


@pytest.mark.parametrize("path", ["/login", "/logout", "/health", "/jwks.json"])
async def test_head_is_answered_where_get_is(browser, path):
    answer = await browser.client.head(AT + path)

    assert answer.status == 200
    assert await answer.read() == b""


async def test_files_carry_their_hash_and_are_kept_for_ever(browser):
    text = await (await browser.open("/login")).text()
    files = re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js|svg))"', text)

    assert len(files) == 3
    for path in files:
        answer = await browser.client.get(path)
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    types = {(await browser.client.get(path)).content_type for path in files}
    assert types == {"text/css", "text/javascript", "image/svg+xml"}


@pytest.mark.parametrize("name", ["portal.css", "..%2fapp.py", "%2e%2e/app.py", "x"])
async def test_nothing_but_those_files_is_served(browser, name):
    answer = await browser.client.get(f"{AT}/static/{name}")

    assert answer.status == 404


async def test_the_prefix_is_a_matter_of_configuration(neighbourhood):
    house = neighbourhood.house(prefix="/_gw")
    browser = await neighbourhood.browser(house)

    answer = await browser.client.get("/_gw/login")

    assert answer.status == 200
    assert 'action="/_gw/login"' in await answer.text()
    assert (await browser.get("/login")).status == 404
