"""What counts as a person waiting for a page (O6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.navigation import is_navigation

CHROME_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("headers", "navigation"),
    [
        ({"sec-fetch-mode": "navigate", "accept": CHROME_ACCEPT}, True),
        ({"sec-fetch-mode": "navigate"}, True),
        # Through a service worker: the mode stays, the destination is lost.
        ({"sec-fetch-mode": "navigate", "sec-fetch-dest": "empty"}, True),
        ({"sec-fetch-mode": "cors", "accept": CHROME_ACCEPT}, False),
        ({"sec-fetch-mode": "no-cors", "accept": CHROME_ACCEPT}, False),
        ({"sec-fetch-mode": "same-origin", "accept": "text/html"}, False),
        ({"sec-fetch-mode": "websocket"}, False),
        ({"sec-fetch-mode": "", "accept": "text/html"}, False),
        ({"accept": CHROME_ACCEPT}, True),
        ({"accept": "TEXT/HTML"}, True),
        ({"accept": "application/xhtml+xml"}, True),
        ({"accept": "application/json, text/html ; q=0.1"}, True),
        ({"accept": "text/html;q=0, application/json"}, False),
        ({"accept": "text/html;level=1; q=0.000"}, False),
        ({"accept": "text/html;level=0"}, True),
        ({"accept": "*/*"}, False),
        ({"accept": "text/*"}, False),
        ({"accept": "application/json"}, False),
        ({"accept": "text/htmlx"}, False),
        ({"accept": ""}, False),
        ({"accept": ",;,"}, False),
        ({}, False),
        ({"accept": "text/html, */*; q=0.01", "x-requested-with": "XMLHttpRequest"}, False),
        ({"accept": "text/html", "x-requested-with": "com.example.webview"}, True),
        ({"sec-fetch-mode": "navigate", "sec-purpose": "prefetch"}, False),
        ({"sec-fetch-mode": "navigate", "sec-purpose": "Prefetch;prerender"}, False),
        ({"accept": CHROME_ACCEPT, "purpose": "prefetch"}, False),
        ({"accept": CHROME_ACCEPT, "purpose": "preview"}, True),
    ],
)
def test_a_get_is_a_navigation_when_a_person_waits_for_a_page(
    headers: dict[str, str], navigation: bool
) -> None:
    assert is_navigation("GET", headers) is navigation
    assert is_navigation("HEAD", headers) is navigation


modes = st.sampled_from(["navigate", "cors", "websocket"])
texts = st.sampled_from(["text/html", "*/*", "prefetch", "XMLHttpRequest", ""]) | st.text()
any_headers = st.fixed_dictionaries(
    {},
    optional={
        "sec-fetch-mode": modes,
        "accept": texts,
        "purpose": texts,
        "sec-purpose": texts,
        "x-requested-with": texts,
    },
)


@given(any_headers, st.sampled_from(["POST", "PUT", "DELETE", "OPTIONS", "get", "QUERY"]))
def test_no_other_method_is_ever_redirected(headers: dict[str, str], method: str) -> None:
    assert is_navigation(method, headers) is False


@given(any_headers)
def test_an_upgrade_is_never_redirected(headers: dict[str, str]) -> None:
    assert is_navigation("GET", headers, upgrade=True) is False


@given(any_headers)
def test_a_prefetch_is_never_redirected(headers: dict[str, str]) -> None:
    assert is_navigation("GET", {**headers, "sec-purpose": "prefetch"}) is False
    assert is_navigation("GET", {**headers, "purpose": "prefetch"}) is False
