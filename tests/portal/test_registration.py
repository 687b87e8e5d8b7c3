import pytest

from tests.portal.house import PASSWORD

BOB = {"username": "bob", "password": PASSWORD, "email": "bob@example.com"}


@pytest.fixture
def house(neighbourhood):
    return neighbourhood.house(registration=True)


async def test_registering_by_json_makes_a_user_who_is_signed_in(browser, house):
    answer = await browser.post("/register", BOB)

    assert answer.status == 201
    assert await answer.json() == {
        "user": {"username": "bob", "name": "", "email": "bob@example.com", "groups": []}
    }
    assert set(browser.cookies) == {"accessToken", "refreshToken"}
    assert (await browser.get("/session")).status == 200
    assert house.kinds() == ["register.ok"]


async def test_the_email_may_be_missing(browser):
    answer = await browser.post("/register", {"username": "bob", "password": PASSWORD})

    assert (await answer.json())["user"]["email"] == ""


async def test_registering_by_form_goes_on_to_where_the_person_wanted_to_go(browser):
    answer = await browser.submit("/register", BOB | {"rd": "/reports"})

    assert (answer.status, answer.headers["Location"]) == (303, "/reports")


@pytest.mark.parametrize("username", ["alice", "ALICE", "\uff41lice"])
async def test_o12_a_name_is_taken_in_every_spelling(browser, username):
    answer = await browser.post("/register", BOB | {"username": username})

    assert answer.status == 409
    assert (await answer.json())["field"] == "username"
    assert not browser.cookies


@pytest.mark.parametrize(
    ("unfit", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": 5}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "password"}, "password"),
        ({"password": "x" * 2_000}, "password"),
        ({"email": "not-an-address"}, "email"),
        ({"email": ["a@example.com"]}, "email"),
        ({"email": "a\0@example.com"}, "email"),
    ],
)
async def test_an_unfit_field_is_named(browser, house, unfit, field):
    answer = await browser.post("/register", BOB | unfit)

    assert answer.status == 422
    assert (await answer.json())["field"] == field
    assert "bob" not in house.users.known


async def test_the_page_names_the_field_and_keeps_all_but_the_password(browser):
    answer = await browser.submit("/register", BOB | {"password": "hunter2", "rd": "/reports"})
    text = await answer.text()

    assert answer.status == 422
    assert "The password must have at least 8 characters." in text
    assert 'value="bob"' in text
    assert 'value="bob@example.com"' in text
    assert 'name="rd" value="/reports"' in text
    assert "hunter2" not in text
    assert 'aria-describedby="error password-hint"' in text


async def test_the_page_asks_password_managers_for_a_new_password(browser):
    text = await (await browser.open("/register?rd=/reports")).text()

    assert 'autocomplete="new-password"' in text
    assert 'href="/api/v1/auth/login?rd=%2Freports"' in text


async def test_the_sign_in_page_leads_here_and_keeps_where_to_go(browser):
    text = await (await browser.open("/login?rd=/reports")).text()

    assert 'href="/api/v1/auth/register?rd=%2Freports"' in text


async def test_nobody_registers_where_registration_is_off(neighbourhood):
    browser = await neighbourhood.browser(neighbourhood.house())

    program = await browser.post("/register", BOB)
    form = await browser.submit("/register", BOB)
    page = await browser.open("/register")

    assert (program.status, form.status, page.status) == (403, 403, 403)
    assert program.content_type == "application/problem+json"
    assert "Nobody can register here" in await page.text()


async def test_r1_a_store_that_is_down_is_503(browser, house):
    house.store.down = True

    answer = await browser.post("/register", BOB)

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "3"


async def test_users_who_cannot_be_looked_up_are_503(browser, house):
    house.users.available = False

    program = await browser.post("/register", BOB)
    form = await browser.submit("/register", BOB)

    assert (program.status, form.status) == (503, 503)
    assert 'value="bob"' in await form.text()


async def test_r5_one_network_does_not_register_without_end(browser, house):
    house.users.available = False
    for _ in range(300):
        await browser.post("/register", BOB)

    answer = await browser.post("/register", BOB)

    assert answer.status == 429
    assert answer.headers["Retry-After"] == "3600"
