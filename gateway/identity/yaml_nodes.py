"""Reads composed YAML by hand, so that every complaint knows its line and column."""

import difflib
import math
from collections.abc import Sequence

import yaml

from gateway.identity.watched_file import Problem

_TEXT = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"
_MAP = "tag:yaml.org,2002:map"
_LIST = "tag:yaml.org,2002:seq"
_DEEPEST = 8
_MOST_CLAIMS = 1000


class Reader:
    """Collects problems while it reads; what could not be read comes back empty."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._claims_left = 0
        self._constructor = yaml.SafeLoader("")

    def problem(self, node: yaml.Node, message: str) -> None:
        """Remember what is wrong with this node."""
        mark = node.start_mark
        self.problems.append(Problem(mark.line + 1, mark.column + 1, message))

    def entries(self, node: yaml.Node, what: str) -> list[tuple[yaml.Node, yaml.Node]]:
        """Return a map's keys and values, doubles included."""
        if isinstance(node, yaml.MappingNode):
            return list(node.value)
        if node.tag != _NULL:
            self.problem(node, f"{what} must be a map")
        return []

    def mapping(self, node: yaml.Node, what: str, keys: Sequence[str]) -> dict[str, yaml.Node]:
        """Return the values by key; unknown and repeated keys are problems."""
        found: dict[str, yaml.Node] = {}
        if node.tag == _NULL:
            self.problem(node, f"{what} must be a map")
        for key, value in self.entries(node, what):
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if "$" in name:  # not shown: it is a part of a password hash
                self.problem(key, "unknown key; in {…} a hash needs quotes, for its commas")
            elif name not in keys:
                near = difflib.get_close_matches(name, keys, n=1)
                meant = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(keys)}"
                self.problem(key, f"unknown key {name!r}{meant}")
            elif name in found:
                self.problem(key, f"{name!r} is here twice")
            found[name] = value
        return found

    def key(self, node: yaml.Node, what: str) -> str:
        """Return a key as it is written, whatever YAML sees in it (`on`, `0123`, a date)."""
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.problem(node, f"{what} must be text")
        return ""

    def text(self, node: yaml.Node, what: str) -> str:
        """Return one line of text. `123` is taken as it is written."""
        if isinstance(node, yaml.ScalarNode) and node.tag == _NULL:
            return ""
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _TEXT:
            self.problem(node, f"{what} must be text; put it in quotes")
            return ""
        text: str = node.value
        # These end up in header lines.
        if not text.isprintable():
            self.problem(node, f"{what} contains control characters or line breaks")
        return text

    def flag(self, node: yaml.Node, what: str) -> bool:
        """Return true or false."""
        if node.tag != _BOOL:
            self.problem(node, f"{what} must be true or false")
            return True
        return bool(self._constructor.construct_object(node))

    def groups(self, node: yaml.Node) -> tuple[str, ...]:
        """Return a list of group names."""
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, "groups must be a list, as in [admins, staff]")
            return ()
        names: list[str] = []
        for item in node.value:
            name = self.text(item, "a group name").strip()
            # The list reaches the app joined by commas.
            if not name or "," in name:
                self.problem(item, "a group name must not be empty or contain a comma")
            names.append(name)
        return tuple(dict.fromkeys(names))

    def claims(self, node: yaml.Node) -> dict[str, object]:
        """Return a map of what JSON can say."""
        self._claims_left = _MOST_CLAIMS
        value = self._plain(node, _DEEPEST)
        if self._claims_left < 0:
            self.problem(node, f"more than {_MOST_CLAIMS} claims and values")
        if isinstance(value, dict):
            return value
        self.problem(node, "claims must be a map")
        return {}

    def _plain(self, node: yaml.Node, deeper: int) -> object:
        if deeper == 0:  # also what stops a node that contains itself
            self.problem(node, f"claims are nested more than {_DEEPEST} deep")
            return None
        self._claims_left -= 1
        if self._claims_left < 0:  # aliases of aliases grow without end
            return None
        if node.tag == _MAP and isinstance(node, yaml.MappingNode):
            return {
                self.key(k, "a claim's name"): self._plain(v, deeper - 1) for k, v in node.value
            }
        if node.tag == _LIST and isinstance(node, yaml.SequenceNode):
            return [self._plain(item, deeper - 1) for item in node.value]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> object:
        value: object = None
        if node.tag not in (*_TEXT, _BOOL, _NULL):
            self.problem(node, "a claim must be text, a number, true, false or null; quote a date")
            return value
        try:
            value = self._constructor.construct_object(node)
        except (ValueError, yaml.YAMLError) as bad:
            self.problem(node, str(bad))
        if isinstance(value, float) and not math.isfinite(value):
            self.problem(node, "a claim must be a finite number")
        return value
