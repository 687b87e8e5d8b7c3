"""Access tokens of our own: signed, and believed only as far as every check below holds.

Time is an argument. PyJWT would compare `exp` with the wall clock, so the times are compared here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.identity.principal import Principal
from gateway.tokens import claims, jws
from gateway.tokens.jws import BadToken, Compact, UnknownKey
from gateway.tokens.keys import KeySet

__all__ = [
    "MAX_LEEWAY",
    "AccessToken",
    "BadToken",
    "ExpiredToken",
    "Signer",
    "TokenTooLarge",
    "UnfitPrincipal",
    "UnknownKey",
    "Verifier",
    "check",
]

# RFC 9068 §2.1. The type is what tells an access token from every other kind that the same keys
# sign (CVE-2024-47616), so it is compared exactly.
ACCESS_TYPE = "at+jwt"
MAX_LEEWAY = 60.0

# Browsers keep a cookie of 4096 bytes, name and attributes included; the rest is for those.
MAX_COOKIE = 4096
COOKIE_FRAME = 256


class UnfitPrincipal(Exception):
    """No access token can say this of a person; the message tells which part of it is wrong."""


class TokenTooLarge(UnfitPrincipal):
    """The token would not fit into a cookie."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified access token proves. Times are seconds since the epoch.

    `session_id` is empty for a token of another issuer: there is no session of ours behind it.
    """

    principal: Principal
    session_id: str
    generation: int
    issued_at: float
    expires_at: float
    token_id: str = ""
    issuer: str = ""
    audience: str = ""
    not_before: float = 0.0


class ExpiredToken(BadToken):
    """Everything about the token is right but its time is over."""

    def __init__(self, token: AccessToken) -> None:
        super().__init__("expired")
        self.token = token


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes access tokens of *lifetime* seconds with the key that signs at that moment."""

    keys: Callable[[], KeySet]
    issuer: str
    audience: str
    lifetime: float

    def sign(
        self,
        principal: Principal,
        session_id: str,
        generation: int,
        now: float,
        expires_by: float | None,
        token_id: str,
    ) -> tuple[str, float]:
        """Return the token and when it expires, never after *expires_by*. Raises UnfitPrincipal."""
        expires_at = now + self.lifetime
        if expires_by is not None:
            expires_at = min(expires_at, expires_by)
        # Whole milliseconds: a sign-out and the next sign-in may fall into the same second, and
        # what revokes the one must not revoke the other.
        expires_at = round(expires_at, 3)
        content = {
            **claims.of_principal(principal),
            "iss": self.issuer,
            "aud": self.audience,
            "sid": session_id,
            "jti": token_id,
            "gen": generation,
            "iat": round(now, 3),
            "exp": expires_at,
        }
        try:
            token = jws.seal(content, self.keys().signing(now), ACCESS_TYPE)
        except jws.Unsayable as error:
            raise UnfitPrincipal(
                f"{principal.subject!r} has a claim that no JSON can say"
            ) from error
        if len(token) > MAX_COOKIE - COOKIE_FRAME:
            raise TokenTooLarge(_too_large(principal, len(token)))
        return token, expires_at


@dataclass(frozen=True, slots=True)
class Verifier:
    """Believes the access tokens that our own keys signed for *audience*."""

    keys: Callable[[], KeySet]
    issuer: str
    audience: str
    leeway: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise ValueError(f"leeway must be between 0 and {MAX_LEEWAY:g} seconds")

    def verify(self, token: str, now: float) -> AccessToken:
        """Return what *token* proves at *now*. Raises BadToken, ExpiredToken being one."""
        return self.verify_compact(jws.read(token), now)

    def verify_compact(self, compact: Compact, now: float) -> AccessToken:
        if compact.header.get("typ") != ACCESS_TYPE:
            raise BadToken("not an access token")
        key = self.keys().verifying(compact.kid)
        if key is None:
            raise UnknownKey("signed by no key of ours")
        jws.verify(compact, key)
        access = self._proven(compact)
        self.check(access, now)
        return access

    def check(self, access: AccessToken, now: float) -> None:
        """Check the times alone, for a token verified before."""
        check(access, now, self.leeway)

    def _proven(self, compact: Compact) -> AccessToken:
        said = jws.claims(compact)
        claims.must_be_from(said, self.issuer)
        claims.must_be_for(said, self.audience)
        return AccessToken(
            principal=claims.to_principal(said),
            session_id=claims.text(said, "sid"),
            generation=claims.count(said, "gen"),
            issued_at=claims.instant(said, "iat"),
            expires_at=claims.instant(said, "exp"),
            token_id=claims.text(said, "jti"),
            issuer=self.issuer,
            audience=self.audience,
        )


def check(access: AccessToken, now: float, leeway: float) -> None:
    """Raise ExpiredToken or BadToken unless *now* is in the token's time.

    Clocks that differ matter for fresh tokens only, so the leeway is not for the expiry.
    """
    if now >= access.expires_at:
        raise ExpiredToken(access)
    if max(access.issued_at, access.not_before) > now + leeway:
        raise BadToken("from the future")


def _too_large(principal: Principal, size: int) -> str:
    groups = sum(len(group.encode()) for group in principal.groups)
    return (
        f"the access token of {principal.subject!r} would have {size} bytes, a cookie holds "
        f"{MAX_COOKIE - COOKIE_FRAME}: it has {len(principal.groups)} groups of {groups} bytes "
        f"and {len(principal.claims)} further claims"
    )
