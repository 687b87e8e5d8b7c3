"""Routes that lead nowhere are refused; those that surprise are warned about."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.check_routes import covers
from gateway.policy.routes import Route, Routes
from tests.config.written import complaints, warnings

HEAD = """\
upstreams: {app: 'http://127.0.0.1:3000'}
login: [{users: users.yaml}]
routes:
"""


def table(*routes: str) -> str:
    return HEAD + "".join(f"  - {{upstream: app, {route}}}\n" for route in routes)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        (["path: /*", "path: /a"], "5:27: routes[1].path: is never reached: routes[0] (/*)"),
        (["path: /a/*", "path: /a/b/*"], "5:27: routes[1].path: is never reached"),
        (["path: /a", "path: /a"], "5:27: routes[1].path: is never reached"),
        (["path: /*", "path: /*, host: a.b"], "5:27: routes[1].path: is never reached"),
        (["path: /*, host: '*.b'", "path: /*, host: a.b"], "routes[1].path: is never reached"),
        (["path: /*, methods: GET", "path: /*, methods: [HEAD]"], "is never reached"),
        (["path: /a/"], "4:27: routes[0].path: matches /a/ alone; write /a/* for everything below"),
        (
            ["path: /a/*, access: {groups: x}", "path: /*"],
            (
                "4:27: routes[0].path: does not match /a itself, which routes[1] (/*) takes with "
                "another access rule; add a route for /a"
            ),
        ),
    ],
)
def test_a_route_that_surprises_is_warned_about(
    tmp_path: Path, routes: list[str], message: str
) -> None:
    told = warnings(tmp_path, table(*routes))

    assert len(told) == 1, told
    assert message in told[0]


@pytest.mark.parametrize(
    "routes",
    [
        ["path: /a", "path: /*"],
        ["path: /a/*", "path: /a"],
        ["path: /*, host: a.b", "path: /*"],
        ["path: /*, methods: GET", "path: /*"],
        ["path: /*, methods: POST", "path: /*, methods: [POST, PUT]"],
        ["path: /*, host: '*.b'", "path: /*, host: b"],
        ["path: /static/*, access: public", "path: /*"],
        ["path: /a/*, access: {groups: x}", "path: /a, access: {groups: x}", "path: /*"],
        ["path: /"],
    ],
)
def test_an_ordinary_table_gives_no_warning(tmp_path: Path, routes: list[str]) -> None:
    assert warnings(tmp_path, table(*routes)) == []


@pytest.mark.parametrize(
    "path", ["/api/v1/auth", "/api/v1/auth/*", "/api/v1/auth/login", "/api/v1/auth/"]
)
def test_a_route_below_our_own_prefix_is_refused(tmp_path: Path, path: str) -> None:
    told = complaints(tmp_path, table(f"path: {path}"))

    assert len(told) == 1
    assert "routes[0].path: /api/v1/auth is the gateway's own" in told[0]


@pytest.mark.parametrize("path", ["/api/v1/*", "/api/v1/authors", "/*"])
def test_a_route_beside_or_around_our_prefix_is_not(tmp_path: Path, path: str) -> None:
    assert complaints(tmp_path, table(f"path: {path}")) == []


def test_an_unknown_upstream_is_told_with_the_nearest_or_all(tmp_path: Path) -> None:
    text = table("path: /*").replace("upstream: app", "upstream: ap")
    far = table("path: /*").replace("upstream: app", "upstream: zzz")

    assert 'unknown upstream "ap"; did you mean app?' in complaints(tmp_path, text)[0]
    assert 'unknown upstream "zzz"; known are app' in complaints(tmp_path, far)[0]


def test_an_upstream_needs_a_name_for_logs_and_metrics(tmp_path: Path) -> None:
    text = table("path: /*").replace("{app:", "{'a b': 'http://a', app:")

    assert '"a b" is no name for an upstream' in complaints(tmp_path, text)[0]


PATHS = st.sampled_from(["/*", "/a", "/a/*", "/a/b", "/a/b/*", "/b", "/"])
HOSTS = st.sampled_from([None, "a.b", "b", "*.b", "*.a.b"])
METHODS = st.sampled_from(
    [None, frozenset({"GET"}), frozenset({"HEAD"}), frozenset({"GET", "PUT"})]
)
ROUTES = st.builds(Route, path=PATHS, upstream=st.just("x"), host=HOSTS, methods=METHODS)


@settings(max_examples=200)
@given(
    first=ROUTES,
    second=ROUTES,
    host=st.sampled_from(["a.b", "b", "c.a.b", "c"]),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    path=st.sampled_from(["/", "/a", "/a/", "/a/b", "/a/b/c", "/b"]),
)
def test_a_route_said_to_cover_another_takes_all_of_its_requests(
    first: Route, second: Route, host: str, method: str, path: str
) -> None:
    matches_second = Routes([second]).match(host, method, path) is second

    if covers(first, second) and matches_second:
        assert Routes([first, second]).match(host, method, path) is first
