"""Who a request comes from: read from its cookies or its bearer token, and remembered.

What was proven once is not proven again for as long as the very same bytes come and nothing that
it rests on has changed: time, an ended session and keys that are gone each count at once.
"""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.decision import Authenticated, Expired, Presented
from gateway.headers.cookies import NOTHING_FOUND, OurCookies
from gateway.headers.identity import IdentityHeaders
from gateway.identity.principal import Principal
from gateway.recent import Recent
from gateway.request import Request
from gateway.tokens.access import AccessToken, BadToken, ExpiredToken

Verify = Callable[[str, float], AccessToken]
Denies = Callable[[str, str, float, float], bool]


class Asserts(Protocol):
    """Makes the signed assertion about a principal, and says until when it is good."""

    def sign(
        self, principal: Principal, now: float, expires_by: float | None = None
    ) -> tuple[str, float]: ...


_EXPIRED: Final = Expired.EXPIRED
_BEARER: Final = b"bearer "
# A token issued further ahead than this says that a clock is wrong, here or elsewhere.
_FUTURE: Final = 60.0
# Longer headers are read anew each time, so that what is remembered stays small.
_REMEMBERED_BYTES: Final = 8192
# What is remembered of a header takes up to six times its size.
_BYTES_FOR_EACH: Final = 1024


class Authentication:
    """Proves, and forgets what it had proven whenever keys change."""

    def __init__(
        self,
        *,
        cookies: OurCookies,
        identity: IdentityHeaders,
        verify: Verify,
        denies: Denies,
        assertions: Asserts | None,
        remembered: int,
    ) -> None:
        self._cookies = cookies
        self._identity = identity
        self._verify = verify
        self._denies = denies
        self._assertions = assertions
        self._recent: Recent[bytes, Presented] = Recent(
            remembered, room=remembered * _BYTES_FOR_EACH, weigh=len
        )

    def forget(self) -> None:
        """Prove everything again: what keys that are gone had proven is proven no longer."""
        self._recent.clear()

    def present(self, cookie: bytes) -> Presented:
        """Read a Cookie header, or remember how it read the last time."""
        try:
            return self._recent[cookie]
        except KeyError:
            found = self._cookies.find(cookie.decode("latin-1"))
            presented = Presented(found, found.others.encode("latin-1"))
            self._keep(cookie, presented)
            return presented

    def by_cookie(self, presented: Presented, now: float) -> Authenticated | None:
        """Who the access token among *presented* proves; None if it proves nobody, or no longer."""
        authenticated = presented.authenticated or self._prove(presented, now)
        if authenticated is None or self._is_over(authenticated, now):
            return None
        if now >= authenticated.rendered_until:
            self._render(authenticated, now)
        return authenticated

    def by_bearer(self, request: Request, now: float) -> Authenticated | Expired | None:
        """RFC 6750 §2.1. A bearer token that is not ours is the app's business."""
        value = request.noted["authorization"]
        if value[: len(_BEARER)].lower() != _BEARER:
            return None
        key = b"\0bearer " + value
        try:
            presented = self._recent[key]
        except KeyError:
            token = value[len(_BEARER) :].strip().decode("latin-1")
            authenticated = self.by_token(token, now)
            if authenticated is None or authenticated is _EXPIRED:
                return authenticated
            presented = Presented(NOTHING_FOUND, b"", authenticated)
            self._keep(key, presented)
        authenticated = presented.authenticated
        if authenticated is None or self._is_over(authenticated, now):
            return _EXPIRED if presented.has_expired(now) else None
        if now >= authenticated.rendered_until:
            self._render(authenticated, now)
        return authenticated

    def by_token(self, token: str, now: float) -> Authenticated | Expired | None:
        """Verify an access token. Raises KeysUnavailable when its issuer's keys cannot be had."""
        try:
            access = self._verify(token, now)
        except ExpiredToken:
            return _EXPIRED
        except BadToken:
            return None
        authenticated = Authenticated(access, b"")
        self._render(authenticated, now)
        return authenticated

    def is_denied(self, token: AccessToken, now: float) -> bool:
        """Whether the end of its session was announced, however good *token* may still be."""
        return self._denies(token.session_id, token.principal.subject, token.issued_at, now)

    def _keep(self, shown: bytes, presented: Presented) -> None:
        if len(shown) <= _REMEMBERED_BYTES:
            self._recent.keep(shown, presented)

    def _prove(self, presented: Presented, now: float) -> Authenticated | None:
        if presented.found.access is None:
            return None
        authenticated = self.by_token(presented.found.access, now)
        if authenticated is _EXPIRED:
            presented.expired = True
            return None
        presented.authenticated = authenticated
        return authenticated

    def _render(self, authenticated: Authenticated, now: float) -> None:
        token = authenticated.token
        assertion = ""
        if self._assertions is not None:
            assertion, until = self._assertions.sign(token.principal, now, token.expires_at)
            # Renewed at half of its life, so that the app never gets one about to expire.
            authenticated.rendered_until = now + (until - now) / 2
        authenticated.identity_lines = self._identity.render(token.principal, assertion)

    def _is_over(self, authenticated: Authenticated, now: float) -> bool:
        token = authenticated.token
        return (
            now >= token.expires_at
            or now < token.issued_at - _FUTURE
            or now < token.not_before - _FUTURE
            or self._denies(token.session_id, token.principal.subject, token.issued_at, now)
        )
