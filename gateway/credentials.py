"""What a browser holds: an access token and a refresh token, given, renewed and taken away.

The one place where sessions, tokens and the login provider meet. Both cookies travel together, save
that a renewal which changed nothing sends the access cookie alone; and whoever could not be asked,
store or login provider, never costs anybody their session.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from math import ceil
from secrets import token_urlsafe
from typing import Final

from gateway.headers.cookies import OurCookies
from gateway.identity.principal import Principal
from gateway.identity.provider import LoginProvider, ProviderUnavailable
from gateway.sessions.lifecycle import Grant, Lifecycle, Over
from gateway.sessions.refresh_token import BadRefreshToken, Secrets, prove
from gateway.sessions.revocation import DenySet, Revocation
from gateway.sessions.session import Device
from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks
from gateway.tokens.access import MAX_LEEWAY, AccessToken, Signer, UnfitPrincipal

_log = logging.getLogger(__name__)

# Why a session ended whose person fits no token any more: too many groups, as a rule.
UNFIT: Final = "account-unfit"

# Cookies go a little before the tokens in them, so that browsers do not show what just expired.
_COOKIE_MARGIN: Final = 5
# The answer with new cookies must be on its way within `sessions.delivery` (60 s by default).
_PROVIDER_SECONDS: Final = 3.0
_MOST_QUEUED: Final = 1_000
# A sign-out that met a store that is down is tried again for about an hour.
_FIRST_DELAYS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_LATER_DELAY: Final = 30.0
_LATER_TRIES: Final = 120


@dataclass(frozen=True, slots=True)
class Issued:
    """A session that goes on. `set_cookies` are Set-Cookie values; times are unix seconds.

    `access_lifetime` is how many seconds are really left of the access token.
    """

    principal: Principal
    access_token: str = field(repr=False)
    issued_at: float
    expires_at: float
    session_id: str
    generation: int
    session_ends: float
    set_cookies: tuple[str, ...] = field(repr=False)

    @property
    def access_lifetime(self) -> int:
        return max(0, ceil(self.expires_at - self.issued_at))

    @property
    def access_cookie_lifetime(self) -> int:
        """How many seconds browsers keep the access cookie."""
        return _cookie_lifetime(self.issued_at, self.expires_at)


@dataclass(frozen=True, slots=True)
class Ended:
    """The refresh token opens nothing; `clear` only where no replica could ever honour it."""

    clear: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    """`complete` is False where the store could not be asked: the end is queued then."""

    complete: bool


class Credentials:
    """Gives, renews and takes away what a browser holds."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        signer: Signer,
        provider: LoginProvider,
        cookies: OurCookies,
        *,
        secrets: Callable[[], Secrets],
        deny: DenySet,
        tasks: Tasks,
        now: Callable[[], float],
        token_id: Callable[[], str] = lambda: token_urlsafe(12),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lifecycle = lifecycle
        self._signer = signer
        self._provider = provider
        self._cookies = cookies
        self._secrets = secrets
        self._deny = deny
        self._tasks = tasks
        self._now = now
        self._token_id = token_id
        self._sleep = sleep
        self._queued: set[str] = set()

    async def sign_in(
        self,
        principal: Principal,
        device: Device,
        previous_refresh: str | None = None,
        previous_access: AccessToken | None = None,
    ) -> Issued:
        """Begin a session. What the browser held before ends, it may have been planted (S10).

        Raises StoreUnavailable, and UnfitPrincipal for a person whom no access token can describe;
        no session is left behind then.
        """
        grant = await self._lifecycle.start(principal, device, previous_refresh)
        if previous_access and previous_access.session_id:
            await self._lifecycle.end(previous_access.session_id, "replaced")
        try:
            return self._issue(grant, principal)
        except UnfitPrincipal as error:
            await self._end_unfit(grant, error)
            raise

    async def renew(self, refresh_token: str, device: Device) -> Issued | Ended:
        """Give new credentials for a refresh token. Raises StoreUnavailable."""
        outcome = await self._lifecycle.refresh(refresh_token, device)
        match outcome:
            case Over(reason, clear_cookies):
                return Ended(clear_cookies, reason)
            case Grant():
                return await self._renewed(outcome)

    async def sign_out(
        self, refresh_token: str | None, access: AccessToken | None, *, everywhere: bool
    ) -> SignedOut:
        """End the session that the tokens belong to, or all of its user's.

        Never fails: where the store is down, the session is denied here at once and its end is
        queued until the store is back.
        """
        session_ids = self._session_ids(refresh_token, access)
        complete = True
        if everywhere:
            complete = await self._end_everywhere(refresh_token, access)
        for session_id in session_ids:
            complete &= await self._end(session_id)
        return SignedOut(complete)

    async def _renewed(self, grant: Grant) -> Issued | Ended:
        known = grant.session.principal
        try:
            async with asyncio.timeout(_PROVIDER_SECONDS):
                person = await self._provider.current(known)
        except (ProviderUnavailable, TimeoutError):
            return self._issue(grant, known)
        if person is None:
            await self._lifecycle.end(grant.session.id, "account gone or disabled")
            return Ended(clear=True, reason="account-gone")
        try:
            issued = self._issue(grant, person)
        except UnfitPrincipal as error:
            await self._end_unfit(grant, error)
            return Ended(clear=True, reason=UNFIT)
        if person != known:
            await self._remember(grant.session.id, person)
        return issued

    async def _end_unfit(self, grant: Grant, error: UnfitPrincipal) -> None:
        """End the session: no request could ever show who it belongs to."""
        _log.warning("a session ends: %s", error)
        await self._end(grant.session.id, "account fits no token")

    async def _remember(self, session_id: str, person: Principal) -> None:
        """Keep the newer picture; if that fails, the next renewal asks again."""
        with suppress(StoreUnavailable):
            await self._lifecycle.remember(session_id, person)

    def _issue(self, grant: Grant, principal: Principal) -> Issued:
        session = grant.session
        now = grant.now / 1000
        token, expires_at = self._signer.sign(
            principal, session.id, session.head, now, session.ends / 1000, self._token_id()
        )
        # Spans of the store's clock, so that a clock of ours that is off shortens no cookie.
        set_cookies = [self._cookies.set_access(token, _cookie_lifetime(now, expires_at))]
        refresh_age = max(1, grant.refresh_lifetime // 1000)
        if grant.refresh_token is not None:
            set_cookies.append(self._cookies.set_refresh(grant.refresh_token, refresh_age))
        set_cookies += self._cookies.set_session(refresh_age)
        return Issued(
            principal=principal,
            access_token=token,
            issued_at=now,
            expires_at=expires_at,
            session_id=session.id,
            generation=session.head,
            session_ends=session.over_at / 1000,
            set_cookies=tuple(set_cookies),
        )

    def _session_ids(self, refresh_token: str | None, access: AccessToken | None) -> set[str]:
        found = {access.session_id} if access and access.session_id else set()
        if refresh_token:
            with suppress(BadRefreshToken):  # it proves nothing, so there is nothing to end
                found.add(prove(refresh_token, self._secrets()).session_id)
        return found

    async def _end_everywhere(self, refresh_token: str | None, access: AccessToken | None) -> bool:
        try:
            subject = await self._subject(refresh_token, access)
            if subject is not None:
                await self._lifecycle.end_all(subject, "signed out everywhere")
        except StoreUnavailable:
            if access is None:
                return False  # the session alone is queued: whose it is, only the store knows
            subject = access.principal.subject
            self._deny_at_once(subject=subject)
            self._queue(
                f"everything of {subject}",
                lambda: self._lifecycle.end_all(subject, "signed out everywhere"),
            )
            return False
        return True

    async def _subject(self, refresh_token: str | None, access: AccessToken | None) -> str | None:
        if access is not None:
            return access.principal.subject
        if refresh_token is None:
            return None
        held = await self._lifecycle.refresh(refresh_token)
        return held.session.principal.subject if isinstance(held, Grant) else None

    async def _end(self, session_id: str, why: str = "signed out") -> bool:
        try:
            await self._lifecycle.end(session_id, why)
        except StoreUnavailable:
            self._deny_at_once(session_id=session_id)
            self._queue(session_id, lambda: self._lifecycle.end(session_id, why))
            return False
        return True

    def _deny_at_once(self, *, session_id: str | None = None, subject: str | None = None) -> None:
        now = self._now()
        at = int(now * 1000)
        until = at + int((self._signer.lifetime + MAX_LEEWAY) * 1000)
        self._deny.add(Revocation(at, until, session_id, subject), now)

    def _queue(self, name: str, end: Callable[[], Awaitable[object]]) -> None:
        """Ask again until the store answers; bounded, so an outage does not eat the memory."""
        if name not in self._queued and len(self._queued) < _MOST_QUEUED:
            self._queued.add(name)
            self._tasks.spawn("queued sign-out", self._end_later(name, end))

    async def _end_later(self, name: str, end: Callable[[], Awaitable[object]]) -> None:
        try:
            for delay in (*_FIRST_DELAYS, *repeat(_LATER_DELAY, _LATER_TRIES)):
                await self._sleep(delay)
                with suppress(StoreUnavailable):
                    await end()
                    return
        finally:
            self._queued.discard(name)


def _cookie_lifetime(now: float, expires_at: float) -> int:
    return max(1, int(expires_at - now) - _COOKIE_MARGIN)
