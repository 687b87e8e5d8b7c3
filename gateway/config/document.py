"""YAML text as a tree of nodes that remember their place; every scalar stays text until checked.

Reading cannot be made to cost much: depth and the number of nodes after following aliases are
bounded, and the loop over events uses no recursion (CWE-776, "billion laughs").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from gateway.config.problem import Place, Problem, problem_at

MAX_DEPTH = 32
MAX_NODES = 20_000
# YAML 1.2 core schema. YAML 1.1 would read `off` as false and 12:30 as a number.
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_FILE_TAG = "!file"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `plain` means written without quotes, so that `null` means nothing."""

    text: str
    place: Place
    plain: bool = False
    from_file: bool = False
    broken: bool = False  # already complained about
    size: int = 1

    @property
    def value(self) -> str | None:
        return None if self.plain and self.text in _NULLS else self.text


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple["Node", ...]
    place: Place
    size: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping, with the key's own place."""

    place: Place
    node: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    entries: dict[str, Entry]
    place: Place
    size: int = 1


Node: TypeAlias = Scalar | Sequence | Mapping


class Unreadable(Exception):
    """The text is no YAML document that could be looked at any further."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def parse(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Return the document (None when empty) and what is wrong with it. Raises Unreadable."""
    hidden = _Hidden(text)
    composer = _Composer(file, hidden)
    try:
        for event in _events(hidden.text):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(file, mark)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(problem_at(place, "", f"not valid YAML: {message}")) from None
    except yaml.reader.ReaderError as error:
        raise Unreadable(
            problem_at(_offset(text, error.position, file), "", _unprintable)
        ) from None
    except (ValueError, RecursionError, OverflowError):
        # PyYAML lets chr() and int() of hostile escapes and directives fail as they are.
        message = "not valid YAML: an escape sequence or directive is out of range"
        raise Unreadable(problem_at(composer.last, "", message)) from None
    return composer.root, composer.problems


_unprintable = "not valid YAML: control characters are not allowed"


class _Hidden:
    """Text in which the braces of ${NAME} mean nothing to YAML, character for character.

    In a flow mapping a brace would end the value, but `[{secret: ${TOKEN_SECRET}}]` is how people
    write it. The signs inside a reference become private characters until the value is read.
    """

    _SIGNS = "{}[],:#"
    _REFERENCE = re.compile(r"\$\{[^{}\n'\"]*\}")
    _HIDE = str.maketrans({sign: chr(0xF0000 + at) for at, sign in enumerate(_SIGNS)})
    _SHOW = str.maketrans({chr(0xF0000 + at): sign for at, sign in enumerate(_SIGNS)})

    def __init__(self, text: str) -> None:
        self._hides = text.translate(self._SHOW) == text
        self.text = self._REFERENCE.sub(self._hide, text) if self._hides else text

    def shown(self, text: str) -> str:
        return text.translate(self._SHOW) if self._hides else text

    def _hide(self, found: re.Match[str]) -> str:
        return found.group().translate(self._HIDE)


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=yaml.SafeLoader)


def _place(file: str, mark: Any) -> Place:
    if mark is None:
        return Place(file)
    return Place(file, mark.line + 1, mark.column + 1)


def _offset(text: str, position: int, file: str) -> Place:
    before = text[:position]
    return Place(file, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


@dataclass(slots=True)
class _Frame:
    """A sequence or mapping that is still being read."""

    place: Place
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    merged: list[Node] = field(default_factory=list)
    key: Scalar | None = None
    size: int = 1


class _Composer:
    """Builds the tree from parser events, keeping its own stack."""

    def __init__(self, file: str, hidden: "_Hidden") -> None:
        self._hidden = hidden
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.last = Place(file, 1, 1)
        self._file = file
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node | None] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        self.last = place = _place(self._file, event.start_mark)
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise Unreadable(problem_at(place, "", "only one YAML document is expected"))
            case yaml.ScalarEvent():
                self._add(self._scalar(event, place), event.anchor)
            case yaml.AliasEvent():
                self._add(self._aliased(event.anchor or "", place), None)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._open(event, place)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close()
            case _:
                pass  # stream and document ends say nothing

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar:
        tag, text = event.tag, self._hidden.shown(event.value)
        if tag is not None and tag not in _TEXT_TAGS and tag != _FILE_TAG:
            known = "the only tag is !file, before the path of a file whose content is the value"
            self.problems.append(problem_at(place, "", f"unknown tag {tag}; {known}"))
            return Scalar("", place, plain=True, broken=True)
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise Unreadable(problem_at(place, "", "not valid YAML: half of a surrogate pair"))
        plain = tag is None and event.style is None
        return Scalar(text, place, plain=plain, from_file=tag == _FILE_TAG)

    def _aliased(self, anchor: str, place: Place) -> Node:
        if anchor not in self._anchors:
            raise Unreadable(problem_at(place, "", f"alias *{anchor} names no anchor before it"))
        node = self._anchors[anchor]
        if node is None:
            raise Unreadable(problem_at(place, "", f"alias *{anchor} contains itself"))
        return node

    def _open(self, event: yaml.CollectionStartEvent, place: Place) -> None:
        if len(self._stack) >= MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            raise Unreadable(problem_at(place, "", message))
        if event.tag is not None:
            self.problems.append(problem_at(place, "", f"tag {event.tag} is not allowed here"))
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Frame(place, event.anchor, is_mapping))

    def _close(self) -> None:
        frame = self._stack.pop()
        node: Node
        if frame.is_mapping:
            self._merge(frame)
            node = Mapping(frame.entries, frame.place, frame.size)
        else:
            node = Sequence(tuple(frame.items), frame.place, frame.size)
        self._add(node, frame.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        frame.size += node.size
        if frame.size > MAX_NODES:
            message = f"more than {MAX_NODES} values, counting those that aliases repeat"
            raise Unreadable(problem_at(self.last, "", message))
        if not frame.is_mapping:
            frame.items.append(node)
        elif frame.key is None:
            frame.key = self._key(node)
        else:
            self._enter(frame, frame.key, node)
            frame.key = None

    def _key(self, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            raise Unreadable(problem_at(node.place, "", "a key must be plain text"))
        return node

    def _enter(self, frame: _Frame, key: Scalar, node: Node) -> None:
        if key.text == "<<" and key.plain:
            frame.merged.append(node)
        elif key.text in frame.entries:
            first = frame.entries[key.text].place
            message = f"the key was given before, in line {first.line}; keep one of them"
            self.problems.append(problem_at(key.place, key.text, message))
        else:
            frame.entries[key.text] = Entry(key.place, node)

    def _merge(self, frame: _Frame) -> None:
        """Apply YAML merge keys: what is written beside `<<` wins over what it brings in."""
        for brought in frame.merged:
            for source in brought.items if isinstance(brought, Sequence) else (brought,):
                if not isinstance(source, Mapping):
                    message = "<< needs a mapping, usually an alias such as *defaults"
                    self.problems.append(problem_at(source.place, "<<", message))
                    continue
                for key, entry in source.entries.items():
                    frame.entries.setdefault(key, entry)
