"""The far end of the detour (SECURITY C3, C4, O4, O5, O8)."""

from urllib.parse import quote

import pytest

from tests.portal.house import AT, NAVIGATION

FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]


@pytest.fixture
def house(neighbourhood):
    return neighbourhood.house(redirects=True)


async def arrive(browser, method="GET", rd="/app?x=1", data=None, **headers):
    """Come from the app by 307, with whatever the request holds."""
    return await browser.client.request(
        method,
        f"{AT}/refresh?rd={quote(rd, safe='')}",
        headers={**FETCH, **headers},
        data=data,
        allow_redirects=False,
    )


def names(answer):
    return [value.partition("=")[0] for value in answer.headers.getall("Set-Cookie", [])]


def age_of(answer, name):
    (value,) = [v for v in answer.headers.getall("Set-Cookie") if v.startswith(f"{name}=")]
    return int(value.partition("Max-Age=")[2].partition(";")[0])


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_is_sent_back_by_307_with_new_cookies(browser, house, method):
    await browser.login()
    house.clock.advance(901)
    browser.forget("accessToken")

    answer = await arrive(browser, method, data=b"x" * 1000 if method == "POST" else None)

    assert answer.status == 307
    assert answer.headers["Location"] == "/app?x=1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert names(answer) == ["accessToken", "refreshToken", "refreshTokenHeld", "gatewayDetours"]


async def test_the_way_back_says_nothing_that_would_change_the_request(browser):
    await browser.login()

    answer = await arrive(browser)

    assert not {"Referrer-Policy", "Cross-Origin-Opener-Policy", "Content-Security-Policy"} & set(
        answer.headers
    )


async def test_a_renewal_that_changed_nothing_still_says_that_there_is_a_session(browser):
    await browser.login()

    assert names(await arrive(browser)) == ["accessToken", "refreshTokenHeld", "gatewayDetours"]


@pytest.mark.parametrize(
    "rd", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/a//b", "", "x"]
)
async def test_o5_a_body_is_never_sent_where_it_was_not_going(browser, rd):
    await browser.login()

    program = await arrive(browser, "POST", rd)
    person = await arrive(browser, "GET", rd, **NAVIGATION)

    assert (program.status, names(program)) == (400, [])
    assert (person.status, person.headers["Location"]) == (307, "/")


async def test_a_session_that_is_over_sends_a_person_to_sign_in_and_clears_all(browser, house):
    await browser.login()
    (session,) = await house.lifecycle.list("alice")
    await house.lifecycle.end(session.id, "admin")

    answer = await arrive(browser, rd="/a?b=c&d", **NAVIGATION)

    assert answer.status == 303
    assert answer.headers["Location"] == f"{AT}/login?rd=%2Fa%3Fb%3Dc%26d&notice=session-over"
    assert names(answer) == ["accessToken", "refreshToken", "refreshTokenHeld"]
    assert house.kinds()[-1] == "refresh.refused"


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        ("GET", {}, "application/problem+json"),
        ("POST", {"Content-Type": "application/json"}, "application/problem+json"),
        ("POST", {**NAVIGATION, "Content-Type": "application/x-www-form-urlencoded"}, "text/html"),
        ("GET", {**NAVIGATION, "Sec-Purpose": "prefetch"}, "text/html"),
    ],
    ids=["fetch", "fetch post", "form", "prefetch"],
)
async def test_o6_a_session_that_is_over_is_401_to_all_others(
    browser, house, method, headers, kind
):
    await browser.login()
    (session,) = await house.lifecycle.list("alice")
    await house.lifecycle.end(session.id, "admin")

    answer = await arrive(browser, method, data=b"{}" if method == "POST" else None, **headers)

    assert answer.status == 401
    assert answer.content_type == kind
    assert "Location" not in answer.headers
    assert names(answer) == ["accessToken", "refreshToken", "refreshTokenHeld"]
    assert not browser.cookies


async def test_a_claim_of_a_session_without_a_refresh_token_is_taken_back(browser):
    program = await arrive(browser)
    person = await arrive(browser, **NAVIGATION)

    assert (program.status, names(program)) == (401, ["refreshTokenHeld"])
    assert (person.status, names(person)) == (303, ["refreshTokenHeld"])


async def test_c4_a_token_of_a_key_not_here_yet_costs_no_cookie(browser):
    browser.plant("refreshToken", "gr1.key-2." + "A" * 22 + ".1." + "A" * 22)

    answer = await arrive(browser)

    assert (answer.status, names(answer)) == (401, [])


@pytest.mark.parametrize("headers", [{}, NAVIGATION], ids=["program", "person"])
async def test_c4_a_store_that_is_down_is_503_and_costs_no_cookie(browser, house, headers):
    await browser.login()
    house.clock.advance(901)
    house.store.down = True

    answer = await arrive(browser, **headers)

    assert (answer.status, names(answer)) == (503, [])
    assert answer.headers["Retry-After"] == "3"
    assert house.kinds()[-1] == "refresh.unavailable"
    house.store.down = False
    assert (await arrive(browser)).status == 307


async def test_o8_another_sites_post_is_refused_here_too(browser):
    await browser.login()

    answer = await arrive(browser, "POST", **{"Sec-Fetch-Site": "cross-site"})

    assert (answer.status, names(answer)) == (403, [])


async def test_another_sites_link_is_only_a_link(browser):
    await browser.login()

    answer = await arrive(browser, **{**NAVIGATION, "Sec-Fetch-Site": "cross-site"})

    assert answer.status == 307


async def test_o4_who_comes_again_at_once_without_the_cookie_is_told_why(browser, house):
    await browser.login()
    await arrive(browser)
    browser.forget("accessToken")

    person = await arrive(browser, **NAVIGATION)
    program = await arrive(browser)

    assert person.status == 401
    text = await person.text()
    assert "did not send our cookie back" in text
    assert "Cookies are blocked for this site" in text
    assert 'href="/app?x=1"' in text
    assert (program.status, program.content_type) == (401, "application/problem+json")
    assert names(person) == names(program) == []
    assert house.kinds()[-2:] == ["refresh.refused"] * 2


async def test_o4_the_diagnosis_names_an_address_that_cookies_cannot_reach(neighbourhood):
    house = neighbourhood.house(redirects=True, public_url="https://app.example")
    browser = await neighbourhood.browser(house)
    there = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "10.0.0.7:8080"}

    answer = await arrive(browser, **NAVIGATION, **there, Cookie="gatewayDetours=1")

    text = await answer.text()
    assert "cookies of this site are Secure" in text
    assert "You came to 10.0.0.7:8080" in text
    assert text.count("Use https://app.example.") == 2


async def test_o4_a_person_whose_new_token_is_never_accepted_stops_going_round(browser):
    await browser.login()

    answers = [await arrive(browser, **NAVIGATION) for _ in range(7)]

    assert [answer.status for answer in answers] == [307] * 6 + [401]
    assert "do not share their signing keys" in await answers[-1].text()


async def test_a_page_may_send_a_hundred_requests_at_once(browser):
    await browser.login()

    assert {(await arrive(browser)).status for _ in range(100)} == {307}


@pytest.mark.parametrize("lifetime", [1, 2, 6, 8, 15, 900])
async def test_the_mark_never_outlives_the_access_cookie(neighbourhood, lifetime):
    browser = await neighbourhood.browser(neighbourhood.house(redirects=True, lifetime=lifetime))
    await browser.login()

    answer = await arrive(browser)

    assert 1 <= age_of(answer, "gatewayDetours") <= 10
    assert age_of(answer, "gatewayDetours") <= age_of(answer, "accessToken")


async def test_a_token_that_expired_on_the_way_is_no_loop(browser, house):
    await browser.login()
    await arrive(browser, **NAVIGATION)
    house.clock.advance(901)

    assert (await arrive(browser, **NAVIGATION)).status == 307


@pytest.mark.parametrize("value", ["", "x", "-1", "²", "999999", "1 or so"])
async def test_a_mark_that_is_no_number_is_none(browser, value):
    await browser.login()
    browser.plant("gatewayDetours", quote(value))
    browser.forget("accessToken")

    assert (await arrive(browser, **NAVIGATION)).status == 307


async def test_our_own_endpoints_renew_by_themselves(browser, house):
    await browser.login()
    house.clock.advance(901)
    browser.forget("accessToken")

    answer = await browser.get("/session")

    assert answer.status == 200
    assert names(answer) == ["accessToken", "refreshToken", "refreshTokenHeld"]


async def test_c3_signing_out_clears_the_claim_too(browser):
    await browser.login()

    answer = await browser.post("/logout")

    assert names(answer)[:3] == ["accessToken", "refreshToken", "refreshTokenHeld"]
