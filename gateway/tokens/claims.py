"""What a token says about a person, written and read by the same rules.

A claim of the wrong type is never guessed at: what must be there and is not, proves nothing.
"""

from collections.abc import Mapping
from typing import Any

from gateway.identity.principal import Principal
from gateway.tokens.jws import BadToken

# Names that only the gateway may fill; claims of a login provider never override them.
STANDARD = frozenset(
    {
        "iss",
        "aud",
        "sub",
        "sid",
        "jti",
        "gen",
        "iat",
        "nbf",
        "exp",
        "name",
        "email",
        "groups",
    }
)


def of_principal(principal: Principal) -> dict[str, object]:
    """Return the claims that describe *principal*; empty ones are left out."""
    person = {
        "sub": principal.subject,
        "name": principal.name,
        "email": principal.email,
        "groups": list(principal.groups),
    }
    said = {name: value for name, value in person.items() if value}
    return {**beyond_standard(principal.claims), **said}


def to_principal(claims: Mapping[str, Any]) -> Principal:
    """Read back what `of_principal` wrote. Raises BadToken."""
    return Principal(
        subject=text(claims, "sub"),
        name=text(claims, "name") if "name" in claims else "",
        email=text(claims, "email") if "email" in claims else "",
        groups=texts(claims, "groups") if "groups" in claims else (),
        claims=beyond_standard(claims),
    )


def beyond_standard(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if name not in STANDARD}


def text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise BadToken(f"{name} is missing or no text")
    return value


def texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadToken(f"{name} is no list of texts")
    return tuple(value)


def count(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadToken(f"{name} is missing or no count")
    return value


def instant(claims: Mapping[str, Any], name: str) -> float:
    """Read a NumericDate (RFC 7519 §2); that it is finite, `jws` has seen to."""
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadToken(f"{name} is missing or no time")
    return float(value)


def must_be_from(claims: Mapping[str, Any], issuer: str) -> None:
    """Compare the whole issuer, never a part of it (CVE-2024-53861)."""
    if claims.get("iss") != issuer:
        raise BadToken("of another issuer")


def must_be_for(claims: Mapping[str, Any], audience: str) -> None:
    """One audience or a list of them that names us exactly (RFC 7519 §4.1.3)."""
    named = claims.get("aud")
    if named != audience and not (isinstance(named, list) and audience in named):
        raise BadToken("for another audience")
