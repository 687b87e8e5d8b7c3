"""The documents say what is: links lead somewhere, commands exist, configurations are accepted."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.__main__ import gateway

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md"])
README = (ROOT / "README.md").read_text()
_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _fences(page: str, *kinds: str) -> list[str]:
    return [found["text"] for found in _FENCE.finditer(page) if found["kind"] in kinds]


def _anchors(page: str) -> set[str]:
    """As code hosts make them of headings."""
    headings = re.findall(r"^#+ +(.*)$", _FENCE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_relative_link_leads_somewhere(page: Path):
    text = page.read_text()
    for found in _LINK.finditer(_FENCE.sub("", text)):
        target, _, anchor = found["target"].partition("#")
        if target.startswith(("http://", "https://")):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{_named(page)} links to {target}"
        if anchor:
            assert anchor in _anchors(there.read_text()), f"{_named(page)} links to #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_file_of_the_code_that_is_named_exists(page: Path):
    for name in re.findall(r"`((?:[\w.]+/)+\w+\.py)`", _FENCE.sub("", page.read_text())):
        assert any((ROOT / top / name).exists() for top in ("", "gateway")), name


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    missing = [p.name for p in folder.glob("*.md") if p.name != "README.md" and p.name not in index]
    assert missing == []


def _commands(page: str) -> Iterator[list[str]]:
    """Yield the words of every `gateway …` that a page tells people to type."""
    code = _fences(page, "sh", "console", "bash")
    lines = [line for block in code for line in block.splitlines()]
    spans = re.findall(r"`((?:\S*/)?gateway [a-z][^`]*)`", _FENCE.sub("", page))
    for text in (*lines, *spans):
        found = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?gateway (?=[a-z])(.*)", text.strip())
        if found:
            yield re.split(r"  +#|\s[|>]", found[1])[0].split()


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_command_that_is_told_exists(page: Path):
    for words in _commands(page.read_text()):
        _follow(words)


def _follow(words: list[str]) -> None:
    command: click.Command | None = gateway
    context = click.Context(gateway)
    rest = list(words)
    while isinstance(command, click.Group):
        if not rest:
            return  # a group as such: `gateway users`
        # `users add|list` names several.
        names = rest.pop(0).split("|")
        found = [command.get_command(context, name) for name in names]
        assert all(found), f"gateway {' '.join(words)}"
        command = found[0]
    assert command is not None
    options = {name for parameter in command.params for name in parameter.opts}
    for word in rest:
        if word.startswith("-"):
            assert word.partition("=")[0] in options, f"gateway {' '.join(words)}"


def test_the_commands_of_the_readme_are_found():
    """Guards the test above: it must not pass because it sees nothing."""
    told = {words[0] for words in _commands(README)}
    assert {"check", "run", "users", "explain", "keys", "sessions"} <= told


def test_the_configuration_of_the_readme_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    smallest, users, routes, *_ = _fences(README, "yaml")
    (tmp_path / "users.yaml").write_text(users)
    monkeypatch.chdir(tmp_path)
    with_routes = re.sub(r"^routes:\n(?:  .*\n)+", lambda _: routes, smallest, flags=re.MULTILINE)
    for config in (smallest, with_routes):
        (tmp_path / "config.yaml").write_text(config)

        answer = CliRunner().invoke(gateway, ["check", "-c", "config.yaml"])

        assert (answer.exit_code, answer.output) == (0, "config.yaml: ok\n")


def test_the_users_of_the_readme_are_accepted():
    from gateway.identity.users_file import parse

    assert set(parse(_fences(README, "yaml")[1])) == {"alice"}


def test_the_tables_of_keys_are_those_of_the_code():
    spec = importlib.util.spec_from_file_location(
        "configuration_tables", ROOT / "scripts" / "configuration_tables.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert tables.with_tables(page) == page, "run python scripts/configuration_tables.py"
    for name in tables.SECTIONS:
        assert tables.marked(name) in page, f"{name} has no table"
