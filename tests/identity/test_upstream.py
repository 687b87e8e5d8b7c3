"""The app's own login decides, against a real server."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.identity.directory import Directory
from gateway.identity.password_hashes import Cost
from gateway.identity.passwords import Passwords
from gateway.identity.principal import Principal
from gateway.identity.provider import LoginRefused, ProviderUnavailable
from gateway.identity.upstream import UpstreamLogin


class App:
    """An app with a login; it remembers what it was sent and answers as told."""

    def __init__(self):
        self.answer = lambda right: web.Response(status=200 if right else 401)
        self.received = []
        self.visited = []

    async def login(self, request: web.Request) -> web.StreamResponse:
        is_json = request.content_type == "application/json"
        body = dict(await (request.json() if is_json else request.post()))
        self.received.append((request.content_type, body, dict(request.cookies)))
        return self.answer("correct horse" in body.values())

    async def other(self, request: web.Request) -> web.Response:
        self.visited.append(request.path)
        return web.Response()


@pytest.fixture
def app():
    return App()


@pytest.fixture
async def server(app):
    application = web.Application()
    application.router.add_post("/login", app.login)
    application.router.add_get("/{anything:.*}", app.other)
    server = TestServer(application)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def login(server):
    made = []

    def make(send, **options):
        made.append(UpstreamLogin(str(server.make_url("/login")), send=send, **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def outcome(provider, password="correct horse"):
    try:
        return (await provider.authenticate("alice", password)).subject
    except LoginRefused:
        return "refused"
    except ProviderUnavailable:
        return "unavailable"


@pytest.mark.parametrize(
    ("send", "content_type"),
    [("json", "application/json"), ("form", "application/x-www-form-urlencoded")],
)
async def test_credentials_arrive_in_the_way_and_fields_that_are_configured(
    app, login, send, content_type
):
    provider = login(send, fields=("email", "pass"), success={200})

    assert await provider.authenticate("zoë", "correct horse") == Principal("zoë")
    assert app.received[1:] == [(content_type, {"email": "zoë", "pass": "correct horse"}, {})]


@pytest.mark.parametrize(
    ("send", "status", "location", "verdict"),
    [
        ("json", 200, "", "alice"),
        ("json", 201, "", "alice"),
        ("json", 204, "", "alice"),
        ("json", 400, "", "refused"),
        ("json", 401, "", "refused"),
        ("json", 403, "", "refused"),
        ("json", 422, "", "refused"),
        ("json", 302, "/", "unavailable"),
        ("form", 302, "/", "alice"),
        ("form", 303, "/account", "alice"),
        ("form", 302, "", "alice"),
        ("form", 302, "/login?error", "refused"),
        ("form", 302, "login/?next=/", "refused"),
        ("form", 302, "http://[bad", "refused"),
        ("form", 200, "", "refused"),
        ("form", 401, "", "refused"),
        ("form", 301, "/", "unavailable"),
        ("form", 307, "/", "unavailable"),
        ("json", 405, "", "unavailable"),
        ("json", 408, "", "unavailable"),
        ("json", 415, "", "unavailable"),
        ("json", 429, "", "unavailable"),
        ("json", 500, "", "unavailable"),
        ("form", 503, "", "unavailable"),
    ],
)
async def test_the_status_decides(app, login, send, status, location, verdict):
    def answer(right):
        if not right:
            return web.Response(status=401)
        return web.Response(status=status, headers={"Location": location} if location else {})

    app.answer = answer

    assert await outcome(login(send)) == verdict


async def test_what_counts_as_success_can_be_said(app, login):
    app.answer = lambda right: web.Response(status=200 if right else 401)

    assert await outcome(login("form", success={200})) == "alice"
    assert await outcome(login("form", success={200}), "wrong") == "refused"


@pytest.mark.parametrize("status", [200, 302])
async def test_i9_an_app_that_accepts_any_password_is_never_believed(app, login, status):
    elsewhere = {"Location": "/sign-in"}  # as a wrong URL is answered by many an app
    app.answer = lambda _: web.Response(status=status, headers=elsewhere)
    provider = login("form", success={200, 302})

    assert [await outcome(provider) for _ in range(2)] == ["unavailable", "unavailable"]
    assert not any("alice" in body.values() for _, body, _ in app.received)


async def test_once_it_has_refused_a_stranger_it_is_asked_for_nobody_else(app, login):
    provider = login("json")
    for _ in range(3):
        await outcome(provider)

    assert [body["username"] for _, body, _ in app.received][1:] == ["alice"] * 3


async def test_h19_redirects_are_not_followed_and_cookies_not_kept(app, login):
    def answer(right):
        response = web.Response(status=302, headers={"Location": "/welcome" if right else "/login"})
        response.set_cookie("session", "the app's own")
        return response

    app.answer = answer
    provider = login("form")
    assert [await outcome(provider) for _ in range(2)] == ["alice", "alice"]

    assert app.visited == []
    assert [cookies for _, _, cookies in app.received] == [{}, {}, {}]


async def test_o14_an_app_that_does_not_answer_in_time_is_unavailable():
    gone = asyncio.Event()

    async def silent(reader, writer):
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = UpstreamLogin(f"http://127.0.0.1:{port}/login", timeout=0.1)

    assert await outcome(provider) == "unavailable"
    await asyncio.wait_for(gone.wait(), 10)
    await provider.close()
    server.close()


async def test_an_app_that_is_not_there_or_speaks_no_http_is_unavailable():
    async def babble(reader, writer):
        await reader.read(1)
        writer.write(b"this is not HTTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = UpstreamLogin(f"http://127.0.0.1:{port}/login")
    assert await outcome(provider) == "unavailable"
    server.close()
    await server.wait_closed()

    assert await outcome(provider) == "unavailable"
    await provider.close()


async def test_an_answer_of_any_length_is_judged_by_its_head(app, login):
    async def endless():
        while True:
            yield b"x" * 65536

    app.answer = lambda right: web.Response(status=200 if right else 401, body=endless())

    assert await outcome(login("json")) == "alice"


async def test_behind_a_directory_one_name_is_one_person_however_it_is_typed(app, login):
    passwords = Passwords(threads=1, cost=Cost(8, 1))
    directory = Directory(passwords, {}, {"upstream": login("json")})

    assert await directory.authenticate("ALICE", "correct horse") == Principal(
        "alice", provider="upstream"
    )
    assert app.received[1][1]["username"] == "alice"
    assert await directory.current(Principal("alice", provider="upstream"))
    with pytest.raises(LoginRefused):
        await directory.authenticate("alice", "wrong horse")
    passwords.close()


async def test_closing_before_the_first_use_is_nothing():
    await UpstreamLogin("http://127.0.0.1:1/login").close()
