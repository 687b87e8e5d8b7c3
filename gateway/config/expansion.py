"""`${NAME}`, `${NAME:-default}` and `!file path`: what the file takes from outside itself."""

import re
from collections.abc import Mapping as ReadOnly
from dataclasses import replace
from pathlib import Path

from gateway.config.document import Entry, Mapping, Node, Scalar, Sequence
from gateway.config.problem import Problem, problem_at
from gateway.config.units import quoted

MAX_INCLUDED_BYTES = 64 * 1024
# `$$` is one dollar sign before a brace, as in Compose files.
_REFERENCE = re.compile(r"\$\$(?=\{)|\$\{([^}]*)(\}?)")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


class Expansion:
    """Fills in one document.

    `used` are the variables that it refers to, `files` what it includes.
    """

    def __init__(self, environ: ReadOnly[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self.used: set[str] = set()
        self.files: set[str] = set()
        self.problems: list[Problem] = []

    def node(self, node: Node, key: str = "") -> Node:
        match node:
            case Scalar():
                return self._scalar(node, key)
            case Sequence():
                items = (self.node(item, f"{key}[{at}]") for at, item in enumerate(node.items))
                return replace(node, items=tuple(items))
            case Mapping():
                entries = {
                    name: Entry(entry.place, self.node(entry.node, f"{key}.{name}".lstrip(".")))
                    for name, entry in node.entries.items()
                }
                return replace(node, entries=entries)

    def _scalar(self, node: Scalar, key: str) -> Scalar:
        text = node.text
        try:
            if "${" in text:
                text = _REFERENCE.sub(self._reference, text)
            if node.from_file:
                path = self._folder / text
                self.files.add(str(path.absolute()))
                return replace(node, text=included(path), plain=False)
        except ValueError as error:
            self.problems.append(problem_at(node.place, key, str(error)))
            return replace(node, text="", plain=True, broken=True)
        return node if text == node.text else replace(node, text=text)

    def _reference(self, found: re.Match[str]) -> str:
        if found.group() == "$$":
            return "$"
        parts = _INSIDE.fullmatch(found[1]) if found[2] else None
        if parts is None:
            shown = quoted(found.group())
            raise ValueError(
                f"{shown}: write ${{NAME}} or ${{NAME:-default}}, or $${{ for a plain ${{"
            )
        name, default = parts.groups()
        self.used.add(name)
        value = self._environ.get(name, "")
        if value or (default is None and name in self._environ):
            return value
        if default is None:
            raise ValueError(
                f"the environment variable {name} is not set (${{{name}:-…}} gives a default)"
            )
        return str(default)


def included(path: Path) -> str:
    """Return the content of a small text file without its last line break. Raises ValueError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_INCLUDED_BYTES + 1)
        text = content.decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"cannot read {quoted(str(path))}: {reason}") from None
    if len(content) > MAX_INCLUDED_BYTES:
        raise ValueError(f"{quoted(str(path))} is longer than {MAX_INCLUDED_BYTES} bytes")
    return text.removesuffix("\n").removesuffix("\r")
