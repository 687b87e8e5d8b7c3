"""The headers that reached the app, as the page shows them: by what they are for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

# In the order of the gateway's presets: forwarded, remote, auth-request.
_PERSON = ("x-forwarded-user", "remote-user", "x-auth-request-user")
_IDENTITY = (
    *_PERSON,
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-groups",
    "remote-",
    "x-auth-request-",
    "x-gateway-",
)
_ROUTE = ("x-forwarded-", "x-real-ip", "x-request-id", "forwarded", "via")


class Kind(Enum):
    IDENTITY = "identity"
    ROUTE = "route"
    COOKIE = "cookie"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Arrival:
    name: str
    value: str
    kind: Kind


def arrivals(headers: Mapping[str, str]) -> list[Arrival]:
    """Every header in its place: who, how it came, cookies, the rest as the browser sent it."""
    every = [Arrival(name, _shown(value), _kind(name.lower())) for name, value in headers.items()]
    order = list(Kind)
    return sorted(every, key=lambda arrival: order.index(arrival.kind))


def person(headers: Mapping[str, str]) -> str:
    """Who the app believes it is serving, empty when nobody said."""
    return next(_people(headers), "")


def _people(headers: Mapping[str, str]) -> Iterator[str]:
    for name in _PERSON:
        if headers.get(name):
            yield _shown(headers[name])


def _kind(name: str) -> Kind:
    if name.startswith(_IDENTITY):
        return Kind.IDENTITY
    if name.startswith(_ROUTE):
        return Kind.ROUTE
    if name == "cookie":
        return Kind.COOKIE
    return Kind.OTHER


def _shown(value: str) -> str:
    """*value* as text that a page can hold, also where its bytes were not UTF-8."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
