"""Counts the access tokens that proved nothing, by a few fixed words."""

from collections.abc import Callable

from gateway.tokens.access import AccessToken, BadToken, ExpiredToken, UnknownKey

Verify = Callable[[str, float], AccessToken]


def counting(verify: Verify, rejected: Callable[[str], None]) -> Verify:
    """Return *verify*, telling *rejected* why it refused. An expired token is the usual case."""

    def verify_and_count(token: str, now: float) -> AccessToken:
        try:
            return verify(token, now)
        except ExpiredToken:
            rejected("expired")
            raise
        except UnknownKey:
            rejected("unknown-key")
            raise
        except BadToken:
            rejected("invalid")
            raise

    return verify_and_count
