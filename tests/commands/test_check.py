"""`gateway check` says what is wrong on stderr, and by its exit code."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gateway.commands.check import check
from gateway.config.load import load
from tests.certificates import make_pair
from tests.config.written import SMALLEST, written

UPSTREAMS = """\
  private: {targets: https://a.example, ca: ca.crt}
  known: {targets: https://b.example, certificate: client.crt, key: client.key}
"""
FILES = """\
  - htpasswd: htpasswd
tls: {certificate: tls.crt, key: tls.key}
tokens:
  accept:
    - {issuer: https://a.example, audience: us, jwks: jwks.json}
"""


def test_a_good_file_is_ok(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)

    result = CliRunner().invoke(check, ["-c", str(path)])

    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}: ok\n", "")


def test_every_problem_is_a_line_on_stderr_and_the_exit_code_is_2(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST + "listne: x\nworkers: many\n")

    result = CliRunner().invoke(check, ["-c", str(path)])

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"{path}:8:1: listne: unknown key; did you mean listen?",
        f"{path}:9:10: workers: must be auto or a number from 1 to 256",
    ]


def test_what_files_hold_is_checked_too_as_a_start_would_refuse_it(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST.replace("routes:", UPSTREAMS + "routes:") + FILES)
    certificate, key = make_pair("good")
    (tmp_path / "tls.crt").write_bytes(certificate)
    (tmp_path / "tls.key").write_bytes(make_pair("other")[1])
    (tmp_path / "client.crt").write_bytes(key)
    (tmp_path / "client.key").write_bytes(certificate)
    (tmp_path / "ca.crt").write_text("no certificate")
    (tmp_path / "users.yaml").write_text("users: [\n")
    (tmp_path / "htpasswd").write_text("alice:{SHA}x\n")
    (tmp_path / "jwks.json").write_text("{}")

    result = CliRunner().invoke(check, ["-c", str(path)])

    assert (result.exit_code, result.stdout) == (2, "")
    told = result.stderr.replace(f"{tmp_path}/", "").splitlines()
    assert [line.partition(": ")[0] for line in told] == [
        "tls",
        "upstreams.private",
        "upstreams.known",
        "users.yaml:2:1",
        "htpasswd:1:1",
        "tokens.accept",
    ]
    assert told[0] == "tls: tls.crt with tls.key: key values mismatch"
    assert told[1] == "upstreams.private: ca.crt: no certificate or crl found"
    assert told[2] == "upstreams.known: client.crt: holds no certificate in PEM form"
    assert told[5] == "tokens.accept: jwks.json: not a JWK set"


def test_nothing_is_made_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, SMALLEST)

    assert CliRunner().invoke(check).exit_code == 0

    assert {each.name for each in tmp_path.iterdir()} == {"config.yaml", "users.yaml"}


def test_a_warning_is_told_and_does_not_fail(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST.replace("path: /*", "path: /a/"))

    result = CliRunner().invoke(check, ["-c", str(path)])

    assert result.exit_code == 0
    assert result.stderr.startswith(f"warning: {path}:4:11: routes[0].path: matches /a/ alone")


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)

    result = CliRunner().invoke(check, env={"GATEWAY_CONFIG": str(path)})

    assert (result.exit_code, result.stdout) == (0, f"{path}: ok\n")


def test_config_yaml_of_the_working_directory_is_read_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, SMALLEST)
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(check)

    assert (result.exit_code, result.stdout) == (0, "config.yaml: ok\n")


def test_without_any_configuration_the_way_to_give_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(check)

    assert result.exit_code == 2
    assert "name a file with -c or GATEWAY_CONFIG" in result.stderr


def test_print_shows_what_is_in_effect_without_secrets(tmp_path: Path) -> None:
    secret = "Q7r0aZk2p9Lw5xN3vB8cT1yH6mF4jD0s"
    text = SMALLEST + "tokens: {algorithm: HS256, keys: [{secret: '${KEY}'}]}\n"
    path = written(tmp_path, text + "sessions: {store: 'redis://:hidden@localhost/0'}\n")

    result = CliRunner().invoke(check, ["--print", "-c", str(path)], env={"KEY": secret})

    assert result.exit_code == 0
    assert secret not in result.output
    assert "hidden" not in result.output
    shown = yaml.safe_load(result.stdout)
    assert shown["tokens"]["keys"] == [{"secret": "********"}]
    assert shown["sessions"]["store"] == "redis://:********@localhost/0"
    assert shown["limits"]["idle_timeout"] == "75s"


def test_what_is_printed_loads_to_the_same_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)

    result = CliRunner().invoke(check, ["--print", "-c", str(path)])

    again = load(written(tmp_path, result.stdout), {})
    # Saying public_url leaves it the only origin.
    assert again.own_origins == {"http://localhost:8080"}
    first = load(written(tmp_path, SMALLEST + "public_url: http://localhost:8080\n"), {})
    assert again == first
