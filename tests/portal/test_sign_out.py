import asyncio

import pytest

from tests.portal.house import AT


async def alive(house):
    return len(await house.lifecycle.list("alice"))


def cleared(answer):
    values = answer.headers.getall("Set-Cookie")
    return {v.partition("=")[0] for v in values if "Max-Age=0" in v} >= {
        "accessToken",
        "refreshToken",
    }


@pytest.mark.parametrize("kept", ["both", "accessToken", "refreshToken"])
async def test_s7_signing_out_ends_the_session_and_clears_both_cookies(browser, house, kept):
    await browser.login()
    before = browser.cookies
    if kept != "both":
        browser.forget(*(before.keys() - {kept}))

    answer = await browser.post("/logout")

    assert answer.status == 200
    assert await answer.json() == {"message": "signed out"}
    assert cleared(answer)
    assert not browser.cookies
    assert await alive(house) == 0
    for name, value in before.items():
        browser.plant(name, value)
    assert (await browser.get("/session")).status == 401


async def test_signing_out_without_any_cookie_clears_them_all_the_same(browser):
    answer = await browser.post("/logout")

    assert answer.status == 200
    assert cleared(answer)


async def test_an_expired_access_token_alone_still_ends_its_session(browser, house):
    await browser.login()
    browser.forget("refreshToken")
    house.clock.advance(901)

    await browser.post("/logout")

    assert await alive(house) == 0


async def test_garbage_in_the_cookies_does_not_hinder(browser):
    browser.plant("accessToken", "garbage")
    browser.plant("refreshToken", "garbage")

    answer = await browser.post("/logout?everywhere=true")

    assert answer.status == 200
    assert cleared(answer)


async def test_everywhere_means_every_session_of_the_user(browser, neighbourhood, house):
    phone = await neighbourhood.browser(house)
    await phone.login()
    await browser.login()

    answer = await browser.post("/logout?everywhere=true")

    assert answer.status == 200
    assert await alive(house) == 0
    assert (await phone.get("/session")).status == 401
    assert house.events[-1].outcome == "everywhere"


async def test_without_everywhere_the_other_sessions_go_on(browser, neighbourhood, house):
    phone = await neighbourhood.browser(house)
    await phone.login()
    await browser.login()

    await browser.post("/logout")

    assert (await phone.get("/session")).status == 200


async def test_signing_in_again_at_once_works(browser):
    await browser.login()
    await browser.post("/logout?everywhere=true")
    await browser.login()

    assert (await browser.get("/session")).status == 200


async def test_a_form_goes_to_the_sign_in_page_which_says_so(browser):
    await browser.login()

    answer = await browser.submit("/logout")

    assert answer.status == 303
    assert answer.headers["Location"] == f"{AT}/login?notice=signed-out"
    assert cleared(answer)


@pytest.mark.parametrize(
    ("rd", "location"),
    [
        ("/bye", "/bye"),
        ("//evil.example", f"{AT}/login?notice=signed-out"),
        ("https://evil.example/", f"{AT}/login?notice=signed-out"),
    ],
)
async def test_o5_after_signing_out_one_stays_on_our_origin(browser, rd, location):
    by_form = await browser.submit("/logout", {"rd": rd})
    by_query = await browser.client.post(
        AT + "/logout", params={"rd": rd}, headers={"Accept": "text/html"}, allow_redirects=False
    )

    assert by_form.headers["Location"] == location
    assert by_query.headers["Location"] == location


async def test_o8_a_link_signs_nobody_out_but_asks(browser, house):
    await browser.login()

    answer = await browser.open("/logout")
    text = await answer.text()

    assert answer.status == 200
    assert await alive(house) == 1
    assert 'method="post"' in text
    assert "<strong>alice</strong>" in text
    assert "Sign out on all devices" in text


async def test_the_question_may_also_be_put_to_nobody(browser):
    answer = await browser.open("/logout?rd=/bye")

    assert answer.status == 200
    assert 'name="rd" value="/bye"' in await answer.text()


@pytest.mark.parametrize("as_form", [False, True])
async def test_r1_a_store_that_is_down_keeps_nobody_signed_in_here(browser, house, as_form):
    await browser.login()
    kept = browser.cookies
    house.store.down = True

    answer = await (browser.submit("/logout") if as_form else browser.post("/logout"))

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "3"
    assert cleared(answer)
    assert "You are signed out on this device." in await answer.text()
    while len(house.tasks):
        await asyncio.sleep(0)
    assert await alive(house) == 0
    for name, value in kept.items():
        browser.plant(name, value)
    assert (await browser.get("/session")).status == 401


async def test_what_belongs_to_the_app_is_not_wiped(browser):
    answer = await browser.post("/logout")

    assert "Clear-Site-Data" not in answer.headers
