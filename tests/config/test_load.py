"""Every key of the file arrives as a checked value, whatever way it was written."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.problem import ConfigErrors
from gateway.config.values import TcpAddress, UsersFile

SMALLEST = """
upstreams:
  app: http://127.0.0.1:3000
routes:
  - path: /*
    upstream: app
login:
  - users: users.yaml
"""


def written(folder: Path, text: str) -> Path:
    (folder / "users.yaml").write_text("users: {}\n")
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_the_smallest_useful_file_loads_with_every_default(tmp_path: Path) -> None:
    config = load(written(tmp_path, SMALLEST), {})

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


def test_problems_of_every_kind_are_told_at_once(tmp_path: Path) -> None:
    text = SMALLEST.replace("upstream: app", "upstream: ap") + "cookies: {same_sight: Lax}\n"

    with pytest.raises(ConfigErrors) as caught:
        load(written(tmp_path, text), {"GATEWAY_LISTEN": "8080"})

    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (6, "routes[0].upstream"),
        (9, "cookies.same_sight"),
        (None, "listen"),
    ]
