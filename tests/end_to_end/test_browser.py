"""Journeys in a real Chromium: past expiry in every way a page can ask, and out again."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    Response,
    async_playwright,
    expect,
)

from tests.end_to_end.client import Client
from tests.end_to_end.running import Running, free_port, until

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
OURS = {"accessToken", "refreshToken"}
SIGN_IN = re.compile(r"/api/v1/auth/login")
UNAUTHORIZED = "401 (Unauthorized)"


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo that renews on the way."""
    with demo(tmp_path_factory.mktemp("inline"), "inline") as address:
        yield address


@pytest.fixture(scope="module")
def explicit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo whose pages must renew themselves."""
    with demo(tmp_path_factory.mktemp("explicit"), "off") as address:
        yield address


@contextmanager
def demo(folder: Path, transparent_refresh: str) -> Iterator[str]:
    """`gateway demo`, as one starts it to see expiry happen; its address as it is printed."""
    port = free_port()
    words = ["--access-lifetime", "2s", "--transparent-refresh", transparent_refresh]
    running = Running(folder, ["demo", "--port", str(port), *words])
    try:
        address = running.said("  open ").split()[1]
        assert "alice / wonderland-demo" in running.said("  sign in ")
        until(lambda: _answers(port), "the demo listens")
        yield address
    finally:
        running.stop()


def _answers(port: int) -> bool:
    try:
        return Client(port).auth("GET", "/health").status == 200
    except OSError:
        return False


class Visit:
    """A browser's profile, what its console complained of, and which answers renewed."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.address = address
        self.complaints: list[str] = []
        self._responses: list[Response] = []
        context.on("response", self._answered)

    def _answered(self, response: Response) -> None:
        self._responses.append(response)

    async def open(self) -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda line: (
                self.complaints.append(line.text) if line.type in ("error", "warning") else None
            ),
        )
        return page

    async def sign_in(self) -> Page:
        page = await self.open()
        await page.goto(self.address)
        await expect(page).to_have_url(SIGN_IN)
        await page.get_by_label("User name").fill("alice")
        await page.get_by_label("Password", exact=True).fill("wonderland-demo")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).to_have_url(self.address)
        await expect(page.get_by_text("Signed in as alice")).to_be_visible()
        await quiet(page)
        return page

    async def cookies(self) -> dict[str, dict]:
        return {each["name"]: each for each in await self.context.cookies()}

    async def expiry(self) -> None:
        """Wait until the browser has dropped the access cookie; look only at what comes then."""
        async with asyncio.timeout(10):
            while "accessToken" in await self.cookies():
                await asyncio.sleep(0.05)
        self._responses.clear()

    async def renewing(self) -> list[tuple[str, int, str]]:
        """Return method, status and path of each answer that carried a new access token."""
        found = []
        for response in self._responses:
            cookies = await response.header_values("set-cookie")
            if any(re.match("accessToken=[^;]", cookie) for cookie in cookies):
                path = "/" + response.url.partition("://")[2].partition("/")[2]
                found.append((response.request.method, response.status, path))
        return found


@asynccontextmanager
async def visiting(
    chromium: Browser, address: str, *, expected: tuple[str, ...] = ()
) -> AsyncIterator[Visit]:
    """Use a fresh profile; its console must stay free of errors, but for those *expected*."""
    context = await chromium.new_context()
    visit = Visit(context, address)
    yield visit
    assert [each for each in visit.complaints if not any(e in each for e in expected)] == []
    await context.close()


async def quiet(page: Page) -> None:
    """Stop the page's own watch, so that the only requests are those of the test."""
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    # One round may be on its way still; it ends in the timeline.
    await expect(page.locator("#count-requests")).not_to_have_text("0")


async def asks(page: Page, button: str) -> None:
    """Let the page's script send a request, which arrives as Alice's."""
    await page.evaluate("document.getElementById('answer-line').textContent = ''")
    await page.get_by_role("button", name=button, exact=True).click()
    line = page.locator("#answer-line")
    await expect(line).to_have_text(re.compile(r"^200, \d+ ms, arrived as alice$"))


async def test_inline_whatever_a_page_does_after_expiry_just_works(chromium: Browser, inline: str):
    async with visiting(chromium, inline) as visit:
        page = await visit.sign_in()
        kept = (await visit.cookies())["refreshToken"]
        assert (kept["httpOnly"], kept["sameSite"], kept["path"]) == (True, "Lax", "/")
        assert await page.evaluate("document.cookie") == "", "no script sees a token"

        await visit.expiry()
        await asks(page, "GET")
        assert await visit.renewing() == [("GET", 200, "/what-arrived")]

        await visit.expiry()
        await asks(page, "POST JSON")
        assert await visit.renewing() == [("POST", 200, "/what-arrived")]
        await expect(page.locator("#answer-text")).to_contain_text("Two coils of rope")

        await visit.expiry()
        await asks(page, "Forge identity")

        await visit.expiry()
        await page.get_by_label("Description").fill("Brass polish")
        await page.get_by_label("Amount").fill("7.20")
        await page.get_by_role("button", name="Add entry").click()
        await expect(page.get_by_role("row", name=re.compile("Brass polish alice"))).to_be_visible()
        assert ("POST", 303, "/entries") in await visit.renewing()

        await quiet(page)
        await visit.expiry()
        await page.goto(inline)
        await expect(page.get_by_text("Signed in as alice")).to_be_visible()
        assert ("GET", 200, "/") in await visit.renewing()


async def test_inline_a_websocket_opens_after_expiry_outlives_it_and_opens_again(
    chromium: Browser, inline: str
):
    async with visiting(chromium, inline) as visit:
        page = await visit.sign_in()
        for _ in range(2):
            await visit.expiry()
            await page.get_by_role("button", name="Connect", exact=True).click()
            await expect(page.get_by_text("Connected as alice")).to_be_visible()
            assert "accessToken" in await visit.cookies(), "the 101 carried it"
            await visit.expiry()
            await page.get_by_label("Message", exact=True).fill("still here")
            await page.get_by_role("button", name="Send").click()
            await expect(page.get_by_text("echo: still here")).to_be_visible()
            await page.get_by_role("button", name="Disconnect").click()
            await expect(page.locator("#live-state")).to_have_text("Not connected")


async def test_inline_two_tabs_at_expiry_stay_signed_in_and_go_together(
    chromium: Browser, inline: str
):
    expected = (UNAUTHORIZED,)
    async with visiting(chromium, inline, expected=expected) as visit:
        first = await visit.sign_in()
        second = await visit.open()
        await second.goto(inline)
        await quiet(second)
        for _ in range(2):
            await visit.expiry()
            await asyncio.gather(asks(first, "GET"), asks(second, "POST JSON"))
            assert await visit.renewing()
        assert visit.complaints == []

        await first.get_by_role("button", name="Connect", exact=True).click()
        await expect(first.get_by_text("Connected as alice")).to_be_visible()
        await second.get_by_role("button", name="Sign out").click()
        await expect(second).to_have_url(SIGN_IN)
        assert not OURS & (await visit.cookies()).keys()
        await expect(first.locator("#live-state")).to_have_text(re.compile("Closed"))
        await first.get_by_role("button", name="GET", exact=True).click()
        await expect(first.locator("#answer-line")).to_have_text(re.compile("^401 "))
        await first.reload()
        await expect(first).to_have_url(SIGN_IN)


@pytest.mark.parametrize("way", ["inline", "explicit"])
async def test_the_timeline_shows_renewals_and_no_refusal(
    chromium: Browser, way: str, request: pytest.FixtureRequest
):
    address = request.getfixturevalue(way)
    expected = () if way == "inline" else (UNAUTHORIZED,)
    async with visiting(chromium, address, expected=expected) as visit:
        page = await visit.sign_in()
        await page.get_by_label("Ask every").select_option("2")
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator("#count-renewals")).to_have_text("2", timeout=20_000)
        assert await page.locator("#count-failed").text_content() == "0"
        await expect(page.locator('#log tr[data-kind="renewed"]')).to_have_count(2)


async def test_off_the_page_does_401_then_refresh_then_the_request_again(
    chromium: Browser, explicit: str
):
    async with visiting(chromium, explicit, expected=(UNAUTHORIZED,)) as visit:
        page = await visit.sign_in()
        assert (await visit.cookies())["refreshToken"]["path"] == "/api/v1/auth"
        for button in ("GET", "POST JSON"):
            await visit.expiry()
            await asks(page, button)
            assert await visit.renewing() == [("POST", 200, "/api/v1/auth/refresh-token")]

        await visit.expiry()
        await page.goto(explicit)
        await expect(page.get_by_text("Signed in as alice")).to_be_visible()
        await expect(page).to_have_url(explicit)

        await quiet(page)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(SIGN_IN)
        assert not OURS & (await visit.cookies()).keys()
