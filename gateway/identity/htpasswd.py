"""Users from an htpasswd file, as `htpasswd -B` writes it: names and hashes, no groups.

The fast hashes of older files (MD5, SHA-1, crypt, plain text) are refused: a copy of such a file is
a list of passwords.
"""

from gateway.identity.password_hashes import problem
from gateway.identity.principal import Principal
from gateway.identity.usernames import UnfitUsername, canonical
from gateway.identity.users import User
from gateway.identity.watched_file import BadText, Problem


def parse(text: str) -> dict[str, User]:
    """Read the lines of an htpasswd file. Raises BadText with every problem."""
    users: dict[str, User] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        try:
            user = _user(entry)
        except ValueError as bad:
            problems.append(Problem(number, 1, str(bad)))
            continue
        name = user.principal.subject
        if name in lines:
            problems.append(Problem(number, 1, f"{name!r} is already on line {lines[name]}"))
        users[name] = user
        lines[name] = number
    if problems:
        raise BadText(*problems)
    return users


def _user(entry: str) -> User:
    name, colon, password_hash = entry.partition(":")
    if not colon:
        raise ValueError("expected name:hash")
    try:
        principal = Principal(subject=canonical(name))
    except UnfitUsername as unfit:
        raise ValueError(f"user name {name!r}: {unfit}") from unfit
    if (wrong := problem(password_hash)) is not None:
        raise ValueError(f"{name!r}: {wrong}; `htpasswd -B` writes bcrypt")
    return User(principal, password_hash)
