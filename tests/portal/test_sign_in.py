import asyncio

import pytest

from tests.portal.house import AT, PASSWORD

XSS = '"><script>alert(1)</script>'


async def test_json_sign_in_answers_the_user_and_sets_both_cookies(browser):
    answer = await browser.login()

    assert answer.status == 200
    assert await answer.json() == {
        "user": {
            "username": "alice",
            "name": "Alice",
            "email": "alice@example.com",
            "groups": ["admins"],
        },
        "expires_in": 900,
    }
    assert set(browser.cookies) == {"accessToken", "refreshToken"}
    assert len(answer.headers.getall("Set-Cookie")) == 2


async def test_c6_no_token_is_in_any_body(browser):
    answer = await browser.login()
    text = await answer.text()
    for path in ("/session", "/sessions", "/login"):
        text += await (await browser.get(path)).text()
        text += await (await browser.open(path)).text()

    assert browser.cookies["accessToken"] not in text
    assert browser.cookies["refreshToken"] not in text


@pytest.mark.parametrize("spelling", ["alice", "Alice", " ALICE ", "\uff21lice"])
async def test_o12_every_spelling_of_a_name_is_the_same_user(browser, spelling):
    answer = await browser.login(spelling)

    assert (await answer.json())["user"]["username"] == "alice"


async def test_o7_a_form_is_answered_by_303_to_where_the_person_wanted_to_go(browser):
    answer = await browser.submit(
        "/login", {"username": "alice", "password": PASSWORD, "rd": "/reports?week=3"}
    )

    assert answer.status == 303
    assert answer.headers["Location"] == "/reports?week=3"
    assert set(browser.cookies) == {"accessToken", "refreshToken"}


async def test_the_return_address_may_also_be_in_the_query(browser):
    answer = await browser.submit(
        "/login?rd=%2Freports", {"username": "alice", "password": PASSWORD}
    )

    assert answer.headers["Location"] == "/reports"


async def test_a_form_from_a_program_without_any_hint_is_a_form(browser):
    answer = await browser.client.post(
        AT + "/login", data={"username": "alice", "password": PASSWORD}, allow_redirects=False
    )

    assert (answer.status, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "headers", [{"Accept": "application/json"}, {"Sec-Fetch-Mode": "cors", "Accept": "*/*"}]
)
async def test_a_form_sent_by_a_script_gets_json(browser, headers):
    answer = await browser.client.post(
        AT + "/login",
        data={"username": "alice", "password": PASSWORD},
        headers={"Sec-Fetch-Site": "same-origin", **headers},
    )

    assert answer.status == 200
    assert (await answer.json())["expires_in"] == 900


@pytest.mark.parametrize(
    "rd",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/%09/evil.example",
        "/.//evil.example",
        "javascript:alert(1)",
        "http://localhost:8080.evil.example/",
        "http://localhost:8080@evil.example/",
        "/%2f%2fevil.example/..",
    ],
)
async def test_o5_nobody_is_sent_to_another_origin(browser, rd):
    form = {"username": "alice", "password": PASSWORD, "rd": rd}

    signed_in = await browser.submit("/login", form)
    already = await browser.client.get(
        AT + "/login", params={"rd": rd}, headers={"Accept": "text/html"}, allow_redirects=False
    )

    assert signed_in.headers["Location"] == "/"
    assert already.headers["Location"] == "/"


async def test_o5_a_full_address_of_our_own_origin_is_its_path(browser):
    form = {"username": "alice", "password": PASSWORD, "rd": "http://localhost:8080/a?b=c"}

    answer = await browser.submit("/login", form)

    assert answer.headers["Location"] == "/a?b=c"


async def test_the_page_asks_for_user_name_and_password_and_keeps_where_to_go(browser):
    answer = await browser.open("/login?rd=/reports")
    text = await answer.text()

    assert answer.status == 200
    assert answer.content_type == "text/html"
    assert '<input type="hidden" name="rd" value="/reports">' in text
    assert '<label for="username">' in text
    assert 'autocomplete="username"' in text
    assert '<label for="password">' in text
    assert 'autocomplete="current-password"' in text
    assert "localhost:8080" in text
    assert "Create an account" not in text


async def test_a_wrong_password_by_json_is_a_problem(browser, house):
    answer = await browser.login(password="wrong")

    assert answer.status == 401
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    problem = await answer.json()
    assert problem["title"] == "Unauthorized"
    assert problem["code"] == "wrong-credentials"
    assert problem["status"] == 401
    assert not browser.cookies
    assert house.kinds() == ["login.failed"]


async def test_a_wrong_password_by_form_shows_the_page_again_with_the_name_kept(browser):
    answer = await browser.submit(
        "/login", {"username": "alice", "password": "wrong", "rd": "/reports"}
    )
    text = await answer.text()

    assert answer.status == 401
    assert 'role="alert"' in text
    assert 'value="alice"' in text
    assert 'name="rd" value="/reports"' in text
    assert "wrong." in text
    assert 'value="wrong"' not in text


@pytest.mark.parametrize("username", ["alice", "nobody", "disabled", "not a name"])
async def test_o12_one_refusal_is_like_another(browser, house, username):
    house.add_user("disabled", disabled=True)
    password = PASSWORD if username == "disabled" else "wrong"

    answer = await browser.login(username, password)

    assert answer.status == 401
    assert (await answer.json())["detail"] == "The user name or the password is wrong."


@pytest.mark.parametrize("where", ["username", "rd", "query", "notice", "header"])
async def test_o13_what_a_client_sends_is_escaped(browser, where):
    form = {"username": "alice", "password": "wrong", "rd": "/"}
    query, headers = "", {}
    match where:
        case "username":
            form["username"] = XSS
        case "rd":
            form["rd"] = f"/{XSS}"
        case "query":
            del form["rd"]
            query = f"?rd=/{XSS}"
        case "notice":
            query = f"?notice={XSS}"
        case "header":
            headers = {"X-Request-Id": XSS, "User-Agent": XSS}

    failed = await browser.submit(f"/login{query}", form, **headers)
    page = await browser.open(f"/login{query}", **headers)
    missing = await browser.open(f"/{XSS}", **headers)
    registering = await browser.open(f"/register{query}", **headers)

    for answer in (failed, page, missing, registering):
        assert "<script>alert" not in await answer.text()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "username"),
        ({"username": "alice"}, "password"),
        ({"username": "", "password": "x"}, "username"),
        ({"username": "alice", "password": ""}, "password"),
        ({"username": None, "password": "x"}, "username"),
        ({"username": 1, "password": "x"}, "username"),
        ({"username": ["alice"], "password": "x"}, "username"),
        ({"username": "alice", "password": {"a": 1}}, "password"),
        ({"username": "a\0lice", "password": "x"}, "username"),
        ({"username": "alice", "password": "\0"}, "password"),
        ({"username": "alice", "password": "\ud800"}, "password"),
    ],
)
async def test_an_unfit_field_is_named(browser, fields, field):
    answer = await browser.post("/login", fields)

    assert answer.status == 422
    assert (await answer.json())["field"] == field


async def test_an_empty_form_says_what_to_enter(browser):
    answer = await browser.submit("/login", {"username": "alice", "password": ""})

    assert answer.status == 422
    assert "Enter your password." in await answer.text()


async def test_o12_a_password_of_a_megabyte_is_refused_unread(browser):
    answer = await browser.login(password="x" * 1_000_000)

    assert answer.status == 413


async def test_o12_the_longest_password_that_may_be_sent_is_just_wrong(browser):
    answer = await browser.login(password="x" * 60_000)

    assert answer.status == 401


async def test_o12_after_ten_failures_the_account_is_closed_to_that_network_alone(browser, house):
    for _ in range(10):
        assert (await browser.login(password="wrong")).status == 401

    refused = await browser.login("ALICE")
    elsewhere = await browser.login(**{"X-Forwarded-For": "192.0.2.7, 10.0.0.1"})

    assert refused.status == 429
    assert refused.headers["Retry-After"] == "900"
    assert elsewhere.status == 200
    assert "login.throttled" in house.kinds()


async def test_o12_the_page_says_when_to_try_again(browser, house):
    for _ in range(10):
        await browser.login(password="wrong")
    house.clock.advance(600)

    answer = await browser.submit("/login", {"username": "alice", "password": PASSWORD})

    assert answer.status == 429
    assert answer.headers["Retry-After"] == "300"
    text = await answer.text()
    assert "Try again in 5 minutes." in text
    assert 'value="alice"' in text


async def test_o12_a_burst_of_guesses_gets_no_further_than_single_ones(browser):
    answers = await asyncio.gather(*(browser.login(password="wrong") for _ in range(40)))

    statuses = [answer.status for answer in answers]
    assert statuses.count(401) == 10
    assert statuses.count(429) == 30


async def test_many_right_sign_ins_at_once_all_succeed(browser):
    answers = await asyncio.gather(*(browser.login() for _ in range(30)))

    assert {answer.status for answer in answers} == {200}


async def test_s10_a_sign_in_ends_the_session_that_the_browser_held(browser, neighbourhood, house):
    house.add_user("mallory")
    attacker = await neighbourhood.browser(house)
    await attacker.login("mallory")
    for name, value in attacker.cookies.items():
        browser.plant(name, value)

    await browser.login()

    assert await house.lifecycle.list("mallory") == []
    (session,) = await house.lifecycle.list("alice")
    assert session.id not in attacker.cookies["refreshToken"]
    assert (await attacker.get("/session")).status == 401


@pytest.mark.parametrize("answer_as", ["json", "form"])
async def test_r1_a_store_that_is_down_is_503_and_costs_no_cookie(browser, house, answer_as):
    await browser.login()
    before = browser.cookies
    house.store.down = True

    if answer_as == "json":
        answer = await browser.login()
    else:
        answer = await browser.submit("/login", {"username": "alice", "password": PASSWORD})
        assert 'value="alice"' in await answer.text()

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "3"
    assert "Set-Cookie" not in answer.headers
    assert browser.cookies == before
    assert house.events[-1].outcome == "store"


async def test_users_who_cannot_be_looked_up_are_503_and_no_failure(browser, house):
    house.users.available = False
    answers = [await browser.login() for _ in range(12)]
    house.users.available = True

    assert {answer.status for answer in answers} == {503}
    assert (await browser.login()).status == 200


async def test_too_many_passwords_at_once_are_503(browser, house):
    house.passwords.full = True

    answer = await browser.login()

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "3"


async def test_whoever_is_signed_in_goes_on_from_the_sign_in_page(browser):
    await browser.login()

    answer = await browser.open("/login?rd=/reports")

    assert answer.status == 303
    assert answer.headers["Location"] == "/reports"


async def test_whoever_comes_to_the_sign_in_page_by_themselves_may_sign_in_as_another(browser):
    await browser.login()

    text = await (await browser.open("/login")).text()

    assert "You are signed in as <strong>alice</strong>" in text
    assert 'name="password"' in text


async def test_an_expired_access_token_is_renewed_on_the_way_to_the_page(browser, house):
    await browser.login()
    house.clock.advance(901)

    answer = await browser.open("/login?rd=/reports")

    assert answer.headers["Location"] == "/reports"
    assert (await browser.get("/session")).status == 200


async def test_c3_the_sign_in_page_clears_cookies_of_a_session_that_is_over(browser, house):
    await browser.login()
    house.clock.advance(8 * 86_400)

    answer = await browser.open("/login?rd=/reports")

    assert answer.status == 200
    assert not browser.cookies


async def test_a_notice_says_what_happened_and_is_never_the_clients_text(browser):
    signed_out = await browser.open("/login?notice=signed-out")
    other = await browser.open("/login?notice=You+won")

    assert "You are signed out." in await signed_out.text()
    assert "You won" not in await other.text()


async def test_the_audit_log_learns_who_and_whence_but_no_secret(browser, house):
    await browser.login(**{"X-Forwarded-For": "192.0.2.7", "X-Request-Id": "r-1"})

    (event,) = house.events
    assert event.kind.value == "login.ok"
    assert (event.user, event.client, event.request_id) == ("alice", "192.0.2.7", "r-1")
    (session,) = await house.lifecycle.list("alice")
    assert session.id not in repr(event)
    assert PASSWORD not in repr(event)


async def test_an_account_that_fits_no_token_is_told_so_and_gets_no_session(browser, house):
    house.change("alice", groups=tuple(f"department-{n:04}" for n in range(400)))

    answer = await browser.login()

    assert answer.status == 403
    assert "do not fit into an access token" in (await answer.json())["detail"]
    assert browser.cookies == {}
    assert await house.lifecycle.list("alice") == []
