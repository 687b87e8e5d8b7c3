"""No rule is gone past by writing a path in other letters, where an app ignores their case (P1)."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.policy.access import Access, AccessRule, Allow
from gateway.policy.routes import Ambiguous, Route, Routes

HOST = "app.example.com"
ADMINS = (Allow(groups=frozenset({"admins"})),)
STAFF = (Allow(groups=frozenset({"staff"})),)


def answer(
    routes: Routes,
    path: str,
    method: str = "GET",
    host: str = HOST,
    readings: tuple[str, ...] = (),
) -> str:
    """Return the pattern of the route that is taken, or what is said instead."""
    match routes.match(host, method, path, readings):
        case Route(path=pattern):
            return pattern
        case Ambiguous():
            return "refused"
        case None:
            return "no route"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/admin/x", "/admin/*"),
        ("/ADMIN/x", "refused"),
        ("/Admin/x", "refused"),
        ("/admin/X", "/admin/*"),
        ("/ADMIN", "/*"),  # as /admin is
        ("/administrator", "/*"),
        ("/Team/plans", "refused"),
        ("/team/Plans", "refused"),
        ("/team/plans", "/team/plans"),
        ("/STATIC/app.js", "/*"),
        ("/News", "/*"),
        ("/Home/x", "/*"),
        ("/REPORTS/x", "refused"),
        ("/reports/x", "refused"),
        ("/Reports/X", "/Reports/*"),
    ],
)
def test_a_path_passes_where_other_letters_would_have_met_no_other_rule(
    path: str, expected: str
) -> None:
    routes = Routes(
        [
            Route("/static/*", "files", Access.PUBLIC),
            Route("/news", "app", Access.OPTIONAL),
            Route("/admin/*", "app", ADMINS),
            Route("/team/plans", "app", STAFF),
            Route("/home/*", "app"),
            Route("/Reports/*", "app", STAFF),
            Route("/*", "app"),
        ]
    )

    assert answer(routes, path) == expected


@pytest.mark.parametrize("rest", [Access.PUBLIC, Access.OPTIONAL])
def test_an_open_route_is_no_way_past_one_for_whoever_is_signed_in(rest: Access) -> None:
    routes = Routes([Route("/account/*", "app"), Route("/*", "app", rest)])

    assert answer(routes, "/Account/x") == "refused"
    assert answer(routes, "/about") == "/*"


def test_rules_that_say_the_same_are_the_same_wherever_they_were_written() -> None:
    again = (Allow(groups=frozenset({"admins"})),)
    routes = Routes([Route("/a/*", "app", ADMINS), Route("/*", "app", again)])

    assert answer(routes, "/A/x") == "/*"


@pytest.mark.parametrize(
    ("guarded", "other", "expected"),
    [
        (Route("/a/*", "app", cross_site=True), Route("/*", "app", cross_site=False), "refused"),
        (Route("/a/*", "app"), Route("/*", "app", cross_site=False), "refused"),
        (Route("/a/*", "app", cross_site=False), Route("/*", "app"), "/*"),
        (Route("/a/*", "app"), Route("/*", "app", cross_site=True), "/*"),
        (Route("/a/*", "app", Access.OPTIONAL), Route("/*", "app", cross_site=False), "refused"),
        (
            Route("/a/*", "app", Access.OPTIONAL),
            Route("/*", "app", Access.PUBLIC, cross_site=False),
            "/*",
        ),
        (Route("/a/*", "app", Access.PUBLIC), Route("/*", "app", cross_site=False), "/*"),
        (Route("/a/*", "app"), Route("/*", "app", preflight=True), "refused"),
        (Route("/a/*", "app", preflight=True), Route("/*", "app"), "/*"),
    ],
)
def test_what_guards_against_other_sites_is_a_rule_too(
    guarded: Route, other: Route, expected: str
) -> None:
    assert answer(Routes([guarded, other]), "/A/x") == expected


def test_a_request_that_has_no_route_gets_none_in_other_letters() -> None:
    routes = Routes([Route("/admin/*", "app", ADMINS), Route("/open/*", "app", Access.PUBLIC)])

    assert answer(routes, "/ADMIN/x") == "no route"
    assert answer(routes, "/OPEN/x") == "no route"


def test_the_first_route_that_ignores_case_decides_as_the_first_by_case_does() -> None:
    routes = Routes(
        [
            Route("/admin/help/*", "app", Access.PUBLIC),
            Route("/admin/*", "app", ADMINS),
            Route("/*", "app"),
        ]
    )

    assert answer(routes, "/ADMIN/help/x") == "/*"
    assert answer(routes, "/ADMIN/x") == "refused"
    assert answer(routes, "/admin/HELP/x") == "/admin/*"


def test_hosts_and_methods_bind_in_other_letters_as_well() -> None:
    routes = Routes(
        [
            Route("/admin/*", "app", ADMINS, host="other.example"),
            Route("/form", "app", STAFF, methods=frozenset({"POST"})),
            Route("/page", "app", STAFF, methods=frozenset({"GET"})),
            Route("/*", "app"),
        ]
    )

    assert answer(routes, "/ADMIN/x") == "/*"
    assert answer(routes, "/ADMIN/x", host="other.example") == "refused"
    assert answer(routes, "/FORM") == "/*"
    assert answer(routes, "/FORM", "POST") == "refused"
    assert answer(routes, "/PAGE", "HEAD") == "refused"


def test_a_stripped_prefix_is_guarded_in_other_letters() -> None:
    routes = Routes(
        [
            Route("/app/admin/*", "app", ADMINS, strip_prefix="/app"),
            Route("/app/*", "app", strip_prefix="/app"),
            Route("/*", "app", Access.PUBLIC),
        ]
    )

    for path in ("/app/Admin/x", "/App/admin/x", "/App/x"):
        assert answer(routes, path) == "refused", path
    assert answer(routes, "/app/X") == "/app/*"


def test_every_reading_is_looked_at_in_other_letters() -> None:
    routes = Routes([Route("/admin/*", "app", ADMINS), Route("/*", "app")])

    assert answer(routes, "/x;/y", readings=("/x/y", "/ADMIN/y")) == "refused"
    assert answer(routes, "/x;/y", readings=("/x/y", "/X/y")) == "/*"


# --- patterns that differ by case alone ----------------------------------------------------------

DOCS = Route("/docs/*", "app", STAFF)
UPPER_DOCS = Route("/Docs/*", "app", ADMINS)
REST = Route("/*", "app")


@pytest.mark.parametrize("table", [[DOCS, UPPER_DOCS, REST], [UPPER_DOCS, DOCS, REST]])
def test_patterns_that_differ_by_case_alone_are_each_of_use(table: list[Route]) -> None:
    routes = Routes(table)

    assert answer(routes, "/docs/X") == "/docs/*"
    assert answer(routes, "/Docs/x") == "/Docs/*"
    assert answer(routes, "/DOCS/x") == "refused", "nobody said which of them it is"


@pytest.mark.parametrize("secret", ["/Docs/Secret/*", "/docs/secret/*"])
def test_they_open_no_way_past_a_third(secret: str) -> None:
    routes = Routes([UPPER_DOCS, Route(secret, "app", (Allow(users=frozenset({"eve"})),)), DOCS])

    assert answer(routes, "/docs/Secret/x") == "refused"
    assert answer(routes, "/docs/other") == "/docs/*"


# --- the gateway's own endpoints -----------------------------------------------------------------


def test_routes_of_our_own_are_neither_refused_nor_known_in_other_letters() -> None:
    own = Route("/api/auth/*", "@portal", Access.PUBLIC)
    routes = Routes([Route("/API/*", "app", ADMINS), Route("/*", "app")], own=[own])

    assert answer(routes, "/api/auth/login") == "/api/auth/*"
    assert answer(routes, "/Api/auth/login") == "refused"
    assert answer(routes, "/API/auth/login") == "/API/*"


# --- letters beyond ASCII ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/kasse/*", "/\u212aasse/x"),  # the Kelvin sign: k when lowered, itself when raised
        ("/session/*", "/\u017fession/x"),  # long s: S when raised, itself when lowered
        ("/admin/*", "/adm\u0131n/x"),  # dotless i: I when raised
        ("/admin/*", "/adm\u0130n/x"),  # I with a dot: i when lowered letter by letter (Go, Java)
        ("/i\u0307zmir/*", "/\u0130zmir/x"),  # and i with a dot above it as a whole (Python, Node)
        ("/strasse/*", "/straße/x"),
        ("/straße/*", "/STRASSE/x"),
        ("/file/*", "/\ufb01le/x"),
        ("/café/*", "/CAFÉ/x"),
        ("/CAFÉ/*", "/café/x"),
        ("/οδος/*", "/ΟΔΟΣ/x"),
        ("/café/admin/*", "/café/ADMIN/x"),
    ],
)
def test_letters_are_the_same_where_any_usual_way_of_folding_makes_them_so(
    pattern: str, path: str
) -> None:
    assert answer(Routes([Route(pattern, "app", ADMINS), REST]), path) == "refused"


def test_marks_and_widths_are_no_matter_of_case() -> None:
    routes = Routes([Route("/cafe/*", "app", ADMINS), REST])

    for path in ("/café/x", "/\uff43afe/x"):
        assert answer(routes, path) == "/*"


def test_a_route_that_one_way_of_folding_finds_hides_none_that_another_finds() -> None:
    routes = Routes(
        [
            Route("/\u017ftatic/*", "app", Access.PUBLIC),
            Route("/É/*", "app", Access.PUBLIC),
            Route("/static/*", "app", ADMINS),
            Route("/é/admin/*", "app", ADMINS),
            REST,
        ]
    )

    assert answer(routes, "/STATIC/x") == "refused", "an app that lowers takes the third route"
    assert answer(routes, "/é/ADMIN/x") == "refused", "one that knows ASCII alone, the fourth"


# --- any table -----------------------------------------------------------------------------------

letters = st.sampled_from([*"aAbBkKsSiI", "\u212a", "\u017f", "\u0130", "\u0131", "é", "É", "ß"])
segments = st.text(letters, min_size=1, max_size=2)
paths = st.lists(segments, max_size=2).map(lambda parts: "/" + "/".join(parts))
patterns = st.builds(
    lambda path, below: path.rstrip("/") + "/*" if below else path, paths, st.booleans()
)
rules: st.SearchStrategy[AccessRule] = st.sampled_from([*Access, ADMINS, STAFF])
tables = st.lists(st.builds(Route, path=patterns, upstream=st.just("app"), access=rules))


def only_ascii(text: str) -> str:
    return text.encode().lower().decode()


def letter_by_letter(text: str) -> str:
    """As Go's `strings.ToLower`: Unicode's simple mapping, one letter for one."""
    return "".join("i" if letter == "\u0130" else letter.lower() for letter in text)


def served_by(table: list[Route], path: str) -> Route | None:
    """What an app does that has the very same table and compares plain strings."""
    for route in table:
        below = route.path.endswith("/*") and path.startswith(route.path[:-1])
        if below or path == route.path:
            return route
    return None


@given(
    tables,
    paths,
    st.lists(paths, max_size=2).map(tuple),
    st.sampled_from([only_ascii, letter_by_letter, str.upper, str.casefold]),
)
def test_no_app_that_ignores_case_is_sent_what_another_rule_of_its_own_would_stop(
    table: list[Route], path: str, readings: tuple[str, ...], fold
) -> None:
    found = Routes(table).match(HOST, "GET", path, readings)
    assume(isinstance(found, Route))

    folded = [Route(fold(route.path), "app", route.access) for route in table]
    for reading in (path, *readings):
        # Whoever wrote one pattern in two ways has said that these are two.
        twin = fold(found.path)
        others = [each for each in folded if each.path != twin or each.access == found.access]
        served = served_by(others, fold(reading))
        assert (
            served is None
            or served.access in (Access.PUBLIC, Access.OPTIONAL)
            or served.access == found.access
        )


@given(tables, paths)
def test_a_refusal_is_always_for_a_route_that_was_written_in_other_letters(
    table: list[Route], path: str
) -> None:
    exact = served_by(table, path)
    found = Routes(table).match(HOST, "GET", path)

    if isinstance(found, Ambiguous):
        assert found.ignoring_case
        assert found.routes[0] is exact
        guarding = found.routes[1]
        assert isinstance(guarding, Route)
        assert exact is not None
        assert guarding.access != exact.access
    else:
        assert found is exact
