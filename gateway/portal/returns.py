"""Notices when a browser is sent to and fro without ever arriving, and says why.

A short-lived cookie of no secrecy counts how often somebody was sent on from the sign-in page. Who
comes back at once, either without our cookies or again and again, sees the cause, not a loop.
"""

from typing import Final

from aiohttp import web

from gateway.portal.client import cookies_of
from gateway.portal.pages import Message
from gateway.portal.portal import PORTAL

_COOKIE: Final = "gatewayReturns"
_SECONDS: Final = 15
_TOO_OFTEN: Final = 6


def mark(request: web.Request, *, arriving: bool = False) -> str:
    """Return the Set-Cookie value that counts one more return."""
    count = 1 if arriving else _count(request) + 1
    return _set(request, str(count), _SECONDS)


def unmark(request: web.Request) -> str:
    """Return the Set-Cookie value that forgets the count: whoever signs out comes back rightly."""
    return _set(request, "", 0)


def loops(request: web.Request) -> bool:
    return _count(request) >= _TOO_OFTEN


def diagnosis(request: web.Request) -> Message | None:
    """Say what is wrong, if something is."""
    portal = request.app[PORTAL]
    found = cookies_of(request)
    if _count(request) and found.access is None and found.refresh is None:
        return Message(
            "info",
            "You signed in a moment ago, but your browser did not send our cookies back. "
            f"Please allow cookies for this site and use the address {portal.origin}.",
        )
    if loops(request):
        return Message(
            "info",
            "The page you want keeps sending you back here although you are signed in. "
            "Please tell whoever runs this site.",
        )
    return None


def _count(request: web.Request) -> int:
    value = request.cookies.get(_COOKIE, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 3 else 0  # noqa: PLR2004


def _set(request: web.Request, value: str, max_age: int) -> str:
    path = request.app[PORTAL].prefix
    # Not Secure: it is to come back even where our own cookies, being Secure, do not.
    return f"{_COOKIE}={value}; Max-Age={max_age}; Path={path}; HttpOnly; SameSite=Lax"
