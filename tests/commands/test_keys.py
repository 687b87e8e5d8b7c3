"""`gateway keys`: what an operator sees, and what the folder holds afterwards."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.commands.keys import keys, listed, table
from gateway.tokens.key_folder import KeyFolder
from gateway.tokens.keys import ACTIVATION_DELAY, KeySet
from gateway.tokens.shared_secrets import secret_keys
from tests.fakes import signing_key

CONFIG = """
upstreams: {{app: "http://127.0.0.1:3000"}}
routes: [{{path: /*, upstream: app}}]
login: [{{users: users.yaml}}]
tokens: {tokens}
"""
USERS = "users: {}\n"
SECRET = "Zt5rWJ0uKpXqvE3yLh8nBf2sCd6aGm9o"
NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)

    def run(*args: str, tokens: str = f"{{keys: {tmp_path}/keys}}") -> Result:
        (tmp_path / "users.yaml").write_text(USERS)
        file = tmp_path / "gateway.yaml"
        file.write_text(CONFIG.format(tokens=tokens))
        return CliRunner().invoke(keys, [*args, "-c", str(file)])

    return run


def held(tmp_path: Path) -> set[str]:
    return {file.stem for file in (tmp_path / "keys").glob("*.pem")}


def test_generate_makes_the_first_key_and_then_nothing_more(gateway, tmp_path: Path) -> None:
    first, second = gateway("generate"), gateway("generate")

    (kid,) = held(tmp_path)
    assert (first.exit_code, first.stdout) == (0, f"made {tmp_path}/keys/{kid}.pem\n")
    assert (second.exit_code, second.stdout) == (
        0,
        f"nothing to make: {tmp_path}/keys has 1 already\n",
    )


def test_generate_prints_a_secret_that_is_good_enough_and_needs_no_configuration() -> None:
    result = CliRunner().invoke(keys, ["generate", "--secret"])

    assert result.exit_code == 0
    secret_keys([result.stdout.strip()])


def test_rotate_adds_a_key_and_removes_none_that_is_needed(gateway, tmp_path: Path) -> None:
    gateway("generate")
    before = held(tmp_path)

    result = gateway("rotate")

    (new,) = held(tmp_path) - before
    assert result.exit_code == 0
    assert re.fullmatch(rf"new key {new}, signs from \d{{4}}-\S+Z\n", result.stdout)
    assert before < held(tmp_path)


def test_rotate_removes_what_no_session_can_still_use(gateway, tmp_path: Path) -> None:
    long_ago = KeyFolder.open(tmp_path / "keys", "ES256", NOW - 2000 * DAY)
    oldest = long_ago.current().signing(NOW)
    second = long_ago.rotate(NOW - 1000 * DAY)

    result = gateway("rotate")

    assert f"removed {oldest.kid}\n" in result.stdout
    assert second.kid in held(tmp_path)
    assert len(held(tmp_path)) == 2


def test_a_leaked_key_is_discarded_at_once(gateway, tmp_path: Path) -> None:
    gateway("generate")
    (leaked,) = held(tmp_path)

    result = gateway("rotate", "--discard-old")

    (new,) = held(tmp_path)
    assert result.exit_code == 0
    assert f"removed {leaked}\n" in result.stdout
    assert new != leaked


def test_list_shows_every_key_and_no_secret(gateway, tmp_path: Path) -> None:
    gateway("generate")
    gateway("rotate")

    result = gateway("list")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert {line.split()[0] for line in lines[1:]} == held(tmp_path)
    assert "published, signs from" in lines[1]
    assert lines[2].endswith("signs")
    for file in (tmp_path / "keys").iterdir():
        for line in file.read_text().splitlines()[2:-1]:
            assert line not in result.output


def test_list_speaks_json(gateway, tmp_path: Path) -> None:
    gateway("generate")

    (line,) = json.loads(gateway("list", "--json").stdout)

    assert line.pop("created").endswith("Z")
    assert line == {"key": held(tmp_path).pop(), "algorithm": "ES256", "state": "signs"}


def test_list_warns_of_a_key_that_others_may_read(gateway, tmp_path: Path) -> None:
    gateway("generate")
    (kid,) = held(tmp_path)
    (tmp_path / "keys" / f"{kid}.pem").chmod(0o644)

    assert f"{kid}.pem" in gateway("list").stderr


def test_list_of_secrets_shows_names_alone(gateway) -> None:
    result = gateway("list", tokens=f"{{algorithm: HS256, keys: [{{secret: {SECRET}}}]}}")

    assert result.exit_code == 0
    assert secret_keys([SECRET]).keys[0].kid in result.stdout
    assert SECRET not in result.output


@pytest.mark.parametrize("command", ["generate", "rotate"])
def test_secrets_are_not_files_and_the_operator_is_told_how_to_rotate_them(
    gateway, command: str
) -> None:
    result = gateway(command, tokens=f"{{algorithm: HS256, keys: [{{secret: {SECRET}}}]}}")

    assert result.exit_code == 2
    assert "add the new one below the old" in " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["list", "rotate"])
def test_a_missing_folder_is_a_failure_that_is_named(gateway, tmp_path: Path, command: str) -> None:
    result = gateway(command)

    assert result.exit_code == 1
    assert f"{tmp_path}/keys" in result.stderr


def test_a_bad_key_is_a_failure_that_is_named(gateway, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "bad.pem").write_text("nonsense")

    for command in ("generate", "list", "rotate"):
        result = gateway(command)
        assert result.exit_code == 1
        assert "bad.pem" in result.stderr
    assert held(tmp_path) == {"bad"}


def test_the_table_tells_what_each_key_does() -> None:
    keys = KeySet(
        (
            signing_key("HS256", NOW - 10 * DAY, "old"),
            signing_key("HS256", NOW - DAY, "now"),
            signing_key("HS256", NOW - 5, "next"),
        )
    )

    lines = list(table(listed(keys, NOW, keep=DAY + 900 - ACTIVATION_DELAY)))

    assert [line.split()[0] for line in lines] == ["KEY", "next", "now", "old"]
    assert lines[1].endswith("published, signs from 2027-01-15T08:00:55Z")
    assert lines[2].endswith("signs")
    assert lines[3].endswith("verifies until 2027-01-15T08:15:00Z")


def test_the_table_of_secrets_knows_no_dates() -> None:
    lines = list(table(listed(secret_keys([SECRET, SECRET[::-1]]), NOW, keep=DAY)))

    assert [" ".join(line.split()[1:]) for line in lines[1:]] == [
        "HS256 - signs",
        "HS256 - verifies",
    ]
