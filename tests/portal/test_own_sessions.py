import pytest

from gateway.sessions.session import session_hash
from tests.portal.house import AT

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)


@pytest.fixture
async def phone(neighbourhood, house):
    phone = await neighbourhood.browser(house)
    await phone.login(**{"User-Agent": IPHONE, "X-Forwarded-For": "192.0.2.9"})
    return phone


async def ids(browser):
    listed = (await (await browser.get("/sessions")).json())["sessions"]
    return {session["device"]: session["id"] for session in listed}


@pytest.mark.usefixtures("phone")
async def test_s11_a_user_sees_their_own_sessions(browser, house):
    house.clock.advance(60)
    await browser.login()

    answer = await browser.get("/sessions")

    assert answer.status == 200
    here, there = (await answer.json())["sessions"]
    assert (here["device"], here["current"]) == ("Firefox on Linux", True)
    assert (there["device"], there["current"]) == ("Safari on iPhone", False)
    assert there["address"] == "192.0.2.9"
    assert there["created_at"] == there["last_seen_at"] == int(house.clock()) - 60
    assert there["user_agent"] == IPHONE


@pytest.mark.usefixtures("phone")
async def test_c6_no_session_id_is_shown_only_its_hash(browser, house):
    await browser.login()

    program = await (await browser.get("/sessions")).text()
    page = await (await browser.open("/sessions")).text()

    for session in await house.lifecycle.list("alice"):
        assert session.id not in program + page
        assert session_hash(session.id) in program


@pytest.mark.usefixtures("phone")
async def test_nobody_sees_the_sessions_of_others(browser, house):
    house.add_user("bob")
    await browser.login("bob")

    listed = (await (await browser.get("/sessions")).json())["sessions"]

    assert len(listed) == 1


@pytest.mark.usefixtures("phone")
async def test_a_person_gets_a_page_with_a_button_for_each_other_session(browser):
    await browser.login()

    answer = await browser.open("/sessions")
    text = await answer.text()

    assert answer.content_type == "text/html"
    assert "Safari on iPhone" in text
    assert "This device" in text
    assert text.count("/end") == 2  # the phone's, and everywhere else
    assert 'aria-label="End the session on Safari on iPhone' in text


async def test_a_session_ends_by_its_public_id(browser, phone, house):
    await browser.login()

    answer = await browser.delete(f"/sessions/{(await ids(browser))['Safari on iPhone']}")

    assert answer.status == 200
    assert (await phone.get("/session")).status == 401
    assert (await browser.get("/session")).status == 200
    assert house.kinds()[-1] == "session.ended"


async def test_a_session_ends_by_its_button(browser, phone):
    await browser.login()

    answer = await browser.submit(f"/sessions/{(await ids(browser))['Safari on iPhone']}/end")

    assert answer.status == 303
    assert answer.headers["Location"] == f"{AT}/sessions?notice=ended"
    assert (await phone.get("/session")).status == 401
    assert "has been ended" in await (await browser.open("/sessions?notice=ended")).text()


async def test_ending_ones_own_session_clears_the_cookies(browser):
    await browser.login()

    await browser.delete(f"/sessions/{(await ids(browser))['Firefox on Linux']}")

    assert not browser.cookies


@pytest.mark.parametrize("whose", ["alice's", "nobody's", "full id"])
async def test_nobody_ends_the_session_of_another(browser, phone, house, whose):
    house.add_user("bob")
    await browser.login("bob")
    (session,) = await house.lifecycle.list("alice")
    public_id = {"alice's": session_hash(session.id), "nobody's": "x", "full id": session.id}

    answer = await browser.delete(f"/sessions/{public_id[whose]}")

    assert answer.status == 404
    assert (await phone.get("/session")).status == 200


async def test_a_button_pressed_twice_says_that_it_was_over(browser):
    await browser.login()

    answer = await browser.submit("/sessions/0123456789abcdef/end")

    assert answer.headers["Location"] == f"{AT}/sessions?notice=gone"


async def test_everywhere_else_means_all_but_here(browser, phone, house):
    await browser.login()

    answer = await browser.submit("/sessions/others/end")

    assert answer.headers["Location"] == f"{AT}/sessions?notice=others-ended"
    assert (await phone.get("/session")).status == 401
    assert (await browser.get("/session")).status == 200
    assert (house.events[-1].kind.value, house.events[-1].count) == ("session.ended", 1)


async def test_nobody_is_sent_to_sign_in_first_and_comes_back(browser):
    page = await browser.open("/sessions")
    program = await browser.get("/sessions")

    assert (page.status, page.headers["Location"]) == (303, f"{AT}/login?rd={AT}/sessions")
    assert program.status == 401


@pytest.mark.parametrize("path", ["/sessions/x", "/sessions/others/end", "/sessions/x/end"])
async def test_nobody_ends_nothing(browser, path):
    answer = await (browser.post(path) if path.endswith("end") else browser.delete(path))

    assert answer.status == 401


async def test_a_renewal_on_the_way_reaches_the_browser(browser, house):
    await browser.login()
    before = browser.cookies
    house.clock.advance(901)

    answer = await browser.delete("/sessions/unknown")

    assert answer.status == 404
    assert browser.cookies["refreshToken"] != before["refreshToken"]


async def test_r1_a_store_that_is_down_is_503(browser, house):
    await browser.login()
    house.store.down = True

    program = await browser.get("/sessions")
    page = await browser.open("/sessions")

    assert (program.status, page.status) == (503, 503)
    assert 'http-equiv="refresh" content="3"' in await page.text()
    assert "Set-Cookie" not in page.headers
