"""The pages in a real browser, and the numbers behind how they look."""

import re
from importlib import resources
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from gateway.portal.pages import rd_query
from tests.portal.house import AT, PASSWORD

CHROMIUM = "/usr/bin/chromium"
SHEET = (resources.files("gateway.portal") / "static" / "portal.css").read_text()
TEXT_ON_GROUND = [
    ("text", "card"),
    ("text", "field"),
    ("text", "subtle"),
    ("text", "info-page"),
    ("quiet", "card"),
    ("quiet", "page"),
    ("quiet", "glow"),
    ("accent", "card"),
    ("accent", "field"),
    ("accent", "subtle"),
    ("accent", "info-page"),
    ("accent-strong", "card"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("error", "error-page"),
    ("success", "success-page"),
]


@pytest.fixture
async def chromium():
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
def house(neighbourhood):
    return neighbourhood.house(registration=True)


@pytest.fixture
def address(browser):
    """Where the house can be visited; it is started by its first browser."""
    return str(browser.client.make_url(AT))


async def visit(chromium, address, **settings):
    context = await chromium.new_context(**settings)
    page = await context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda line: page.complaints.append(line.text))
    await page.goto(f"{address}/login?rd={AT}/sessions")
    return page


async def test_a_person_signs_in_and_out_with_the_keyboard_alone(chromium, address):
    page = await visit(chromium, address)

    await page.keyboard.type("alice")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/sessions")
    await page.get_by_role("button", name="Sign out here").press("Enter")
    await page.wait_for_url("**/login?notice=signed-out")

    assert await page.get_by_role("status").inner_text() == "You are signed out."
    assert page.complaints == []  # no violation of the content security policy among them


async def test_everything_works_without_a_script(chromium, address):
    page = await visit(chromium, address, java_script_enabled=False)

    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/sessions")

    assert "This device" in await page.inner_text("main")


async def test_a_failure_is_announced_and_the_password_field_is_next(chromium, address):
    page = await visit(chromium, address)

    await page.get_by_label("User name").fill("alice")
    await page.get_by_label("Password", exact=True).fill("wrong")
    await page.get_by_role("button", name="Show password").click()
    shown = await page.get_attribute("#password", "type")
    await page.get_by_role("button", name="Hide password").click()
    hidden = await page.get_attribute("#password", "type")
    await page.get_by_role("button", name="Sign in").click()
    alert = page.get_by_role("alert")

    assert (shown, hidden) == ("text", "password")
    assert await alert.inner_text() == "The user name or the password is wrong."
    assert await page.input_value("#username") == "alice"
    assert await page.evaluate("document.activeElement.id") == "password"
    assert await page.get_attribute("#password", "aria-describedby") == "error"
    assert (await page.title()).startswith("Error: ")


async def test_a_narrow_window_needs_no_sideways_scrolling(chromium, address):
    page = await visit(chromium, address, viewport={"width": 320, "height": 640})
    await page.request.post(f"{address}/login", data={"username": "alice", "password": PASSWORD})

    widths = {}
    for path in ("/login", "/register", "/sessions", "/logout", "/missing"):
        await page.goto(address + path)
        widths[path] = await page.evaluate("document.documentElement.scrollWidth")

    assert set(widths.values()) == {320}, widths


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_ON_GROUND)
def test_text_is_readable_in_both_schemes(scheme, text, ground):
    colours = palette(scheme)

    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edge_of_a_field_can_be_seen(scheme):
    colours = palette(scheme)

    assert contrast(colours["field-line"], colours["card"]) >= 3


@pytest.mark.parametrize(
    ("rd", "query"), [("/", ""), ("/a?b=c&d", "?rd=%2Fa%3Fb%3Dc%26d"), ("/ä", "?rd=%2F%C3%A4")]
)
def test_where_to_go_travels_as_a_query(rd, query):
    assert rd_query(rd) == query


def palette(scheme):
    light, dark = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
    declared = light if scheme == "light" else dark
    return dict(re.findall(r"--([\w-]+): (#\w{6});", declared))


def contrast(one, other):
    """WCAG 2.2, relative luminance."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
