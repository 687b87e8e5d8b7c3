import asyncio

import pytest

from tests.portal.house import AT


def names(answer):
    return [value.partition("=")[0] for value in answer.headers.getall("Set-Cookie", [])]


def cleared(answer):
    return all("=; Expires=Thu, 01 Jan 1970" in v for v in answer.headers.getall("Set-Cookie"))


async def test_a_refresh_at_expiry_answers_with_both_cookies_anew(browser, house):
    await browser.login()
    before = browser.cookies
    house.clock.advance(901)

    answer = await browser.post("/refresh-token")

    assert answer.status == 200
    assert await answer.json() == {"message": "token refreshed", "expires_in": 900}
    assert names(answer) == ["accessToken", "refreshToken"]
    assert browser.cookies["refreshToken"] != before["refreshToken"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_an_early_refresh_renews_the_access_token_alone(browser):
    await browser.login()

    answer = await browser.post("/refresh-token")

    assert answer.status == 200
    assert names(answer) == ["accessToken"]


async def test_any_body_and_any_type_will_do(browser):
    await browser.login()

    answer = await browser.client.post(
        AT + "/refresh-token", data=b"\xff\0", headers={"Content-Type": "text/plain"}
    )

    assert answer.status == 200


async def test_expires_in_is_what_is_really_left(browser, house):
    await browser.login()
    for _ in range(5):
        house.clock.advance(6 * 86_400 - 20)
        answer = await browser.post("/refresh-token")

    assert await answer.json() == {"message": "token refreshed", "expires_in": 100}


async def test_without_a_cookie_it_is_401_and_nothing_is_cleared(browser):
    answer = await browser.post("/refresh-token")

    assert answer.status == 401
    assert names(answer) == []


@pytest.mark.parametrize("how", ["expired", "revoked", "unknown", "forged"])
async def test_a_session_that_is_over_is_401_and_both_cookies_are_cleared(browser, house, how):
    await browser.login()
    (session,) = await house.lifecycle.list("alice")
    match how:
        case "expired":
            house.clock.advance(8 * 86_400)
        case "revoked":
            await house.lifecycle.end(session.id, "admin")
        case "unknown":
            house.store.inner._texts.clear()
        case "forged":
            browser.plant("refreshToken", "gr1.key-1." + "A" * 22 + ".1." + "A" * 22)

    answer = await browser.post("/refresh-token")

    assert answer.status == 401
    assert (await answer.json())["code"] == "session-over"
    assert names(answer) == ["accessToken", "refreshToken"]
    assert cleared(answer)
    assert not browser.cookies
    assert house.kinds()[-1] == "refresh.refused"


async def test_s6_a_token_replayed_after_its_successor_was_used_ends_the_session_for_both(
    browser, neighbourhood, house
):
    await browser.login()
    thief = await neighbourhood.browser(house)
    thief.plant("refreshToken", browser.cookies["refreshToken"])
    for _ in range(2):
        house.clock.advance(901)
        await browser.post("/refresh-token")
    house.clock.advance(901)

    stolen = await thief.post("/refresh-token")
    owners = await browser.post("/refresh-token")

    assert (stolen.status, owners.status) == (401, 401)
    assert cleared(stolen)
    assert cleared(owners)


async def test_a_token_of_a_key_not_here_yet_costs_no_cookie(browser):
    browser.plant("refreshToken", "gr1.key-2." + "A" * 22 + ".1." + "A" * 22)

    answer = await browser.post("/refresh-token")

    assert answer.status == 401
    assert names(answer) == []


async def test_c4_a_store_that_is_down_is_503_and_costs_no_cookie(browser, house):
    await browser.login()
    house.clock.advance(901)
    house.store.down = True

    answer = await browser.post("/refresh-token")

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "3"
    assert answer.content_type == "application/problem+json"
    assert names(answer) == []
    assert house.kinds()[-1] == "refresh.unavailable"
    house.store.down = False
    assert (await browser.post("/refresh-token")).status == 200


async def test_s3_fifty_refreshes_at_once_all_succeed_with_one_successor(
    browser, neighbourhood, house
):
    await browser.login()
    house.clock.advance(901)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    stranger = await neighbourhood.browser(house)

    answers = await asyncio.gather(
        *(stranger.post("/refresh-token", Cookie=cookie) for _ in range(50))
    )

    assert {answer.status for answer in answers} == {200}
    refresh = {
        value.partition(";")[0]
        for answer in answers
        for value in answer.headers.getall("Set-Cookie")
        if value.startswith("refreshToken=")
    }
    assert len(refresh) == 1


async def test_c2_two_refresh_cookies_of_different_value_prove_nothing(browser, house):
    await browser.login()
    token = browser.cookies["refreshToken"]
    browser.forget("accessToken", "refreshToken")

    answer = await browser.post(
        "/refresh-token", Cookie=f"refreshToken={token}; refreshToken=planted"
    )

    assert answer.status == 401
    assert names(answer) == []
    assert len(await house.lifecycle.list("alice")) == 1


async def test_the_session_says_who_and_until_when(browser, house):
    await browser.login()

    answer = await browser.get("/session")

    assert answer.status == 200
    assert await answer.json() == {
        "user": {
            "username": "alice",
            "name": "Alice",
            "email": "alice@example.com",
            "groups": ["admins"],
        },
        "expires_at": int(house.clock()) + 900,
        "session_expires_at": int(house.clock()) + 7 * 86_400,
    }


async def test_a_bearer_token_is_as_good_as_the_cookie(browser):
    await browser.login()
    token = browser.cookies["accessToken"]
    browser.forget("accessToken", "refreshToken")

    right = await browser.get("/session", Authorization=f"Bearer {token}")
    wrong = await browser.get("/session", Authorization=f"Basic {token}")

    assert (right.status, wrong.status) == (200, 401)


async def test_r1_a_living_access_token_is_enough_while_the_store_is_down(browser, house):
    await browser.login()
    house.store.down = True

    answer = await browser.get("/session")

    assert answer.status == 200
    assert (await answer.json())["session_expires_at"] is None


async def test_nobody_has_no_session(browser):
    answer = await browser.get("/session")

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert names(answer) == []


async def test_an_expired_access_token_is_renewed_on_the_way(browser, house):
    await browser.login()
    house.clock.advance(901)

    answer = await browser.get("/session")

    assert answer.status == 200
    assert names(answer) == ["accessToken", "refreshToken"]


async def test_where_renewal_is_explicit_an_expired_access_token_is_401(neighbourhood):
    house = neighbourhood.house(renews=False)
    browser = await neighbourhood.browser(house)
    await browser.login()
    house.clock.advance(901)

    expired = await browser.get("/session")
    await browser.post("/refresh-token")
    renewed = await browser.get("/session")

    assert (expired.status, renewed.status) == (401, 200)
    assert (await expired.json())["code"] == "expired"
    assert names(expired) == []
    assert expired.headers["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="The access token expired"'
    )


async def test_j7_a_session_that_ended_elsewhere_is_over_at_once(browser, house):
    await browser.login()
    (session,) = await house.lifecycle.list("alice")
    await house.lifecycle.end(session.id, "admin")

    answer = await browser.get("/session")

    assert answer.status == 401
    assert cleared(answer)


async def test_s7_a_disabled_user_is_out_with_the_next_renewal(browser, house):
    await browser.login()
    house.disable("alice")
    house.clock.advance(901)

    answer = await browser.get("/session")

    assert answer.status == 401
    assert cleared(answer)


async def test_a_refresh_for_an_account_that_fits_no_token_any_more_says_so(browser, house):
    await browser.login()
    house.change("alice", groups=tuple(f"department-{n:04}" for n in range(400)))

    answer = await browser.post("/refresh-token")

    assert answer.status == 403
    assert "do not fit into an access token" in (await answer.json())["detail"]
    assert cleared(answer)
