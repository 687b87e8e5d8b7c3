"""What is laid over the file: `GATEWAY_<KEY>__<SUBKEY>` variables, then overrides in code."""

import re
from collections.abc import Iterable
from collections.abc import Mapping as ReadOnly
from dataclasses import replace

from gateway.config.document import Entry, Mapping, Node, Scalar, Sequence, Unreadable, parse
from gateway.config.problem import Place, Problem, problem_at

PREFIX = "GATEWAY_"
# Kubernetes makes these for a Service called "gateway" (GATEWAY_PORT=tcp://10.0.0.1:8080, …).
_KUBERNETES = re.compile(
    r"GATEWAY_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_NOT_KEYS = frozenset({"GATEWAY_CONFIG"})


def variables(environ: ReadOnly[str, str], used: Iterable[str]) -> dict[str, str]:
    """Return the variables that set keys; those that the file itself refers to do not."""
    ignored = _NOT_KEYS.union(used)
    return {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith(PREFIX) and name not in ignored and not _KUBERNETES.fullmatch(name)
    }


def with_variables(root: Node, variables: ReadOnly[str, str]) -> tuple[Node, list[Problem]]:
    problems: list[Problem] = []
    for name, value in variables.items():
        place = Place(f"environment {name}")
        path = name.removeprefix(PREFIX).lower().split("__")
        try:
            root = _set(root, path, _variable_node(value, place), place)
        except ValueError as error:
            problems.append(problem_at(place, ".".join(path), str(error)))
        except Unreadable as error:
            problems.append(replace(error.problem, file=place.file, line=None, column=None))
    return root, problems


def with_overrides(root: Node, overrides: ReadOnly[str, object]) -> tuple[Node, list[Problem]]:
    """Lay *overrides* over everything; keys may be dotted, values nested."""
    place = Place("command line")
    problems: list[Problem] = []
    for key, value in overrides.items():
        try:
            root = _set(root, key.split("."), _node(value, place), place)
        except ValueError as error:
            problems.append(problem_at(place, key, str(error)))
    return root, problems


def _variable_node(value: str, place: Place) -> Node:
    """Read a variable: lists and mappings in YAML's flow form, everything else as it stands."""
    if not value.lstrip().startswith(("[", "{")):
        return Scalar(value, place, plain=True)
    node, problems = parse(value, place.file)
    if problems:
        raise Unreadable(problems[0])
    return _placed(node, place) if node is not None else Scalar("", place, plain=True)


def _placed(node: Node, place: Place) -> Node:
    match node:
        case Scalar():
            return replace(node, place=place)
        case Sequence():
            return Sequence(tuple(_placed(item, place) for item in node.items), place)
        case Mapping():
            entries = {
                key: Entry(place, _placed(entry.node, place)) for key, entry in node.entries.items()
            }
            return Mapping(entries, place)


def _node(value: object, place: Place) -> Node:
    match value:
        case None:
            return Scalar("", place, plain=True)
        case bool():
            return Scalar(str(value).lower(), place)
        case ReadOnly():
            entries = {str(key): Entry(place, _node(item, place)) for key, item in value.items()}
            return Mapping(entries, place)
        case list() | tuple():
            return Sequence(tuple(_node(item, place) for item in value), place)
        case _:
            return Scalar(str(value), place)


def _set(node: Node | None, path: list[str], value: Node, place: Place) -> Node:
    """Return *node* with *value* at *path*; a mapping is laid over one that is there."""
    if not path:
        return _laid_over(node, value)
    name, rest = path[0], path[1:]
    if node is None or (isinstance(node, Scalar) and node.value is None):
        node = Sequence((), place) if name.isdecimal() else Mapping({}, place)
    match node:
        case Sequence():
            return _set_item(node, name, rest, value, place)
        case Mapping():
            if not name:
                raise ValueError("a key is missing between the underscores")
            old = node.entries.get(name)
            new = Entry(place, _set(old.node if old else None, rest, value, place))
            return replace(node, entries={**node.entries, name: new})
        case Scalar():
            raise ValueError("its parent is a single value in the file; set that one instead")


def _set_item(node: Sequence, name: str, rest: list[str], value: Node, place: Place) -> Sequence:
    """Items are counted from 0; the one after the last may be added."""
    if not re.fullmatch(r"[0-9]{1,4}", name, re.ASCII) or int(name) > len(node.items):
        raise ValueError(
            f"{name} is not the number of an item; they go from 0 to {len(node.items)}"
        )
    at = int(name)
    old = node.items[at] if at < len(node.items) else None
    new = _set(old, rest, value, place)
    return replace(node, items=(*node.items[:at], new, *node.items[at + 1 :]))


def _laid_over(below: Node | None, above: Node) -> Node:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    entries = dict(below.entries)
    for name, entry in above.entries.items():
        old = entries.get(name)
        entries[name] = Entry(entry.place, _laid_over(old.node if old else None, entry.node))
    return replace(below, entries=entries)
