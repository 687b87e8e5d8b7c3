"""Why a browser that was given our cookies comes back as if it had not been: the likely causes."""

from enum import Enum

from aiohttp import web

from gateway.portal.portal import PORTAL


class Loop(Enum):
    """How a request went round in vain, in words for whoever sent it."""

    COOKIE_LOST = (
        "Your sign-in was renewed a moment ago, but your browser did not send our cookie back."
    )
    NOT_ACCEPTED = (
        "Your sign-in is renewed again and again, and is not accepted where it is needed."
    )


def likely_causes(request: web.Request, loop: Loop) -> list[str]:
    """Return the causes, those that can be seen from here first."""
    if loop is Loop.NOT_ACCEPTED:
        return [
            "The clocks of the servers of this site differ by more than a sign-in is good for.",
            "The servers of this site do not share their signing keys.",
        ]
    portal = request.app[PORTAL]
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    host = request.headers.get("X-Forwarded-Host", request.headers.get("Host", "")).lower()
    causes = []
    if portal.cookies.secure and scheme != "https":
        causes.append(
            f"You came by {scheme}, and the cookies of this site are Secure: browsers send them "
            f"by https alone. Use {portal.origin}."
        )
    if host != portal.host:
        causes.append(
            f"You came to {host}, and the cookies of this site belong to "
            f"{portal.cookies.domain or portal.host}. Use {portal.origin}."
        )
    return [
        *causes,
        "Cookies are blocked for this site, by your browser or by an extension.",
        "Something between your browser and this site removes cookies.",
    ]
