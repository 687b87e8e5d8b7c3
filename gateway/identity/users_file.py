"""The YAML users file: name, password hash, e-mail, groups, claims, disabled.

    users:
      alice: {password: "$argon2id$…", email: alice@example.com, name: Alice, groups: [admins]}

Every problem is found, each with its line and column; none of them lets half a file count.
"""

import re
from collections.abc import Mapping

import yaml

from gateway.identity.password_hashes import problem
from gateway.identity.principal import Principal
from gateway.identity.usernames import UnfitUsername, canonical
from gateway.identity.users import User
from gateway.identity.watched_file import BadText, Problem
from gateway.identity.yaml_nodes import Reader

_KEYS = ("password", "email", "name", "groups", "claims", "disabled")


def parse(text: str) -> Mapping[str, User]:
    """Read a users file. Raises BadText with every problem."""
    reader = Reader()
    users: dict[str, User] = {}
    for key, node in _entries(text, reader):
        name = _name(key, reader)
        user = _user(name, node, reader)
        if name in users:
            reader.problem(key, f"the user {name!r} is in this file twice")
        users[name] = user
    if reader.problems:
        raise BadText(*sorted(reader.problems, key=lambda p: (p.line, p.column)))
    return users


def _entries(text: str, reader: Reader) -> list[tuple[yaml.Node, yaml.Node]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as bad:
        mark = bad.problem_mark or bad.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise BadText(Problem(line, column, bad.problem or "not YAML")) from bad
    except yaml.reader.ReaderError as bad:
        before = text[: bad.position]
        place = before.count("\n") + 1, bad.position - before.rfind("\n")
        raise BadText(Problem(*place, "YAML does not allow this control character")) from bad
    except (yaml.YAMLError, RecursionError) as bad:
        raise BadText(Problem(0, 0, f"not YAML that we can read: {bad}")) from bad
    if root is None:
        raise BadText(Problem(1, 1, "empty; expected `users:`"))
    top = reader.mapping(root, "the file", ("users",))
    if "users" not in top:
        reader.problem(root, "`users:` is missing")
        return []
    return reader.entries(top["users"], "users")


def _name(key: yaml.Node, reader: Reader) -> str:
    written = reader.key(key, "a user name")
    try:
        return canonical(written)
    except UnfitUsername as unfit:
        reader.problem(key, f"user name {written!r}: {unfit}")
        return written


def _user(name: str, node: yaml.Node, reader: Reader) -> User:
    fields = reader.mapping(node, f"user {name!r}", _KEYS)
    password = ""
    if "password" in fields:
        password = reader.text(fields["password"], "password")
        if re.fullmatch(r"\$argon2id?\$v=\d+\$m=\d+", password):
            reader.problem(fields["password"], "in {…} a hash needs quotes, for its commas")
        elif (wrong := problem(password)) is not None:
            reader.problem(fields["password"], f"{wrong}; `gateway users hash` makes one")
    elif isinstance(node, yaml.MappingNode):
        reader.problem(node, f"user {name!r} has no `password:`")
    principal = Principal(
        subject=name,
        name=reader.text(fields["name"], "name") if "name" in fields else "",
        email=reader.text(fields["email"], "email") if "email" in fields else "",
        groups=reader.groups(fields["groups"]) if "groups" in fields else (),
        claims=reader.claims(fields["claims"]) if "claims" in fields else {},
    )
    disabled = "disabled" in fields and reader.flag(fields["disabled"], "disabled")
    return User(principal, password, disabled)
