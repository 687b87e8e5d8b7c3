"""The signed assertion: tells the app who makes a request, provable with our JWKS.

It can never be used as an access token: its type and its audience are its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.identity.principal import Principal
from gateway.tokens import claims, jws
from gateway.tokens.access import UnfitPrincipal
from gateway.tokens.algorithms import UnfitKey
from gateway.tokens.keys import KeySet

ASSERTION_TYPE = "assertion+jwt"


@dataclass(frozen=True, slots=True)
class AssertionSigner:
    """Makes assertions of *lifetime* seconds for the app that *audience* names."""

    keys: Callable[[], KeySet]
    issuer: str
    audience: str
    lifetime: float = 300.0

    def sign(
        self, principal: Principal, now: float, expires_by: float | None = None
    ) -> tuple[str, float]:
        """Return the assertion and when it expires. Raises UnfitPrincipal, and UnfitKey for HS256.

        It names no session: an app must not be able to end or take over one.
        """
        key = self.keys().signing(now)
        if isinstance(key.private, bytes):
            raise UnfitKey("an app could check an HS256 assertion only if it could also forge one")
        expires_at = now + self.lifetime
        if expires_by is not None:
            expires_at = min(expires_at, expires_by)
        # Whole seconds, since the readers are libraries of every kind.
        expires_at = int(expires_at)
        content = {
            **claims.of_principal(principal),
            "iss": self.issuer,
            "aud": self.audience,
            "iat": int(now),
            "exp": expires_at,
        }
        try:
            return jws.seal(content, key, ASSERTION_TYPE), expires_at
        except jws.Unsayable as error:
            raise UnfitPrincipal(
                f"{principal.subject!r} has a claim that no JSON can say"
            ) from error
