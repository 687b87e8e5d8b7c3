"""Who a route lets in: a rule and a principal give a verdict.

Invariant: a rule that nobody wrote down right lets nobody in. An `Allow` that names nothing, an
empty list of them, a claim of a shape we do not know: all refuse.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from gateway.identity.principal import Principal


class Access(Enum):
    """The rules that ask for no particular person."""

    PUBLIC = "public"  # the request is forwarded as nobody; a broken or stale token harms nothing
    OPTIONAL = "optional"  # as the person when there is one, else as nobody
    SIGNED_IN = "signed-in"


@dataclass(frozen=True, slots=True)
class Allow:
    """Certain people: within one kind any value suffices, every kind that is named must hold.

    `users` are canonical user names. They are never compared with e-mail addresses, which a person
    may choose at registration. A claim reads the standard fields of the principal by their
    standard names (`sub`, `name`, `email`, `groups`), anything else among its claims; `a.b` reaches
    into a nested one.
    """

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)


AccessRule = Access | tuple[Allow, ...]  # a tuple: any of them suffices


class Verdict(Enum):
    ALLOW = "allow"
    SIGN_IN = "sign in"  # nobody is known yet; the same request may succeed afterwards
    FORBID = "forbid"


# Reading a member through its class costs more than the whole decision on Python 3.11.
_PUBLIC: Final = Access.PUBLIC
_OPTIONAL: Final = Access.OPTIONAL
_SIGNED_IN: Final = Access.SIGNED_IN
_ALLOW: Final = Verdict.ALLOW
_SIGN_IN: Final = Verdict.SIGN_IN
_FORBID: Final = Verdict.FORBID


def permits(rule: AccessRule, principal: Principal | None) -> Verdict:
    """Decide whether *principal* (None: nobody) may pass."""
    if rule is _PUBLIC or rule is _OPTIONAL:
        return _ALLOW
    if principal is None:
        return _SIGN_IN
    if rule is _SIGNED_IN:
        return _ALLOW
    for allow in rule:
        if _meets(allow, principal):
            return _ALLOW
    return _FORBID


def describe(rule: AccessRule) -> str:
    """The rule in one line, for `gateway explain` and the log."""
    if isinstance(rule, Access):
        return rule.value
    return " or ".join(_describe(allow) for allow in rule) or "nobody"


def _meets(allow: Allow, principal: Principal) -> bool:
    if not (allow.users or allow.groups or allow.claims):
        return False
    if allow.users and principal.subject not in allow.users:
        return False
    if allow.groups and allow.groups.isdisjoint(principal.groups):
        return False
    return all(
        not wanted.isdisjoint(_texts(_claim(principal, name)))
        for name, wanted in allow.claims.items()
    )


def _claim(principal: Principal, name: str) -> object:
    """What *principal* says about *name*, or None.

    The standard names come from the principal's own fields: those were checked (an e-mail address
    is there only when verified), while a provider's raw claim of the same name was not.
    """
    standard = {
        "sub": principal.subject,
        "name": principal.name,
        "email": principal.email,
        "groups": principal.groups,
    }
    if name in standard:
        return standard[name]
    if name in principal.claims:  # also names that hold dots, such as https://example.com/role
        return principal.claims[name]
    value: object = principal.claims
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _texts(value: object) -> Iterator[str]:
    """The values of a claim as rules spell them: one, or each of a list; other shapes are none."""
    for item in value if isinstance(value, list | tuple | set | frozenset) else (value,):
        if isinstance(item, bool):  # before int, which bool is
            yield "true" if item else "false"
        elif isinstance(item, str | int):
            yield str(item)


def _describe(allow: Allow) -> str:
    kinds = [
        f"{kind} {_any_of(values)}"
        for kind, values in (("users", allow.users), ("groups", allow.groups))
        if values
    ]
    kinds += [f"claim {name} = {_any_of(values)}" for name, values in sorted(allow.claims.items())]
    return " and ".join(kinds) or "nobody"


def _any_of(values: frozenset[str]) -> str:
    return "|".join(sorted(values)) or "(no value)"
