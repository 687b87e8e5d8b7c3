"""Begins, renews and ends sessions: read, decide, swap, and decide again when someone was faster.

The rules are in `rotation`; here is the order of things. A renewal or an end that has begun is
carried through even when the client who asked for it hangs up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from secrets import token_urlsafe

from gateway.identity.principal import Principal
from gateway.sessions.ending import ATTEMPTS, Ending
from gateway.sessions.events import Kind, Observe, event, shown
from gateway.sessions.flights import Flights
from gateway.sessions.refresh_token import (
    BadRefreshToken,
    RefreshToken,
    Secrets,
    UnknownKey,
    mint,
    prove,
)
from gateway.sessions.revocation import DenySet
from gateway.sessions.rotation import (
    Refusal,
    Refused,
    Renewal,
    Renewed,
    Rules,
    Theft,
    confirm,
    present,
)
from gateway.sessions.session import Device, Session
from gateway.sessions.store import Store, Stored, StoreUnavailable
from gateway.tasks import Tasks

_CONFIRMED_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Milliseconds, except `per_user`: how many sessions a subject may have at once."""

    rules: Rules = field(default_factory=Rules)
    absolute: int = 30 * 86_400_000
    access: int = 15 * 60_000
    skew: int = 10_000
    per_user: int = 100


@dataclass(frozen=True, slots=True)
class Grant:
    """A good session. `refresh_token` is None when the client already holds the right one.

    Times are the store's: issue the access token as of `now`, and never beyond `session.ends`.
    An answer whose head could not be sent within `Rules.delivery` of `now` must carry no cookie.
    """

    session: Session
    refresh_token: str | None
    now: int
    renewal: Renewal | None = None

    @property
    def refresh_lifetime(self) -> int:
        """How many milliseconds the refresh token is good for, unless it is renewed."""
        return self.session.over_at - self.now


@dataclass(frozen=True, slots=True)
class Over:
    """The token opens nothing. Cookies are cleared only when no replica could ever honour it."""

    reason: str
    clear_cookies: bool
    session_id: str | None = None


class Lifecycle:
    """One per process; `secrets` gives the current keys, newest first, and `now` unix seconds."""

    def __init__(
        self,
        store: Store,
        secrets: Callable[[], Secrets],
        settings: Settings,
        *,
        deny: DenySet,
        tasks: Tasks,
        now: Callable[[], float],
        observe: Observe = lambda _event: None,
        new_id: Callable[[], str] = lambda: token_urlsafe(16),
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._settings = settings
        self._deny = deny
        self._observe = observe
        self._new_id = new_id
        span = settings.access + settings.skew
        self._ending = Ending(store, deny, span, now=now, observe=observe)
        self._flights = Flights(tasks)
        self._confirmed: dict[tuple[str, int], None] = {}

    async def start(
        self, principal: Principal, device: Device, replaces: str | None = None
    ) -> Grant:
        """Begin a session; the one whose refresh token came along ends first.

        A sign-in never continues what a browser held before: that may have been planted.
        """
        if replaces:
            await self._end_replaced(replaces)
        await self._make_room(principal.subject)
        now = await self._store.now()
        settings = self._settings
        session = Session(
            id=self._new_id(),
            principal=principal,
            device=device,
            created=now,
            seen=now,
            head=1,
            parent=0,
            sent=now,
            confirmed=0,
            ends=now + settings.absolute,
            idle_ends=now + min(settings.rules.idle, settings.absolute),
        )
        await self._store.add(session)
        self._observe(event(Kind.STARTED, session))
        return Grant(session, self._mint(session), now)

    async def refresh(self, token: str, device: Device | None = None) -> Grant | Over:
        """Answer whoever shows *token*. Raises StoreUnavailable; then ask again later."""
        try:
            proven = prove(token, self._secrets())
        except UnknownKey:
            return Over("unknown-key", clear_cookies=False)
        except BadRefreshToken:
            return Over("bad-token", clear_cookies=True)
        # Keyed by the whole token: a shortened key would hand one person's answer to another
        # (CVE-2026-71326).
        return await self._flights.join(
            (proven.session_id, token), lambda: self._refresh(proven, device)
        )

    async def confirm(self, session_id: str, generation: int) -> None:
        """Note that the client has shown an access token of *generation*.

        Call it beside the request, not in it. When it is lost, a theft is found later, no more.
        """
        key = (session_id, generation)
        if key in self._confirmed:
            return
        self._confirmed[key] = None
        if len(self._confirmed) > _CONFIRMED_KEPT:
            del self._confirmed[next(iter(self._confirmed))]
        try:
            await self._change(session_id, lambda s, now: confirm(s, generation, now))
        except StoreUnavailable:
            self._confirmed.pop(key, None)

    async def remember(self, session_id: str, principal: Principal) -> Session | None:
        """Keep what the login provider now says of the person; None when the session is over."""
        changed = await self._change(
            session_id, lambda s, now: replace(s, principal=principal) if s.alive(now) else s
        )
        return changed.session if changed and changed.session.alive(changed.now) else None

    async def end(self, session_id: str, reason: str) -> bool:
        """End one session everywhere; False when there was nothing left to end."""
        return await self._flights.join(
            (session_id, "end"), lambda: self._ending.end(session_id, reason)
        )

    async def end_all(self, subject: str, reason: str, keep: str | None = None) -> int:
        """End every session of a subject, except the one to *keep*; return how many."""
        return await self._flights.join(
            (subject, "end all", keep), lambda: self._ending.end_all(subject, reason, keep)
        )

    async def list(self, subject: str) -> list[Session]:
        """Return a subject's living sessions, the one seen last first."""
        living = [s.session for s in await self._store.of_user(subject) if s.session.alive(s.now)]
        return sorted(living, key=lambda session: session.seen, reverse=True)

    async def _refresh(self, proven: RefreshToken, device: Device | None) -> Grant | Over:
        session_id = proven.session_id
        if self._deny.ended(session_id):
            # A failed-over store may have forgotten an end that we were told of: say it again.
            await self._ending.end_kept(session_id, "revoked")
            return Over(Refusal.REVOKED.value, clear_cookies=True, session_id=session_id)
        for _ in range(ATTEMPTS):
            before = await self._store.get(session_id)
            if before is None:
                return Over(Refusal.UNKNOWN.value, clear_cookies=True, session_id=session_id)
            outcome = present(
                before.session, proven.generation, before.now, self._settings.rules, device
            )
            if isinstance(outcome, Refused):
                return self._refused(outcome, before, proven.generation, device)
            if await self._keep(before, outcome, proven.generation, device):
                return self._granted(outcome, before, proven.generation, device)
            # Someone was faster: decide again on what they left.
        raise StoreUnavailable("too many change one session at once")

    async def _keep(
        self, before: Stored, outcome: Renewed | Theft, generation: int, device: Device | None
    ) -> bool:
        if isinstance(outcome, Theft):
            try:
                return await self._ending.swap_over(before, outcome.after)
            except StoreUnavailable:
                # If the session has ended all the same, nobody will find the theft again.
                self._observe_shown(Kind.THEFT, before, outcome.after, generation, device)
                raise
        return outcome.after == before.session or await self._store.swap(before, outcome.after)

    def _granted(
        self, outcome: Renewed | Theft, before: Stored, generation: int, device: Device | None
    ) -> Grant | Over:
        after = outcome.after
        match outcome:
            case Theft():
                self._observe_shown(Kind.THEFT, before, after, generation, device)
                return Over("theft", clear_cookies=True, session_id=after.id)
            case Renewed(why):
                self._observe_shown(Kind(why.value), before, after, generation, device)
                token = self._mint(after) if outcome.sends_refresh_token else None
                return Grant(after, token, before.now, why)

    def _refused(
        self, refused: Refused, before: Stored, generation: int, device: Device | None
    ) -> Over:
        ahead = refused.why is Refusal.AHEAD
        if ahead:
            # Signed by us and yet further on than a failover explains. Tell the operator, and
            # neither end the session nor clear the cookies: the right store may come back.
            self._observe_shown(Kind.AHEAD, before, before.session, generation, device)
        return Over(refused.why.value, clear_cookies=not ahead, session_id=before.session.id)

    async def _change(
        self, session_id: str, change: Callable[[Session, int], Session]
    ) -> Stored | None:
        """Apply *change* to what is kept, and return what then is."""
        for _ in range(ATTEMPTS):
            before = await self._store.get(session_id)
            if before is None:
                return None
            after = change(before.session, before.now)
            if after == before.session or await self._store.swap(before, after):
                return replace(before, session=after)
        raise StoreUnavailable("too many change one session at once")

    async def _end_replaced(self, token: str) -> None:
        try:
            proven = prove(token, self._secrets())
        except BadRefreshToken:
            return
        await self.end(proven.session_id, "replaced")

    async def _make_room(self, subject: str) -> None:
        """Keep a subject below the cap: the session that was seen longest ago ends."""
        living = await self.list(subject)
        for session in living[self._settings.per_user - 1 :]:
            await self.end(session.id, "too many sessions")

    def _mint(self, session: Session) -> str:
        return mint(self._secrets(), session.id, session.head)

    def _observe_shown(
        self, kind: Kind, before: Stored, after: Session, generation: int, device: Device | None
    ) -> None:
        self._observe(shown(kind, before.session, after, generation, before.now, device))
