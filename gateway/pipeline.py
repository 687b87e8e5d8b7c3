"""The way through, in order: match → authenticate → cross-site → (renew?) → authorize.

One pure, synchronous function takes every decision; HTTP, WebSocket and forward-auth are three
doors to it. Whatever is not allowed by a rule that was written down is refused.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import quote

from gateway.authentication import Asserts, Authentication, Denies, Verify
from gateway.decision import (
    Authenticated,
    Decision,
    Expired,
    Forward,
    Presented,
    Reason,
    Refuse,
    Renew,
)
from gateway.headers.cookies import OurCookies
from gateway.headers.identity import IdentityHeaders
from gateway.policy.access import Access, Verdict, permits
from gateway.policy.cross_site import CrossSite, cross_site_verdict, preflight_method
from gateway.policy.detour import survives_detour
from gateway.policy.navigation import is_navigation
from gateway.policy.routes import Ambiguous, Route, Routes
from gateway.request import Request
from gateway.tokens.foreign import KeysUnavailable

__all__ = [
    "FORWARD_AUTH",
    "PORTAL",
    "Authenticated",
    "Decision",
    "Forward",
    "Pipeline",
    "Reason",
    "Refuse",
    "Renew",
    "Settings",
]

# Routes to these names never leave the process.
PORTAL = "@portal"
FORWARD_AUTH = "@forward-auth"

TransparentRefresh = Literal["inline", "redirect", "off"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the way through needs to know of the configuration."""

    prefix: str
    own_origins: frozenset[str]
    protect_cross_site: bool = True
    transparent_refresh: TransparentRefresh = "inline"


_EXPIRED: Final = Expired.EXPIRED
_PUBLIC: Final = Access.PUBLIC
_ALLOW: Final = Verdict.ALLOW
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ANYWHERE: Final = Route("/*", FORWARD_AUTH)


class Pipeline:
    """Decides; built anew for every configuration, and made to forget whenever keys change."""

    def __init__(
        self,
        *,
        routes: Routes,
        cookies: OurCookies,
        identity: IdentityHeaders,
        verify: Verify,
        denies: Denies,
        settings: Settings,
        assertions: Asserts | None = None,
        remembered: int = 4096,
    ) -> None:
        self._routes = routes
        self._settings = settings
        self._authentication = Authentication(
            cookies=cookies,
            identity=identity,
            verify=verify,
            denies=denies,
            assertions=assertions,
            remembered=remembered,
        )

    def forget(self) -> None:
        """Prove everything again: what keys that are gone had proven is proven no longer."""
        self._authentication.forget()

    def decide(self, request: Request, now: float) -> Decision:
        """Decide about *request* at *now* (seconds since the epoch)."""
        target = request.target
        match = self._routes.match(
            request.authority.host, request.method, target.path, target.readings
        )
        if not isinstance(match, Route):
            preflight = self._unmatched(request, match)
            if isinstance(preflight, Refuse):
                return preflight
            match = preflight
        return self._answerable(match, request, now)

    def identify(self, request: Request, now: float) -> Decision:
        """Decide only whether *request* comes from somebody signed in, wherever it is going."""
        return self._answerable(_ANYWHERE, request, now)

    def _answerable(self, route: Route, request: Request, now: float) -> Decision:
        try:
            decision = self._decide_on(route, request, now)
        except KeysUnavailable:
            detail = "The keys of the token's issuer cannot be had right now."
            return Refuse(503, Reason.KEYS_UNAVAILABLE, detail, route)
        if "authorization" in request.noted and isinstance(decision, Forward):
            return self._without_ours(decision, request, now)
        return decision

    def _without_ours(self, forward: Forward, request: Request, now: float) -> Forward:
        """Keep a bearer token of ours from the app also where it was not what opened the route."""
        if forward.hide_authorization or forward.route.upstream in (PORTAL, FORWARD_AUTH):
            return forward
        try:
            ours = isinstance(self._authentication.by_bearer(request, now), Authenticated)
        except KeysUnavailable:
            ours = True  # it may be
        return replace(forward, hide_authorization=True) if ours else forward

    def _decide_on(self, route: Route, request: Request, now: float) -> Decision:
        presented = self._authentication.present(request.cookie)
        if route.access is _PUBLIC:
            return _forward_publicly(request, route, presented)
        authenticated = self._authentication.by_cookie(presented, now)
        if authenticated is None:
            return self._decide_without_cookie(route, request, presented, now)
        harmless = request.method in _SAFE_METHODS and not request.upgrade
        refused = None if harmless else self._cross_site(request, route, presented)
        if refused is not None:
            return refused
        known = presented.forward
        if known is not None and known.route is route and known.authenticated is authenticated:
            return known
        decision = self._authorize(request, route, authenticated, presented)
        if isinstance(decision, Forward):
            presented.forward = decision
        return decision

    def _decide_without_cookie(
        self, route: Route, request: Request, presented: Presented, now: float
    ) -> Decision:
        """Decide where no cookie proves anybody: by bearer token, after a renewal, or as nobody."""
        expired = presented.has_expired(now)
        if "authorization" in request.noted:
            bearer = self._authentication.by_bearer(request, now)
            if isinstance(bearer, Authenticated):
                return self._authorize(request, route, bearer, presented, by_bearer=True)
            expired = expired or bearer is _EXPIRED
        refused = self._cross_site(request, route, presented)
        return (
            refused
            or self._renewal(request, route, presented)
            or self._authorize(request, route, None, presented, expired=expired)
        )

    def decide_renewed(
        self, request: Request, route: Route, token: str | None, now: float
    ) -> Decision:
        """Decide again after a renewal: with the new access *token*, or with nobody."""
        presented = self._authentication.present(request.cookie)
        renewed = None if token is None else self._authentication.by_token(token, now)
        if isinstance(renewed, Authenticated):
            # Not yet in use: the client does not hold it, and may never, if this answer is lost.
            renewed.seen = True
            return self._authorize(request, route, renewed, presented)
        expired = presented.has_expired(now)
        return self._authorize(request, route, None, presented, expired=expired)

    def has_ended(self, authenticated: Authenticated, now: float) -> bool:
        """Whether the end of the session was announced, however good the token may still be."""
        return self._authentication.is_denied(authenticated.token, now)

    def sign_in_location(self, request: Request) -> str:
        """Where a person signs in, and comes back from to where they were going."""
        return self._location("login", request)

    def _location(self, page: str, request: Request) -> str:
        return f"{self._settings.prefix}/{page}?rd={quote(request.target.raw, safe='/')}"

    def _renewal(
        self, request: Request, route: Route, presented: Presented
    ) -> Renew | Refuse | None:
        """How the session that the request seems to have may be renewed first, if it may."""
        found = presented.found
        match self._settings.transparent_refresh:
            case "inline":
                return None if found.refresh is None else Renew(route, found.refresh)
            case "redirect" if found.session and survives_detour(request, self._own(request)):
                detail = "Your access token has expired; a new one is given at another address."
                location = self._location("refresh", request)
                return Refuse(401, Reason.EXPIRED, detail, route, location, sent_by=307)
            case _:
                return None

    def _unmatched(self, request: Request, match: Route | Ambiguous | None) -> Route | Refuse:
        """A real CORS preflight is decided by the route of the method that it asks about."""
        asked = preflight_method(request.method, request.headers)
        if match is None and asked is not None:
            target = request.target
            match = self._routes.match(request.authority.host, asked, target.path, target.readings)
            if isinstance(match, Route) and not match.preflight:
                match = None
        if isinstance(match, Route):
            return match
        if isinstance(match, Ambiguous):
            return Refuse(400, Reason.AMBIGUOUS, "The path can be understood in several ways.")
        return Refuse(404, Reason.NO_ROUTE, "Nothing is served at this address.")

    def _cross_site(self, request: Request, route: Route, presented: Presented) -> Refuse | None:
        """Refuse what another site's page may have sent on the strength of our cookies."""
        if not request.upgrade and request.method in _SAFE_METHODS:
            return None
        protect = (
            self._settings.protect_cross_site if route.cross_site is None else route.cross_site
        )
        found = presented.found
        rides_on_cookies = found.access is not None or found.refresh is not None or found.session
        if not protect or not rides_on_cookies:
            return None
        verdict = cross_site_verdict(
            request.method, request.headers, self._own(request), upgrade=request.upgrade
        )
        if verdict is CrossSite.ALLOWED:
            return None
        return Refuse(
            403, Reason.CROSS_SITE, "A page of another site may not do this in your name.", route
        )

    def _own(self, request: Request) -> frozenset[str]:
        return self._settings.own_origins | {f"{request.scheme}://{request.authority}"}

    def _authorize(
        self,
        request: Request,
        route: Route,
        authenticated: Authenticated | None,
        presented: Presented,
        *,
        by_bearer: bool = False,
        expired: bool = False,
    ) -> Decision:
        principal = None if authenticated is None else authenticated.token.principal
        verdict = permits(route.access, principal)
        if verdict is _ALLOW:
            return Forward(route, authenticated, presented.others, by_bearer)
        if verdict is Verdict.FORBID:
            return Refuse(403, Reason.FORBIDDEN, "You may not use this part of the site.", route)
        location = None
        if is_navigation(request.method, request.headers, upgrade=request.upgrade):
            location = self.sign_in_location(request)
        elif route.preflight and preflight_method(request.method, request.headers):
            return Forward(route, None, presented.others)
        if expired:
            return Refuse(401, Reason.EXPIRED, "Your access token has expired.", route, location)
        return Refuse(401, Reason.UNAUTHENTICATED, "Sign in first.", route, location)


def _forward_publicly(request: Request, route: Route, presented: Presented) -> Forward:
    """The portal alone may see our cookies."""
    cookie = request.cookie if route.upstream == PORTAL else presented.others
    return Forward(route, None, cookie)
