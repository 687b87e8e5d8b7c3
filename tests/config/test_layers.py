"""GATEWAY_<KEY>__<SUBKEY> sets any key, and what it sets wrongly is told by its name."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.values import Config
from tests.config.written import SMALLEST, complaints, loaded, written


def with_variable(folder: Path, name: str, value: str, text: str = SMALLEST) -> Config:
    return loaded(folder, text, {name: value})


def test_scalars_lists_and_mappings_can_be_set(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        SMALLEST,
        {
            "GATEWAY_LISTEN": "0.0.0.0:80",
            "GATEWAY_WORKERS": "2",
            "GATEWAY_LOG__ACCESS": "false",
            "GATEWAY_LIMITS__BODY": "10MiB",
            "GATEWAY_TRUSTED_PROXIES": "[10.0.0.0/8, '::1']",
            "GATEWAY_UPSTREAMS__OTHER": "{targets: [http://a, http://b]}",
            "GATEWAY_HEADERS__EMAIL": "null",
            "GATEWAY_HEADERS__NAME": "",
            "GATEWAY_ROUTES__0__ACCESS": "public",
            "GATEWAY_ROUTES__1__PATH": "/more",
            "GATEWAY_ROUTES__1__UPSTREAM": "other",
        },
    )

    assert str(config.listen) == "0.0.0.0:80"
    assert config.workers == 2
    assert config.log.access is False
    assert config.limits.body == 10 * 2**20
    assert len(config.trusted_proxies) == 2
    assert set(config.upstreams) == {"app", "other"}
    assert len(config.upstreams["other"].targets) == 2
    assert (config.headers.email, config.headers.name) == (None, None)
    assert config.routes[0].access.value == "public"  # type: ignore[union-attr]
    assert config.routes[1].path == "/more"


def test_everything_can_come_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "users.yaml").touch()
    environ = {
        "GATEWAY_UPSTREAMS__APP": "http://127.0.0.1:3000",
        "GATEWAY_ROUTES__0__PATH": "/*",
        "GATEWAY_ROUTES__0__UPSTREAM": "app",
        "GATEWAY_LOGIN__0__USERS": str(tmp_path / "users.yaml"),
    }

    assert load(None, environ) == load(written(tmp_path, SMALLEST), {})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GATEWAY_LISTN", "x", "listn: unknown key; did you mean listen?"),
        ("GATEWAY_LOG__LEVL", "x", "log.levl: unknown key; did you mean level?"),
        ("GATEWAY_LOG__LEVEL", "loud", "log.level: must be debug, info, warning or error"),
        ("GATEWAY_LOG", "{levl: info}", "log.levl: unknown key; did you mean level?"),
        ("GATEWAY_LOG", "{level: info", "not valid YAML"),
        ("GATEWAY_LOG", "[a, a: {b: 1, b: 2}]", "the key was given before"),
        ("GATEWAY_LISTEN__HOST", "x", "listen.host: its parent is a single value in the file"),
        ("GATEWAY_UPSTREAMS__APP__HOST", "x", "upstreams.app.host: its parent is a single value"),
        ("GATEWAY_ROUTES__5__PATH", "/", "routes.5.path: 5 is not the number of an item"),
        ("GATEWAY_ROUTES__X", "/", "routes.x: x is not the number of an item"),
        ("GATEWAY_LOG____LEVEL", "x", "log..level: a key is missing between the underscores"),
        ("GATEWAY_", "x", "a key is missing between the underscores"),
        ("GATEWAY_ROUTES__0__UPSTREAM", "ap", 'routes[0].upstream: unknown upstream "ap"'),
    ],
)
def test_a_mistake_is_told_by_the_name_of_the_variable(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    told = complaints(tmp_path, SMALLEST + "listen: 127.0.0.1:80\n", {name: value})

    assert len(told) == 1, told
    assert told[0].startswith(f"environment {name}: ")
    assert message in told[0]


@pytest.mark.parametrize(
    "name",
    [
        "GATEWAY_CONFIG",
        "GATEWAY_SERVICE_HOST",
        "GATEWAY_SERVICE_PORT",
        "GATEWAY_SERVICE_PORT_HTTP",
        "GATEWAY_PORT",
        "GATEWAY_PORT_8080_TCP",
        "GATEWAY_PORT_8080_TCP_ADDR",
        "PATH",
    ],
)
def test_what_kubernetes_and_ourselves_set_is_no_key(tmp_path: Path, name: str) -> None:
    assert with_variable(tmp_path, name, "tcp://10.0.0.1:80") == loaded(tmp_path, SMALLEST)


def test_a_variable_that_the_file_refers_to_is_no_key(tmp_path: Path) -> None:
    text = SMALLEST + "tokens: {audience: ${GATEWAY_AUDIENCE}}\n"

    assert with_variable(tmp_path, "GATEWAY_AUDIENCE", "x", text).tokens.audience == "x"


def test_an_override_is_laid_over_a_section_and_replaces_a_list(tmp_path: Path) -> None:
    overrides = {"log": {"level": "debug"}, "log.access": False, "login": []}
    text = SMALLEST.replace("upstream: app", "{upstream: app, access: public}")
    text = text.replace("  - path: /*\n    {", "  - {path: /*, ") + "log: {format: text}\n"

    config = load(written(tmp_path, text), {}, overrides)

    assert (config.log.level, config.log.access, config.log.format) == ("debug", False, "text")
    assert config.login == ()


def test_a_wrong_override_is_told_as_such(tmp_path: Path) -> None:
    from gateway.config.problem import ConfigErrors

    with pytest.raises(ConfigErrors, match=r"^command line: listen: must be host:port"):
        load(written(tmp_path, SMALLEST), {}, {"listen": 80})
