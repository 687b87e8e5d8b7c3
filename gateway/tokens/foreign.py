"""Access tokens of other issuers: chosen by `iss`, then by `kid`, and believed by the same checks.

An issuer whose keys were never heard of cannot be judged: that is no "no", it is unavailable.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.identity.principal import Principal
from gateway.tokens import claims, jws
from gateway.tokens.access import AccessToken, Verifier, check
from gateway.tokens.algorithms import UnfitKey, VerifyingKey, from_jwk
from gateway.tokens.jws import BadToken, Compact, UnknownKey

IssuerKeys = Mapping[str, VerifyingKey]

# RFC 9068 §2.1, and what issuers that know it not put there. Media types ignore case.
_ACCESS_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", "application/jwt"})
# What tells an ID token (OIDC Core §2 and §3.3.2.11) or a logout token from an access token where
# the header does not.
_MARKS_OF_OTHER_KINDS = ("nonce", "at_hash", "c_hash", "events")
# Keycloak writes the kind into the claim `typ`, Cognito into `token_use`.
_KIND_CLAIMS = ("typ", "token_use")
_ACCESS_KINDS = frozenset({"bearer", "access", "access_token"})


class KeysUnavailable(Exception):
    """The issuer's keys could not be had yet; says nothing about the token."""


class BadKeySet(Exception):
    """The document holds no key that could verify anything."""


class KeySource(Protocol):
    """Knows the keys of an issuer."""

    def keys(self) -> IssuerKeys | None:
        """Return the keys as last heard of, None when never."""

    def missed(self) -> None:
        """Hear that a token named a key which is not among them. Never blocks."""


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys that do not change while the gateway runs, such as those from a file."""

    known: IssuerKeys

    def keys(self) -> IssuerKeys:
        return self.known

    def missed(self) -> None:
        """Nobody could be asked."""


@dataclass(frozen=True, slots=True)
class ForeignIssuer:
    """An issuer and how far it is trusted.

    Its subjects are taken as they are, so it is trusted to name our users, unless
    *subject_prefix* keeps its names apart. Its e-mail addresses count where it says that they are
    verified, or always with *trust_email*.
    """

    issuer: str
    audience: str
    source: KeySource
    subject_prefix: str = ""
    trust_email: bool = False


@dataclass(frozen=True, slots=True)
class AnyIssuer:
    """Verifies our own tokens and those of every accepted issuer; used like a `Verifier`."""

    own: Verifier
    foreign: Mapping[str, ForeignIssuer]

    def verify(self, token: str, now: float) -> AccessToken:
        """Return what *token* proves at *now*. Raises BadToken or KeysUnavailable."""
        compact = jws.read(token)
        issuer = self.foreign.get(claims.text(jws.claims(compact), "iss"))
        # Our own name is never another's.
        if issuer is None or issuer.issuer == self.own.issuer:
            return self.own.verify_compact(compact, now)
        access = _proven(issuer, compact)
        self.check(access, now)
        return access

    def check(self, access: AccessToken, now: float) -> None:
        """Check the times alone, for a token verified before."""
        check(access, now, self.own.leeway)


def key_set(document: bytes, accepted: Sequence[str]) -> IssuerKeys:
    """Read a JWKS document (RFC 7517 §5). Keys not for us are passed over. Raises BadKeySet."""
    try:
        content = json.loads(document)
    except (ValueError, RecursionError):
        raise BadKeySet("not JSON") from None
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise BadKeySet("not a JWK set")
    keys: dict[str, VerifyingKey] = {}
    ambiguous: set[str] = set()
    for jwk in listed:
        key = _usable(jwk, accepted)
        if key is not None and keys.setdefault(key.kid, key) != key:
            ambiguous.add(key.kid)
    # One name must mean one key of one algorithm.
    usable = {kid: key for kid, key in keys.items() if kid not in ambiguous}
    if not usable:
        raise BadKeySet("no key to verify signatures with")
    return usable


def _usable(jwk: object, accepted: Sequence[str]) -> VerifyingKey | None:
    if not isinstance(jwk, dict):
        return None
    try:
        return from_jwk(jwk, accepted)
    except UnfitKey:
        return None


def _proven(issuer: ForeignIssuer, compact: Compact) -> AccessToken:
    kind = compact.header.get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower() not in _ACCESS_TYPES:
        raise BadToken("not an access token")
    jws.verify(compact, _key(issuer, compact.kid))
    said = jws.claims(compact)
    claims.must_be_from(said, issuer.issuer)
    claims.must_be_for(said, issuer.audience)
    _must_be_an_access_token(said)
    return AccessToken(
        principal=_principal(issuer, said),
        session_id="",
        generation=0,
        issued_at=claims.instant(said, "iat"),
        expires_at=claims.instant(said, "exp"),
        token_id=claims.text(said, "jti") if "jti" in said else "",
        issuer=issuer.issuer,
        audience=issuer.audience,
        not_before=claims.instant(said, "nbf") if "nbf" in said else 0.0,
    )


def _key(issuer: ForeignIssuer, kid: str) -> VerifyingKey:
    keys = issuer.source.keys()
    if keys is None:
        raise KeysUnavailable(f"no keys of {issuer.issuer} yet")
    key = keys.get(kid)
    if key is None:
        issuer.source.missed()
        raise UnknownKey(f"signed by no known key of {issuer.issuer}")
    return key


def _must_be_an_access_token(said: Mapping[str, Any]) -> None:
    """Refuse the other kinds that an issuer signs with the same keys (J3, RFC 8725 §3.12)."""
    if any(mark in said for mark in _MARKS_OF_OTHER_KINDS):
        raise BadToken("an ID or logout token")
    for name in _KIND_CLAIMS:
        if name in said and claims.text(said, name).lower() not in _ACCESS_KINDS:
            raise BadToken(f"not an access token, says its claim {name}")


def _principal(issuer: ForeignIssuer, said: Mapping[str, Any]) -> Principal:
    """Read who it is; what is optional and of an unexpected type is left out, not guessed at."""
    name, email, groups = said.get("name"), said.get("email"), said.get("groups")
    verified = issuer.trust_email or said.get("email_verified") is True
    listed = isinstance(groups, list) and all(isinstance(group, str) for group in groups)
    return Principal(
        subject=issuer.subject_prefix + claims.text(said, "sub"),
        name=name if isinstance(name, str) else "",
        email=email if isinstance(email, str) and verified else "",
        groups=tuple(groups) if isinstance(groups, list) and listed else (),
        claims=claims.beyond_standard(said),
        provider=issuer.issuer,
    )
