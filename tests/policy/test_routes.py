"""The route table: what matches, what does not, and that the cache never changes an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.access import Access
from gateway.policy.routes import Ambiguous, BadRoute, Outcome, Route, Routes

HOST = "app.example.com"


def found(routes: Routes, path: str, method: str = "GET", host: str = HOST) -> str | None:
    route = routes.match(host, method, path)
    assert not isinstance(route, Ambiguous)
    return None if route is None else route.upstream


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("/a", ["/a"], ["/", "/a/", "/ab", "/A", "/a/b", "/b/a"]),
        ("/a/", ["/a/"], ["/a", "/a/b"]),
        ("/a/*", ["/a/", "/a/b", "/a/b/c", "/a/*"], ["/a", "/ab", "/ab/c", "/", "/b/a/", "/A/b"]),
        ("/*", ["/", "/a", "/a/b"], []),
        ("/", ["/"], ["/a"]),
        ("/café/*", ["/café/menu"], ["/cafe/menu", "/caf%C3%A9/menu"]),
        ("/.well-known/*", [("/.well-known/x")], ["/well-known/x"]),
        ("/100%/*", ["/100%/x"], ["/100/x"]),
    ],
)
def test_a_pattern_is_exact_or_a_prefix(
    pattern: str, matching: list[str], other: list[str]
) -> None:
    routes = Routes([Route(pattern, "app")])

    assert {path: found(routes, path) for path in matching} == dict.fromkeys(matching, "app")
    assert {path: found(routes, path) for path in other} == dict.fromkeys(other)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (None, ["a.example", "[::1]"], []),
        ("app.example.com", ["app.example.com"], ["example.com", "x.app.example.com"]),
        ("APP.Example.COM", ["app.example.com"], ["example.com"]),
        ("app.example.com.", ["app.example.com"], ["example.com"]),
        ("app.example.com:8443", ["app.example.com"], ["example.com"]),
        ("127.0.0.1:80", ["127.0.0.1"], ["127.0.0.11"]),
        ("[::1]", ["[::1]"], ["[::2]"]),
        ("[FE80::1]:8080", ["[fe80::1]"], ["[::1]"]),
        (
            "*.example.com",
            ["a.example.com", "a.b.example.com"],
            ["example.com", "badexample.com", "a.example.com.evil.net"],
        ),
    ],
)
def test_hosts_compare_by_their_canonical_name_p6(
    pattern: str | None, matching: list[str], other: list[str]
) -> None:
    routes = Routes([Route("/*", "app", host=pattern)])

    assert {host: found(routes, "/", host=host) for host in matching} == dict.fromkeys(
        matching, "app"
    )
    assert {host: found(routes, "/", host=host) for host in other} == dict.fromkeys(other)


@pytest.mark.parametrize(
    ("methods", "matching", "other"),
    [
        (None, ["GET", "POST", "PURGE"], []),
        ({"GET"}, ["GET", "HEAD"], ["POST", "get", "OPTIONS"]),
        ({"post"}, ["POST"], ["GET", "HEAD"]),
        ({"HEAD"}, ["HEAD"], ["GET"]),
    ],
)
def test_methods_are_the_real_ones_and_head_goes_with_get_p4(
    methods: set[str] | None, matching: list[str], other: list[str]
) -> None:
    routes = Routes([Route("/*", "app", methods=None if methods is None else frozenset(methods))])

    assert {each: found(routes, "/", each) for each in matching} == dict.fromkeys(matching, "app")
    assert {each: found(routes, "/", each) for each in other} == dict.fromkeys(other)


def test_the_first_match_wins() -> None:
    routes = Routes(
        [
            Route("/static/*", "files", access=Access.PUBLIC, methods=frozenset({"GET"})),
            Route("/static/*", "uploads", host="up.example.com"),
            Route("/*", "app"),
        ]
    )

    assert found(routes, "/static/x") == "files"
    assert found(routes, "/static/x", "POST") == "app"
    assert found(routes, "/static/x", "POST", host="up.example.com") == "uploads"


def test_no_route_is_no_access_i9() -> None:
    assert Routes([]).match(HOST, "GET", "/") is None
    assert found(Routes([Route("/a", "app")]), "/b") is None


@pytest.mark.parametrize("path", ["/admin?/public", "/admin?x=/public/", "/admin#/public/"])
def test_a_query_or_fragment_never_satisfies_a_rule_p2(path: str) -> None:
    # A canonical path can hold such a character only where it came percent-encoded.
    routes = Routes([Route("/public/*", "open", access=Access.PUBLIC)])

    assert found(routes, path) is None


def test_readings_that_take_one_route_are_no_ambiguity_p1() -> None:
    app = Route("/app/*", "app")
    routes = Routes([Route("/app/admin/*", "app"), app])

    assert routes.match(HOST, "GET", "/app/a;x/b", ("/app/a/b", "/app/b")) is app


@pytest.mark.parametrize(
    ("path", "readings"),
    [
        ("/public/x", ("/admin/x",)),
        ("/public/a", ("/public/b", "/nowhere")),
        ("/nowhere", ("/public/a",)),
    ],
)
def test_readings_that_take_different_routes_are_ambiguous_p1(
    path: str, readings: tuple[str, ...]
) -> None:
    routes = Routes(
        [Route("/public/*", "app", access=Access.PUBLIC), Route("/admin/*", "app")],
    )

    answer = routes.match(HOST, "GET", path, readings)

    assert isinstance(answer, Ambiguous)
    assert len(answer.routes) == 1 + len(readings)


def test_routes_that_only_look_alike_are_different_p1() -> None:
    routes = Routes([Route("/a", "app"), Route("/b", "app")])

    assert isinstance(routes.match(HOST, "GET", "/a", ("/b",)), Ambiguous)


def test_readings_that_all_take_no_route_have_none() -> None:
    assert Routes([]).match(HOST, "GET", "/a", ("/b",)) is None


# --- the cache -----------------------------------------------------------------------------------

segments = st.sampled_from(["a", "b", "public", "admin", ""])
paths = st.lists(segments, max_size=3).map(lambda parts: "/" + "/".join(parts))
hosts = st.sampled_from(["a.example", "b.example", "x.a.example"])
methods = st.sampled_from(["GET", "HEAD", "POST"])
questions = st.tuples(hosts, methods, paths, st.lists(paths, max_size=2).map(tuple))
patterns = st.sampled_from(["/*", "/a/*", "/a", "/public/*", "/admin/*", "/a/b", "/"])
tables = st.lists(
    st.builds(
        Route,
        path=patterns,
        upstream=st.sampled_from(["one", "two"]),
        host=st.none() | hosts | st.just("*.a.example"),
        methods=st.none() | st.frozensets(methods, min_size=1),
    ),
    max_size=5,
)


def the_rule_in_plain_words(table: list[Route], host: str, method: str, path: str) -> Route | None:
    """What the documentation promises, written without regard to speed."""
    for route in table:
        below = route.path.endswith("/*") and path.startswith(route.path[:-1])
        if not (below or path == route.path):
            continue
        if route.host is not None:
            sub = route.host.startswith("*.") and host.endswith(route.host[1:])
            if not (sub or host == route.host):
                continue
        if route.methods is not None:
            asked = {method, "GET"} if method == "HEAD" else {method}
            if not asked & route.methods:
                continue
        return route
    return None


@given(tables, st.lists(questions, max_size=8), st.integers(1, 4))
def test_the_answer_is_that_of_the_rule_whatever_was_asked_before(
    table: list[Route], asked: list[tuple[str, str, str, tuple[str, ...]]], entries: int
) -> None:
    routes = Routes(table, cache_entries=entries)

    for host, method, path, readings in [*asked, *asked]:
        each = [the_rule_in_plain_words(table, host, method, p) for p in (path, *readings)]
        answer = routes.match(host, method, path, readings)
        if all(route is each[0] for route in each):
            assert answer is each[0]
        else:
            assert answer == Ambiguous(tuple(each))


@given(tables, questions)
def test_explain_takes_the_route_that_match_takes(
    table: list[Route], question: tuple[str, str, str, tuple[str, ...]]
) -> None:
    host, method, path, _ = question
    routes = Routes(table)

    steps = list(routes.explain(host, method, path))

    taken = [step.route for step in steps if step.outcome is Outcome.TAKEN]
    expected = routes.match(host, method, path)
    assert taken == ([] if expected is None else [expected])
    assert [step.route for step in steps] == table
    assert all(step.reason for step in steps)


def test_the_cache_is_bounded_in_entries_and_keeps_what_is_in_use() -> None:
    routes = Routes([Route("/*", "app")], cache_entries=8)

    for number in range(100):
        found(routes, f"/made-up/{number}")
        found(routes, "/in-use")

    assert routes._recent.held() <= 16
    assert any(question[2] == "/in-use" for question in routes._recent)


def test_hosts_and_methods_that_never_come_again_take_bounded_room() -> None:
    routes = Routes([Route("/*", "app")], cache_entries=8)

    for number in range(100):
        routes.match(f"made-up-{number}.example", "GET", "/in-use")
        routes.match("localhost", f"MADE-UP-{number}", "/in-use")

    assert routes._recent.held() <= 16


def test_what_was_asked_before_is_not_matched_again() -> None:
    routes = Routes([Route("/*", "app")])
    found(routes, "/a")
    routes._compiled = ()  # so that a second matching would find nothing

    assert found(routes, "/a") == "app"


def test_an_overlong_question_is_answered_but_not_kept() -> None:
    routes = Routes([Route("/*", "app")])

    assert found(routes, "/" + "x" * 30_000) == "app"
    assert routes.match("x" * 30_000, "GET", "/") is routes.routes[0]
    assert routes.match("localhost", "GET", "/", ("/" + "x" * 30_000,)) is routes.routes[0]
    assert routes._recent.held() == 0


# --- patterns ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "begins with /"),
        ("a", "begins with /"),
        ("*", "begins with /"),
        ("/a*", "only at the end"),
        ("/*/a", "only at the end"),
        ("/a/**", "only at the end"),
        ("/a?x=1", "no query"),
        ("/a#x", "no query"),
        ("/a\\b", "backslash"),
        ("/a\x00", "control"),
        ("/caf%C3%A9", "decoded"),
        ("/a%2fb", "decoded"),
        ("//a", "empty"),
        ("/a//*", "empty"),
        ("/a/../b", "dot segments"),
        ("/./*", "dot segments"),
        ("/a/..", "dot segments"),
    ],
)
def test_a_path_that_could_never_match_is_refused(path: str, why: str) -> None:
    with pytest.raises(BadRoute, match=why):
        Route(path, "app")


@pytest.mark.parametrize(
    "host",
    ["", "*", "*.", "a.*.com", "*a.com", "a b", "bücher.example", "http://a", "a/b", "::1", "a..b"],
)
def test_a_host_that_no_browser_sends_is_refused(host: str) -> None:
    with pytest.raises(BadRoute, match="host"):
        Route("/*", "app", host=host)


@pytest.mark.parametrize("wrong", [frozenset(), frozenset({"GET POST"}), frozenset({""})])
def test_methods_that_could_never_match_are_refused(wrong: frozenset[str]) -> None:
    with pytest.raises(BadRoute, match="methods"):
        Route("/*", "app", methods=wrong)


@pytest.mark.parametrize(
    ("path", "prefix"), [("/a/*", "/a"), ("/a", "/a"), ("/a/b/*", "/a"), ("/a/b/*", "/a/b")]
)
def test_a_prefix_that_the_path_begins_with_may_be_stripped(path: str, prefix: str) -> None:
    assert Route(path, "app", strip_prefix=prefix).strip_prefix == prefix


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/a/*", "/b"),
        ("/ab/*", "/a"),
        ("/*", "/a"),
        ("/a/*", "/a/"),
        ("/a/*", "/a/*"),
        ("/a/*", "a"),
        ("/a/*", "/"),
        ("/a/*", ""),
    ],
)
def test_a_prefix_that_is_not_the_paths_is_refused(path: str, prefix: str) -> None:
    with pytest.raises(BadRoute, match=r"begins with|at its end|does not begin"):
        Route(path, "app", strip_prefix=prefix)


# --- explain -------------------------------------------------------------------------------------


def test_explain_says_why_each_route_was_passed_over() -> None:
    routes = Routes(
        [
            Route("/*", "a", host="other.example"),
            Route("/*", "b", host="*.other.example"),
            Route("/x", "c"),
            Route("/x/*", "d"),
            Route("/y", "e", methods=frozenset({"GET", "POST"})),
            Route("/*", "f"),
            Route("/y", "g"),
        ]
    )

    steps = list(routes.explain(HOST, "DELETE", "/y"))

    assert [(step.number, step.outcome.value, step.reason) for step in steps] == [
        (1, "passed", "the host is app.example.com, not other.example"),
        (2, "passed", "the host app.example.com is not below other.example"),
        (3, "passed", "the path is /y, not exactly /x"),
        (4, "passed", "the path /y is not below /x/"),
        (5, "passed", "the method is DELETE, not GET or HEAD or POST"),
        (6, "taken", "host, path and method match"),
        (7, "not reached", "an earlier route matched"),
    ]
