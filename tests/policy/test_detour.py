"""Who can be sent to another address and back without losing anything."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.detour import survives_detour
from gateway.policy.return_to import safe_return
from gateway.request import BadRequest, Request, parse_authority, parse_target

OWN = frozenset({"https://app.example"})
FETCH = {"sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}


def survives(
    method: str = "GET", target: str = "/a?b=c", *, upgrade: bool = False, **headers: str
) -> bool:
    noted = {name.replace("_", "-"): value.encode() for name, value in headers.items()}
    authority = parse_authority("app.example")
    request = Request(
        method, "https", authority, parse_target(target), noted, b"", "", upgrade=upgrade
    )
    return survives_detour(request, OWN)


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {}, True),
        ("GET", FETCH, True),
        ("POST", FETCH | {"content-length": "3", "origin": "https://app.example"}, True),
        ("PUT", FETCH, True),
        ("GET", {"sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site"}, True),
        ("GET", {"sec-fetch-mode": "navigate", "sec-fetch-site": "none"}, True),
        ("POST", {"sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin"}, True),
        ("POST", {"sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site"}, False),
        ("POST", {"sec-fetch-mode": "navigate", "sec-fetch-site": "same-site"}, False),
        ("GET", {"sec-fetch-mode": "no-cors", "sec-fetch-site": "cross-site"}, True),
        ("GET", {"sec-fetch-mode": "cors", "sec-fetch-site": "cross-site"}, False),
        ("GET", {"sec-fetch-mode": "cors", "sec-fetch-site": "same-site"}, False),
        ("GET", {"origin": "https://other.example"}, False),
        ("GET", {"origin": "https://APP.example"}, True),
        ("POST", {"origin": "null"}, False),
        ("POST", {"transfer-encoding": "chunked"}, False),
        ("GET", FETCH | {"sec-fetch-dest": "serviceworker"}, False),
        ("GET", FETCH | {"sec-fetch-dest": "worker"}, True),
        ("GET", {"sec-fetch-mode": "navigate", "sec-purpose": "prefetch;prerender"}, False),
        ("GET", {"purpose": "prefetch"}, False),
    ],
)
def test_who_survives_a_detour(method: str, headers: dict[str, str], expected: bool) -> None:
    assert survives(method, **headers) is expected


def test_a_websocket_follows_no_redirect() -> None:
    assert not survives(upgrade=True, origin="https://app.example")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", True),
        ("/?a=b", True),
        ("/a%20b?x=%2F&y=[1]", True),
        ("/a/b;c=d", True),
        ("/a//b", False),
        ("/a%2F%2Fb", False),
        ("/" + "a" * 5000, False),
    ],
)
def test_what_could_not_come_back_to_where_it_was_going_stays(target: str, expected: bool) -> None:
    assert survives("POST", target) is expected


@given(st.text("/a%2Fb?=&[];.", max_size=20))
def test_o5_nobody_is_sent_away_who_would_come_back_elsewhere(tail: str) -> None:
    try:
        target = parse_target("/" + tail)
    except BadRequest:
        return
    if survives("POST", target.raw):
        asked = target.raw if target.query else target.raw.removesuffix("?")
        assert unquote(safe_return(target.raw)) == unquote(asked)
