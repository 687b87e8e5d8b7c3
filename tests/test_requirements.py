"""Every requirement on messages, identity headers and paths is named by the tests that prove it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
REQUIREMENTS = (
    *(f"H{number}" for number in range(1, 21)),  # messages
    *(f"I{number}" for number in range(1, 10)),  # identity headers and forward-auth
    *(f"P{number}" for number in range(1, 7)),  # routes and paths
    *(f"W{number}" for number in range(1, 6)),  # WebSockets
)
# The invariants of rotation are numbered with an I as well.
ELSEWHERE = ("sessions", "portal")


def _names() -> Iterator[str]:
    """Yield what names a test: what it is called, and its docstring."""
    for path in TESTS.rglob("test_*.py"):
        if path.parent.name in ELSEWHERE or path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test_"
            ):
                yield f"{node.name} {ast.get_docstring(node) or ''}"


NAMED = frozenset(
    word.upper()
    for name in _names()
    for word in re.findall(r"(?<![a-z0-9])[a-z]\d+(?![a-z0-9])", name.lower())
)


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_some_test_is_named_after_the_requirement(requirement: str):
    assert requirement in NAMED
