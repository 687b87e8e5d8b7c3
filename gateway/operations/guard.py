"""Around every endpoint: who may ask from where, and a clear answer whatever happens.

The port has no sign-in of its own, so it must never be the victim of somebody's browser: neither of
a page of another site (CSRF), nor of a page whose name was pointed at this port (DNS rebinding).
"""

import ipaddress
import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.decision import Reason
from gateway.operations.answers import problem
from gateway.policy.cross_site import CrossSite, cross_site_verdict
from gateway.sessions.store import StoreUnavailable

_log = logging.getLogger("gateway.operations")

# Nothing to steal and nothing to change: asked by probes and scrapers under any name.
OPEN_PATHS = frozenset({"/healthz", "/ping", "/readyz", "/metrics"})
# Names that nobody on the Internet can own (RFC 6761, RFC 6762, RFC 8375, ICANN's .internal, and
# the names of Kubernetes services).
_PRIVATE_ENDINGS = (
    ".localhost",
    ".local",
    ".internal",
    ".home.arpa",
    ".svc",
    ".cluster.local",
)
_RETRY_SECONDS = 3


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a stranger's page could send, and answer failures in one shape."""
    try:
        answer = _refusal(request) or await handler(request)
    except web.HTTPException as error:
        answer = problem(error.status, error.reason)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
    except StoreUnavailable as error:
        answer = problem(
            HTTPStatus.SERVICE_UNAVAILABLE, f"The session store: {error}", Reason.STORE_UNAVAILABLE
        )
        answer.headers["Retry-After"] = str(_RETRY_SECONDS)
    except Exception:  # noqa: BLE001 - the outermost: logged once, never shown
        _log.exception("the operations port failed on %s", request.path)
        answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The fault is ours and is in the log.")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Server"] = "gateway"
    return answer


def _refusal(request: web.Request) -> web.Response | None:
    if request.raw_path.partition("?")[0] != request.path:
        # Only one spelling of a path is an endpoint (P3).
        return problem(HTTPStatus.NOT_FOUND, "There is nothing here.")
    if request.path not in OPEN_PATHS and not is_private_name(request.host):
        return problem(
            HTTPStatus.MISDIRECTED_REQUEST,
            "Call this port by an address, localhost or a cluster-internal name.",
        )
    headers = {name.lower(): value for name, value in request.headers.items()}
    if cross_site_verdict(request.method, headers, frozenset()) is CrossSite.REFUSED:
        return problem(
            HTTPStatus.FORBIDDEN, "Requests of other sites are refused.", Reason.CROSS_SITE
        )
    return None


def is_private_name(authority: str) -> bool:
    """Whether *authority* (host[:port]) is an address or a name no stranger's page can have."""
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdigit():
        host = authority
    host = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_PRIVATE_ENDINGS))
    return True
