"""The cross-site rule over what browsers and programs send (O8, O9, W1), and preflights (P5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.cross_site import CrossSite, cross_site_verdict, preflight_method

OWN = "https://app.example.com"
ORIGINS = frozenset({OWN, "https://app.example.com:8443"})
ALLOWED, REFUSED = CrossSite.ALLOWED, CrossSite.REFUSED


def headers(site: str | None, origin: str | None) -> dict[str, str]:
    both = {"sec-fetch-site": site, "origin": origin}
    return {name: value for name, value in both.items() if value is not None}


@pytest.mark.parametrize(
    ("site", "origin", "verdict"),
    [
        ("same-origin", OWN, ALLOWED),
        ("same-origin", None, ALLOWED),
        ("none", None, ALLOWED),
        ("none", "null", ALLOWED),
        ("same-site", "https://evil.example.com", REFUSED),
        ("same-site", OWN, REFUSED),
        ("cross-site", "https://evil.example", REFUSED),
        ("cross-site", None, REFUSED),
        ("cross-site", OWN, REFUSED),
        ("Same-Origin", OWN, REFUSED),
        ("same-origin, cross-site", OWN, REFUSED),
        ("", OWN, REFUSED),
        (None, OWN, ALLOWED),
        (None, "https://app.example.com:8443", ALLOWED),
        (None, "HTTPS://App.Example.com", ALLOWED),
        (None, "http://app.example.com", REFUSED),
        (None, "https://app.example.com:444", REFUSED),
        (None, "https://app.example.com.evil.net", REFUSED),
        (None, "https://evil.example.com", REFUSED),
        (None, "null", REFUSED),
        (None, "", REFUSED),
        (None, f"{OWN}, {OWN}", REFUSED),
        (None, None, ALLOWED),
    ],
)
def test_an_unsafe_request_comes_from_our_own_pages_or_no_browser_o8_o9(
    site: str | None, origin: str | None, verdict: CrossSite
) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "PURGE", "post", "get"):
        assert cross_site_verdict(method, headers(site, origin), ORIGINS) is verdict


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_may_come_from_anywhere(method: str) -> None:
    foreign = headers("cross-site", "https://evil.example")

    assert cross_site_verdict(method, foreign, ORIGINS) is ALLOWED


@pytest.mark.parametrize(
    ("site", "origin", "verdict"),
    [
        ("same-origin", OWN, ALLOWED),
        (None, OWN, ALLOWED),
        # The Origin decides alone: Chromium sends no Sec-Fetch-Site with a handshake at all.
        ("cross-site", OWN, ALLOWED),
        ("same-origin", "https://evil.example", REFUSED),
        ("same-site", "https://evil.example.com", REFUSED),
        (None, "https://evil.example", REFUSED),
        (None, "null", REFUSED),
        ("cross-site", None, REFUSED),
        ("same-site", None, REFUSED),
        ("same-origin", None, ALLOWED),
        ("none", None, ALLOWED),
        (None, None, ALLOWED),
    ],
)
def test_a_websocket_is_decided_by_its_origin_w1(
    site: str | None, origin: str | None, verdict: CrossSite
) -> None:
    assert cross_site_verdict("GET", headers(site, origin), ORIGINS, upgrade=True) is verdict


@given(
    st.sampled_from(["POST", "PUT", "DELETE", "GET"]),
    st.sampled_from([None, "same-origin", "same-site", "cross-site", "none"]),
    st.sampled_from(["https://evil.example", "https://x.app.example.com", "null"]),
)
def test_a_page_elsewhere_never_changes_state(method: str, site: str | None, origin: str) -> None:
    # What a browser says on behalf of a foreign page: never same-origin, never none.
    if site in ("same-origin", "none"):
        site = None

    verdict = cross_site_verdict(method, headers(site, origin), ORIGINS, upgrade=method == "GET")

    assert verdict is REFUSED


def test_without_origins_of_our_own_no_origin_passes() -> None:
    assert cross_site_verdict("POST", {"origin": OWN}, frozenset()) is REFUSED


@pytest.mark.parametrize(
    ("method", "names", "asked"),
    [
        ("OPTIONS", {"origin": OWN, "access-control-request-method": "PUT"}, "PUT"),
        ("OPTIONS", {"origin": OWN}, None),
        ("OPTIONS", {"access-control-request-method": "PUT"}, None),
        ("OPTIONS", {"origin": "", "access-control-request-method": "PUT"}, None),
        ("OPTIONS", {"origin": OWN, "access-control-request-method": ""}, None),
        ("OPTIONS", {}, None),
        ("GET", {"origin": OWN, "access-control-request-method": "PUT"}, None),
        ("options", {"origin": OWN, "access-control-request-method": "PUT"}, None),
    ],
)
def test_only_a_real_preflight_is_one_p5(
    method: str, names: dict[str, str], asked: str | None
) -> None:
    assert preflight_method(method, names) == asked
