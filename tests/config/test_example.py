"""config.example.yaml is the reference: every key, every default, and examples that work."""

import re
from pathlib import Path

import pytest

from gateway.config.known_keys import known_keys
from gateway.config.load import load
from gateway.config.unsupported import NOT_YET_SUPPORTED

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def with_examples(text: str) -> str:
    """Take the comment signs off the examples, each of which replaces the default above it."""
    lines: list[str] = []
    example: str | None = None  # the indentation of the one that is being read
    for line in text.splitlines():
        begins = re.match(r"( *)#(\w+):", line)
        if begins:
            example = begins[1]
            if lines[-1].startswith(f"{example}{begins[2]}: "):
                lines.pop()
        elif example is None or not line.startswith(f"{example}# "):
            example = None
        lines.append(line if example is None else line.replace("#", "", 1))
    return "\n".join(lines)


def test_the_example_says_the_defaults() -> None:
    assert load(EXAMPLE, {}) == load(None, {})


def test_the_examples_in_it_load_without_their_comment_signs(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(with_examples(EXAMPLE.read_text()))
    for name in ("tls.crt", "tls.key", "ca.crt", "client.crt", "client.key", ".htpasswd"):
        (tmp_path / name).touch()
    (tmp_path / "users.yaml").touch()

    config = load(path, {})

    assert set(config.upstreams) == {"app", "api"}
    assert len(config.routes) == 4
    assert len(config.login) == 4
    assert config.tls is not None
    assert config.tokens.accept
    assert config.operations is not None
    assert config.warnings == ()


@pytest.mark.parametrize(("section", "key"), sorted(set(known_keys())))
def test_every_key_is_in_it(section: str, key: str) -> None:
    assert re.search(rf"(?<!\w){key}:", EXAMPLE.read_text()), section


def test_what_is_refused_is_said_to_be_not_supported() -> None:
    tail = EXAMPLE.read_text().partition("# Not supported yet.")[2]

    for refused in NOT_YET_SUPPORTED:
        assert f"- {refused.key.rpartition('.')[2]}:" in tail
