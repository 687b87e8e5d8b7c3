"""`gateway explain` says route by route what becomes of a request."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.commands.explain import explain
from tests.config.written import written

CONFIG = """
upstreams: {app: 'http://127.0.0.1:3000', admin: 'http://127.0.0.1:3001'}
routes:
  - {path: /static/*, upstream: app, access: public, methods: [GET]}
  - {path: /admin/*, upstream: admin, access: [{groups: [admins]}, {claims: {level: '3'}}]}
  - {path: /news, upstream: app, access: optional}
  - {path: /app/*, upstream: app, host: app.example.com}
  - {path: /Files/secret, upstream: app, access: {groups: [staff]}}
  - {path: /FILES/*, upstream: app}
login: [{users: users.yaml}]
"""


def verdict(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(explain, ["-c", str(written(folder, CONFIG)), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("GET https://h/static/a.js", "verdict: allowed, goes to app as nobody"),
        ("HEAD https://h/static/a.js --as bob", "verdict: allowed, goes to app as nobody"),
        ("POST https://h/static/a.js", "verdict: 404, no route matches"),
        ("GET https://h/news --as bob", "verdict: allowed, goes to app as bob"),
        ("GET https://h/news", "verdict: allowed, goes to app as nobody"),
        ("GET https://h/admin/", "verdict: sign in first"),
        ("GET https://h/admin/ --as bob", "verdict: 403"),
        ("GET https://h/admin/ --as bob --group admins", "verdict: allowed, goes to admin as bob"),
        ("GET https://h/admin/ --as bob --claim level=3", "verdict: allowed, goes to admin as bob"),
        (
            "GET https://APP.example.com:8443/app/?q=1#f --as bob",
            "verdict: allowed, goes to app as bob",
        ),
        ("GET https://h/app/", "verdict: 404, no route matches"),
        ("GET https://h/", "verdict: 404, no route matches"),
        ("GET https://h/news/../admin/", "verdict: refused with 400"),
        ("GET https://h/static%2f..%2fadmin/", "verdict: refused with 400"),
        ("GET https://h/x%2fnews", "verdict: 404"),
        ("GET https://h/%61dmin/ --as bob", "verdict: 403"),
        ("GET https://h/admin%2fx", "verdict: 400, the path has two readings"),
        ("GET https://h/FILES/x --as bob", "verdict: allowed, goes to app as bob"),
        ("GET https://h/ADMIN/x --as bob", "verdict: 404, no route matches"),
        ("GET https://h/api/v1/auth/login", "verdict: answered by the gateway itself"),
        ("GET https://h:99999/", "verdict: refused with 400"),
    ],
)
def test_the_verdict_is_the_one_that_a_request_would_get(
    tmp_path: Path, arguments: str, expected: str
) -> None:
    assert verdict(tmp_path, *arguments.split()).startswith(expected)


def test_the_rule_that_an_app_which_ignores_case_would_find_is_named(tmp_path: Path) -> None:
    assert verdict(tmp_path, "GET", "https://h/FILES/Secret", "--as", "bob") == (
        "verdict: 400, an app that ignores case may find another rule for the path "
        "(/Files/secret to app: groups staff)"
    )


def test_every_route_says_why_it_did_or_did_not_match(tmp_path: Path) -> None:
    path = str(written(tmp_path, CONFIG))

    result = CliRunner().invoke(explain, ["-c", path, "GET", "https://h/news"])

    assert result.stdout.splitlines() == [
        "request: GET host h, path /news",
        "  1. GET /static/* to app: public (the path /news is not below /static/)",
        (
            "  2. /admin/* to admin: groups admins or claim level = 3 "
            "(the path /news is not below /admin/)"
        ),
        "→ 3. /news to app: optional (host, path and method match)",
        "  4. app.example.com/app/* to app: signed-in (an earlier route matched)",
        "  5. /Files/secret to app: groups staff (an earlier route matched)",
        "  6. /FILES/* to app: signed-in (an earlier route matched)",
        "verdict: allowed, goes to app as nobody",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("GET /path", "name the whole URL"),
        ("GET https://h/ --group admins", "name one with --as"),
        ("GET https://h/ --as bob --claim level", "write NAME=VALUE"),
    ],
)
def test_a_question_that_makes_no_sense_is_bad_usage(
    tmp_path: Path, arguments: str, message: str
) -> None:
    path = str(written(tmp_path, CONFIG))

    result = CliRunner().invoke(explain, ["-c", path, *arguments.split()])

    assert result.exit_code == 2
    assert message in result.stderr
