"""Whether a request that may change state was sent by a page of another site.

The rule is that of Go's `net/http.CrossOriginProtection`, and the WebSocket rule beside it:
`SameSite` cookies do not cover siblings of one site, and a WebSocket is not bound by CORS at all.

Invariant: a page of another origin can neither forge `Sec-Fetch-Site` nor `Origin`, and a client
that sends neither is not a browser, so nobody's cookies ride on it unasked.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 §9.2.1; TRACE is refused at the edge
_OWN_SITE = frozenset({"same-origin", "none"})  # none: typed, bookmarked, reloaded by the person


class CrossSite(Enum):
    ALLOWED = "allowed"
    REFUSED = "refused"


# Reading a member through its class is slow on Python 3.11, and every request comes by here.
_ALLOWED: Final = CrossSite.ALLOWED
_REFUSED: Final = CrossSite.REFUSED


def cross_site_verdict(
    method: str, headers: Mapping[str, str], own_origins: frozenset[str], *, upgrade: bool = False
) -> CrossSite:
    """Decide by *headers* (lower-case names) whether the request may go on.

    *own_origins* are serialized as browsers do (`https://example.com:8443`, no default port).
    """
    if upgrade:
        return _upgrade_verdict(headers, own_origins)
    if method in _SAFE:
        return _ALLOWED
    site = headers.get("sec-fetch-site")
    if site is not None:
        return _ALLOWED if site in _OWN_SITE else _REFUSED
    return _origin_verdict(headers, own_origins)


def preflight_method(method: str, headers: Mapping[str, str]) -> str | None:
    """The method that a real CORS preflight asks about, else None.

    The route that decides is the one of *that* method: a plain OPTIONS is no preflight.
    """
    if method != "OPTIONS" or not headers.get("origin"):
        return None
    return headers.get("access-control-request-method") or None


def _upgrade_verdict(headers: Mapping[str, str], own_origins: frozenset[str]) -> CrossSite:
    """Every browser names the `Origin` of a handshake (RFC 6455 §4.1); not all say more."""
    site = headers.get("sec-fetch-site")
    if "origin" not in headers and site is not None and site not in _OWN_SITE:
        return _REFUSED
    return _origin_verdict(headers, own_origins)


def _origin_verdict(headers: Mapping[str, str], own_origins: frozenset[str]) -> CrossSite:
    origin = headers.get("origin")
    if origin is None or origin.lower() in own_origins:
        return _ALLOWED
    return _REFUSED  # the opaque origin "null" among them
