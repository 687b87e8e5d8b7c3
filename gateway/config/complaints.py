"""From pydantic's errors to problems with a place, the key as written, and what would be right.

What is wrong is left out and the rest is checked again, so that one reading finds everything.
"""

import difflib
from collections.abc import Mapping as ReadOnly
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import Mapping, Node, Scalar
from gateway.config.document import Sequence as Items
from gateway.config.known_keys import IMPLIED, Path, unknown_key
from gateway.config.model import File
from gateway.config.problem import Place, Problem, problem_at
from gateway.config.units import quoted


@dataclass(frozen=True, slots=True)
class Checked:
    """What could be read, what is wrong, and which paths are therefore missing from `file`."""

    file: File
    problems: list[Problem]
    left_out: frozenset[Path]


class _Reading:
    """One document on its way through validation, rounds and all."""

    def __init__(self, root: Mapping, broken: frozenset[Path]) -> None:
        self.root = root
        self.left_out = broken
        self.problems: list[Problem] = []
        self._told: set[Path] = set()  # also keys that a misspelled one was taken for
        # The numbers that the items of a list have in the file, once some were left out.
        self._kept: dict[Path, list[int]] = {}

    def data(self, node: Node, path: Path = ()) -> object:
        """Return the document without what is known to be wrong."""
        match node:
            case Mapping():
                return {
                    name: self.data(entry.node, (*path, name))
                    for name, entry in node.entries.items()
                    if (*path, name) not in self.left_out
                }
            case Items():
                every = range(len(node.items))
                kept = [at for at in every if (*path, at) not in self.left_out]
                self._kept[path] = kept
                return [self.data(node.items[at], (*path, at)) for at in kept]
            case Scalar():
                return node.value

    def complain(self, details: Sequence[ErrorDetails]) -> None:
        """Note one round of errors, and leave out what they are about."""
        located = [(detail, *self.locate(detail["loc"])) for detail in details]
        wrong = self.left_out | {(*written, *missing) for _, written, missing in located}
        for detail, path, _ in located:
            if detail["type"] == "extra_forbidden":
                message, meant = unknown_key(path)
                self._told.add((*path[:-1], meant))
                self._note(path, message, of_key=True)
        for detail, written, missing in located:
            path = (*written, *missing)
            if detail["type"] != "extra_forbidden" and not self._follows(path, wrong - {path}):
                self._note(path, _message(detail))
                self._told.add(path)  # one complaint for each key is enough
        self.left_out |= {written for _, written, _ in located}

    def _follows(self, path: Path, wrong: frozenset[Path]) -> bool:
        """Whether what is wrong at or below *path* explains that *path* is wrong as well."""
        if path in self._told or path in self.left_out:
            return True
        return any(known[: len(path)] == path for known in wrong)

    def _note(self, path: Path, message: str, *, of_key: bool = False) -> None:
        place = place_of(self.root, path, of_key=of_key)
        self.problems.append(problem_at(place, spelled(path), message))

    def locate(self, loc: tuple[int | str, ...]) -> tuple[Path, Path]:
        """Split where pydantic stands into the path that was written and a key that was not."""
        written: Path = ()
        node: Node = self.root
        for at, part in enumerate(loc):
            if isinstance(node, Mapping) and self._is_there(node, written, part):
                node = node.entries[str(part)].node
                written = (*written, part)
            elif isinstance(node, Items) and isinstance(part, int):
                number = self._kept[written][part]
                node = node.items[number]
                written = (*written, number)
            elif isinstance(node, Mapping) and at == len(loc) - 1 and _is_key(part):
                return written, (part,)
            # else a part that a short form implies
        return written, ()

    def _is_there(self, node: Mapping, path: Path, part: str | int) -> bool:
        return part in node.entries and (*path, part) not in self.left_out


def checked(root: Mapping, broken: frozenset[Path] = frozenset()) -> Checked:
    """Validate the document; *broken* paths were complained about before."""
    reading = _Reading(root, broken)
    while True:
        try:
            file = File.model_validate(reading.data(root))
        except ValidationError as error:
            before = len(reading.left_out)
            reading.complain(error.errors(include_url=False))
            if len(reading.left_out) == before:
                raise  # our mistake: nothing more can be left out
        else:
            return Checked(file, reading.problems, reading.left_out)


def node_at(root: Node, path: Path) -> Node | None:
    node: Node | None = root
    for part in path:
        match node:
            case Mapping() if part in node.entries:
                node = node.entries[str(part)].node
            case Items() if isinstance(part, int) and part < len(node.items):
                node = node.items[part]
            case _:
                return None
    return node


def place_of(root: Mapping, path: Path, *, of_key: bool = False) -> Place:
    """Return where *path* was written, or its nearest parent."""
    for length in range(len(path), 0, -1):
        node = node_at(root, path[:length])
        if node is None:
            continue
        parent = node_at(root, path[: length - 1])
        if isinstance(parent, Mapping) and (of_key or isinstance(node, (Mapping, Items))):
            return parent.entries[str(path[length - 1])].place
        return node.place
    return root.place


def spelled(path: Path) -> str:
    """Write a path as users do: routes[2].access.groups."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _is_key(part: str | int) -> bool:
    return isinstance(part, str) and part not in IMPLIED


def _message(detail: ErrorDetails) -> str:
    context: ReadOnly[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return _no_choice(str(context["expected"]), detail["input"])
        case kind:
            return _PLAIN_MESSAGES.get(kind, detail["msg"])


_PLAIN_MESSAGES = {
    "missing": "is required",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
}


def _no_choice(expected: str, given: object) -> str:
    choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
    wanted = f"must be {', '.join(choices[:-1])} or {choices[-1]}"
    if not isinstance(given, str):
        return wanted
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(given.lower(), folded, n=1)
    hint = f"; did you mean {folded[near[0]]}?" if near else ""
    return f"{wanted}, not {quoted(given)}{hint}"
