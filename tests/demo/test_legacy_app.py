"""The ledger as any legacy app: it answers everybody and shows what reached it."""

import asyncio
import re

import pytest
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from gateway.demo.legacy_app import build

ALICE = {"X-Forwarded-User": "alice", "X-Forwarded-Email": "alice@example.com"}


@pytest.fixture
async def app(aiohttp_client: AiohttpClient) -> TestClient:
    return await aiohttp_client(build(tick_seconds=0.02))


async def test_the_page_names_the_person_and_every_header(app: TestClient) -> None:
    answer = await app.get("/", headers={**ALICE, "X-Odd": "kept"})
    page = await answer.text()

    assert answer.status == 200
    assert "Signed in as <strong>alice</strong>" in page
    for name, value in {**ALICE, "X-Odd": "kept"}.items():
        assert re.search(rf">{name}</th>\s*<td>{value}</td>", page)


async def test_without_an_identity_header_nobody_is_signed_in(app: TestClient) -> None:
    page = await (await app.get("/")).text()

    assert "Nobody is signed in" in page
    assert "Nobody vouched for you" in page
    assert "Sign out" not in page


async def test_the_page_links_to_the_gateway_under_its_prefix(
    aiohttp_client: AiohttpClient,
) -> None:
    app = await aiohttp_client(build(auth_prefix="/gate"))
    page = await (await app.get("/", headers=ALICE)).text()

    assert 'data-auth="/gate"' in page
    assert 'action="/gate/logout"' in page
    assert "/api/v1/auth" not in page


async def test_pages_hold_no_inline_script_or_style_o13(app: TestClient) -> None:
    answer = await app.get("/", headers=ALICE)
    page = await answer.text()

    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|https?://", page)


async def test_every_file_that_the_page_asks_for_is_there(app: TestClient) -> None:
    page = await (await app.get("/")).text()
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)

    assert len(files) == 3
    for file in files:
        assert (await app.get(file)).status == 200


async def test_its_own_cookie_comes_back_and_counts_visits(app: TestClient) -> None:
    first = await (await app.get("/")).text()
    second = await (await app.get("/")).text()

    assert "No cookie arrived" in first
    assert "came back for visit 2" in second


@pytest.mark.parametrize("cookie", ["ledger_visits=x", "ledger_visits=9999999", "ledger_visits=²"])
async def test_a_nonsense_visit_count_starts_again(app: TestClient, cookie: str) -> None:
    answer = await app.get("/", headers={"Cookie": cookie})

    assert answer.cookies["ledger_visits"].value == "1"


async def test_a_cookie_of_somebody_else_is_called_out(app: TestClient) -> None:
    page = await (await app.get("/", headers={"Cookie": "accessToken=x; ledger_visits=4"})).text()

    assert "not this app’s: <code>accessToken</code>" in page


async def test_a_header_cannot_become_markup(app: TestClient) -> None:
    page = await (await app.get("/", headers={"X-Forwarded-User": "<script>alert(1)"})).text()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_an_entry_is_added_in_the_name_of_the_person(app: TestClient) -> None:
    form = {"description": "Tar & pitch", "amount": "12,5"}
    answer = await app.post("/entries", data=form, headers=ALICE, allow_redirects=False)

    assert answer.status == 303
    assert answer.headers["Location"] == "/?added=8#ledger"
    page = await (await app.get("/?added=8")).text()
    assert "Entry 8 is in the book." in page
    assert re.search(r"Tar &amp; pitch</td>\s*<td[^>]*>alice</td>\s*<td[^>]*>12.50</td>", page)


async def test_the_book_keeps_the_newest_entries(app: TestClient) -> None:
    for number in range(60):
        form = {"description": f"entry {number}", "amount": "1"}
        await app.post("/entries", data=form, allow_redirects=False)
    page = await (await app.get("/")).text()

    assert page.count(">somebody</td>") == 50
    assert ">entry 59</td>" in page
    assert ">entry 9</td>" not in page


@pytest.mark.parametrize(
    ("form", "mistake"),
    [
        ({}, "Describe the entry"),
        ({"description": " ", "amount": "1"}, "Describe the entry"),
        ({"description": "x" * 121, "amount": "1"}, "Describe the entry"),
        ({"description": "x"}, "The amount is a number"),
        ({"description": "x", "amount": "lots"}, "The amount is a number"),
        ({"description": "x", "amount": "NaN"}, "The amount is a number"),
        ({"description": "x", "amount": "-Infinity"}, "The amount is a number"),
        ({"description": "x", "amount": "1e9"}, "The amount is a number"),
    ],
)
async def test_a_mistaken_form_comes_back_with_what_was_typed(
    app: TestClient, form: dict[str, str], mistake: str
) -> None:
    answer = await app.post("/entries", data=form, allow_redirects=False)
    page = await answer.text()

    assert answer.status == 422
    assert mistake in page
    assert f'value="{form.get("amount", "")}"' in page


async def test_a_script_is_told_what_arrived(app: TestClient) -> None:
    answer = await app.post("/what-arrived?a=b", json={"note": "é"}, headers=ALICE)
    told = await answer.json()

    assert (told["method"], told["path"], told["person"]) == ("POST", "/what-arrived?a=b", "alice")
    assert told["body"] == {"note": "é"}
    assert ["X-Forwarded-User", "alice"] in told["headers"]
    assert (await (await app.get("/what-arrived")).json())["body"] == ""


@pytest.mark.parametrize("body", [b"{", b"[" * 50_000, b"\xff"])
async def test_what_is_not_json_is_refused(app: TestClient, body: bytes) -> None:
    answer = await app.post(
        "/what-arrived", data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status == 400


async def test_an_overlong_body_is_refused(app: TestClient) -> None:
    answer = await app.post("/what-arrived", data=b"x" * 70_000)

    assert answer.status == 413


async def test_the_socket_greets_ticks_and_echoes(app: TestClient) -> None:
    async with app.ws_connect("/live", headers=ALICE) as socket:
        assert await socket.receive_json() == {"kind": "hello", "person": "alice"}
        assert await socket.receive_json() == {"kind": "tick", "number": 1}
        await socket.send_bytes(b"not text: passed over")
        await socket.send_str("ahoy")
        heard = []
        while {"kind": "echo", "text": "ahoy"} not in heard:
            heard.append(await socket.receive_json())
        heard.append(await socket.receive_json())

    ticks = [each["number"] for each in heard if each["kind"] == "tick"]
    assert ticks == list(range(2, 2 + len(ticks)))
    assert len(ticks) == len(heard) - 1


async def test_open_sockets_are_closed_when_the_app_ends(aiohttp_client: AiohttpClient) -> None:
    app = await aiohttp_client(build(tick_seconds=60))
    socket = await app.ws_connect("/live")
    await socket.receive_json()

    async with asyncio.timeout(5):
        _, last = await asyncio.gather(app.server.close(), socket.receive())

    assert last.type is WSMsgType.CLOSE
    assert last.data == WSCloseCode.GOING_AWAY
