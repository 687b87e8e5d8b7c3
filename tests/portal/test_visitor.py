import pytest

from tests.portal.house import AT


async def test_pages_renew_even_where_programs_must_ask_for_it(neighbourhood):
    house = neighbourhood.house(renews=False)
    browser = await neighbourhood.browser(house)
    await browser.login()
    house.clock.advance(901)

    page = await browser.open("/login?rd=/reports")

    assert (page.status, page.headers["Location"]) == (303, "/reports")
    assert (await browser.get("/session")).status == 200


@pytest.mark.parametrize(
    "cookie",
    [
        "=accessToken=x; =refreshToken=x",
        "$Version=1; accessToken=x; $Path=/",
        'accessToken="x; refreshToken=y"',
        "ACCESSTOKEN=x; refreshtoken=y",
        "accessToken=a.b.c; accessToken=d.e.f",
        "accessToken=" + "x" * 8_000,
        "accessToken=; refreshToken=",
        "; ; ;==;a",
        "accessToken=eyJhbGciOiJub25lIn0.e30.",
        "gatewayReturns=\\061; accessToken=\\145",
        "; ".join(f"a{number}=b" for number in range(500)),
    ],
)
async def test_c2_no_cookie_header_makes_an_identity_or_an_error(browser, cookie):
    page = await browser.open("/login", Cookie=cookie)
    program = await browser.get("/session", Cookie=cookie)

    assert page.status == 200
    assert program.status == 401


async def test_j3_a_refresh_token_is_no_access_token_nor_the_other_way_round(browser):
    await browser.login()
    access, refresh = browser.cookies["accessToken"], browser.cookies["refreshToken"]
    browser.forget("accessToken", "refreshToken")

    swapped = await browser.get("/session", Cookie=f"accessToken={refresh}")
    other = await browser.post("/refresh-token", Cookie=f"refreshToken={access}")

    assert (swapped.status, other.status) == (401, 401)


async def test_a_dead_access_cookie_does_not_hide_a_living_bearer_token(browser):
    await browser.login()
    token = browser.cookies["accessToken"]
    browser.forget("refreshToken")
    browser.plant("accessToken", "dead")

    answer = await browser.client.get(f"{AT}/session", headers={"Authorization": f"Bearer {token}"})

    assert answer.status == 200
