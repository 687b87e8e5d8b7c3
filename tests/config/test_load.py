"""Every key of the file arrives as a checked value, whatever way it was written."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.load import MAX_FILE_BYTES, load
from gateway.config.problem import ConfigErrors, Problem
from gateway.config.values import Config, TcpAddress, UsersFile
from tests.config.written import SMALLEST, complaints, loaded, written


def test_the_smallest_useful_file_loads_with_every_default(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALLEST)

    assert config.listen == TcpAddress("127.0.0.1", 8080)
    assert config.public_url == "http://localhost:8080"
    assert config.login == (UsersFile(str(tmp_path / "users.yaml")),)
    assert [route.upstream for route in config.routes] == ["app"]
    assert config.warnings == ()


def test_a_flag_wins_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST + "tokens: {access_lifetime: 1m, audience: file}\n")
    environ = {"GATEWAY_TOKENS__ACCESS_LIFETIME": "2m", "GATEWAY_TOKENS__AUDIENCE": "environment"}

    config = load(path, environ, {"tokens.access_lifetime": "3m"})

    assert config.tokens.access_lifetime == 180
    assert config.tokens.audience == "environment"


def test_overrides_alone_can_hold_the_whole_configuration() -> None:
    overrides = {
        "listen": "127.0.0.1:0",
        "upstreams": {"app": "http://127.0.0.1:3000"},
        "routes": [{"path": "/*", "upstream": "app", "access": "public"}],
        "log": {"access": False},
        "limits.connections": 5,
        "operations": None,
    }

    config = load(None, {}, overrides)

    assert config.log.access is False
    assert config.limits.connections == 5
    assert config.routes[0].path == "/*"


def test_problems_of_every_kind_are_told_at_once_and_in_reading_order(tmp_path: Path) -> None:
    text = SMALLEST.replace("upstream: app", "upstream: ap") + "cookies: {same_sight: Lax}\n"

    assert complaints(tmp_path, text, {"GATEWAY_LISTEN": "8080"}) == [
        'config.yaml:5:15: routes[0].upstream: unknown upstream "ap"; did you mean app?',
        "config.yaml:8:11: cookies.same_sight: unknown key; did you mean same_site?",
        (
            "environment GATEWAY_LISTEN: listen: must be host:port, [v6]:port or unix:/path; "
            "did you mean 127.0.0.1:8080?"
        ),
    ]


EMPTY = "config.yaml: is empty; the smallest useful file has upstreams, routes and login"
NO_MAPPING = "config.yaml:1:1: must be a mapping: upstreams: …, routes: …, login: …"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", EMPTY),
        (
            b"# nothing\n",
            EMPTY,
        ),
        (
            b"null\n",
            EMPTY,
        ),
        (
            b"- a\n",
            NO_MAPPING,
        ),
        (
            b"just text\n",
            NO_MAPPING,
        ),
        (b"listen: a\nb\xff: c\n", "config.yaml:2:2: not UTF-8 text"),
        (b"listen: a\n\x00", "config.yaml:2:1: not valid YAML: control characters are not allowed"),
        (
            b"listen: [a\n",
            (
                "config.yaml:2:1: not valid YAML: while parsing a flow sequence, "
                "expected ',' or ']', but got '<stream end>'"
            ),
        ),
        (b"a: b\n---\nc: d\n", "config.yaml:2:1: only one YAML document is expected"),
        (b"a" * (MAX_FILE_BYTES + 1), f"config.yaml: longer than {MAX_FILE_BYTES} bytes"),
    ],
)
def test_a_file_that_is_no_document_is_refused_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigErrors) as caught:
        load(path, {})

    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        message
    ]


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigErrors, match=reason):
            load(path, {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert load(path, {}).routes


def config_or_problems(
    path: Path | None, overrides: dict[str, object]
) -> Config | tuple[Problem, ...]:
    try:
        return load(path, {}, overrides)
    except ConfigErrors as errors:
        return errors.problems


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text()
    | st.text(alphabet="abc:-[]{}&*!|>%@#'\"\\, \n\t~<?0$")
    | st.binary().map(lambda octets: octets.decode("latin-1"))
)
def test_any_text_ends_in_a_configuration_or_in_problems(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    outcome = config_or_problems(path, {})

    if not isinstance(outcome, Config):
        assert outcome
        assert all(problem.message and "\n" not in str(problem) for problem in outcome)


KEYS = st.sampled_from(
    [
        *("listen", "tls", "public_url", "upstreams", "routes", "auth", "tokens", "sessions"),
        *("cookies", "headers", "login", "limits", "log", "app", "path", "upstream", "access"),
        *("users", "keys", "secret", "targets", "health", "host", "prefix", "claims", "accept"),
        *("trusted_proxies", "workers", "operations", "store", "domain", "methods", "0", ""),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["app", "/*", "/a/*", "1s", "5m", "public", "HS256", "http://a", "${X}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=200, deadline=None)
@given(overrides=st.dictionaries(KEYS.filter(bool), VALUES, max_size=8))
def test_any_shape_of_values_ends_in_a_configuration_or_in_problems(
    overrides: dict[str, object],
) -> None:
    outcome = config_or_problems(None, overrides)

    assert isinstance(outcome, Config) or outcome
