"""${NAME}, ${NAME:-default} and !file bring in what the file leaves out."""

from pathlib import Path

import pytest

from gateway.config.expansion import MAX_INCLUDED_BYTES
from tests.config.written import SMALLEST, complaints, loaded

SECRET = "Q7r0aZk2p9Lw5xN3vB8cT1yH6mF4jD0s"


def audience(folder: Path, text: str, environ: dict[str, str]) -> str:
    return loaded(folder, f"{SMALLEST}tokens:\n  audience: {text}\n", environ).tokens.audience


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("pre-${A}-${B}", {"A": "x", "B": "y"}, "pre-x-y"),
        ('"${A}"', {"A": "x"}, "x"),
        ("'${A}'", {"A": "x"}, "x"),
        ("${A:-d}", {}, "d"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A:-d}", {"A": "x"}, "x"),
        ("${A:-a, b: c}", {}, "a, b: c"),
        ("$${A}", {"A": "x"}, "${A}"),
        ("$A", {"A": "x"}, "$A"),
        ("$", {}, "$"),
        ("${A}", {"A": "a: [b"}, "a: [b"),
        ("${A}", {"A": "${B}", "B": "never"}, "${B}"),
    ],
)
def test_a_reference_becomes_the_variable_or_its_default(
    tmp_path: Path, text: str, environ: dict[str, str], expected: str
) -> None:
    assert audience(tmp_path, text, environ) == expected


def test_a_reference_needs_no_quotes_in_a_flow_mapping(tmp_path: Path) -> None:
    text = (
        SMALLEST
        + "tokens: {algorithm: HS256, keys: [{secret: ${KEY}}, {secret: ${OLD:-"
        + SECRET
        + "}}]}\n"
    )

    config = loaded(tmp_path, text, {"KEY": SECRET[::-1]})

    assert [secret.reveal() for secret in config.tokens.secrets] == [SECRET[::-1], SECRET]


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A", "${A:default}", "${ A }"])
def test_what_is_no_reference_is_not_taken_for_text(tmp_path: Path, text: str) -> None:
    told = complaints(tmp_path, f"{SMALLEST}tokens:\n  audience: '{text}'\n", {"A": "x"})

    assert len(told) == 1
    assert "write ${NAME} or ${NAME:-default}, or $${ for a plain ${" in told[0]


def test_an_empty_plain_value_counts_as_not_written(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALLEST + "cookies:\n  domain: ${DOMAIN:-}\n  access: ${NAME:-}\n")

    assert config.cookies.domain is None
    assert config.cookies.access_name == "accessToken"


def test_an_included_file_is_the_value_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\r\n")
    text = SMALLEST + "tokens: {algorithm: HS256, keys: [{secret: !file '${DIR}/secret'}]}\n"

    config = loaded(tmp_path, text, {"DIR": str(tmp_path)})
    beside = loaded(tmp_path, text.replace("${DIR}/", ""))

    assert config.tokens.secrets[0].reveal() == SECRET
    assert beside.tokens.secrets == config.tokens.secrets


def test_an_included_file_is_taken_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("null")
    text = f"{SMALLEST}tokens:\n  audience: !file name\n"

    assert loaded(tmp_path, text).tokens.audience == "null"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"\xff", "it is not UTF-8 text"),
        (b"x" * (MAX_INCLUDED_BYTES + 1), f"is longer than {MAX_INCLUDED_BYTES} bytes"),
    ],
)
def test_a_file_that_cannot_be_included_is_told(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "included").write_bytes(content)

    told = complaints(tmp_path, f"{SMALLEST}tokens:\n  audience: !file included\n")

    assert len(told) == 1
    assert told[0].startswith("config.yaml:9:13: tokens.audience: ")
    assert message in told[0]
