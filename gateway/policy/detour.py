"""Whether a request survives a detour: 307 to another address of ours, and 307 back.

Invariant: whoever could not come back whole is not sent away, and gets a plain answer instead.
"""

from collections.abc import Mapping

from gateway.policy.cross_site import CrossSite, cross_site_verdict
from gateway.policy.navigation import is_prefetch
from gateway.policy.return_to import safe_return
from gateway.request import Request

_OWN_SITE = ("same-origin", "none")


def survives_detour(request: Request, own_origins: frozenset[str]) -> bool:
    """Decide by what the request says of itself.

    Nothing tells apart those that asked for an error at redirects (`redirect: "error"`).
    """
    headers, target = request.headers, request.target.raw
    if request.upgrade:
        return False  # a WebSocket handshake follows no redirect (WHATWG WebSockets §2)
    if "transfer-encoding" in headers:
        return False  # a body made on the fly cannot be sent again (Fetch §4.4, step 9)
    if headers.get("sec-fetch-dest") == "serviceworker" or is_prefetch(headers):
        return False
    if _is_cross_origin(headers, own_origins):
        return False
    if cross_site_verdict(request.method, headers, own_origins) is CrossSite.REFUSED:
        return False
    return target == "/" or safe_return(target) != "/"


def _is_cross_origin(headers: Mapping[str, str], own_origins: frozenset[str]) -> bool:
    """A CORS request ends at a redirect that does not speak CORS itself; links are not CORS."""
    mode = headers.get("sec-fetch-mode")
    site = headers.get("sec-fetch-site")
    if mode is not None and site is not None:
        return mode == "cors" and site not in _OWN_SITE
    origin = headers.get("origin")
    return origin is not None and origin.lower() not in own_origins
