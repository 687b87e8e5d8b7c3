"""Around every endpoint: cross-site protection before, security headers and a clear answer after.

Nothing a client does is answered with a traceback, and no answer may be kept by a cache unless the
endpoint says so itself.
"""

import logging
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.decision import Reason
from gateway.identity.provider import ProviderUnavailable
from gateway.observability.audit import AuditKind
from gateway.policy.cross_site import CrossSite, cross_site_verdict
from gateway.portal.answers import Refusal, problem, wants_page
from gateway.portal.client import record
from gateway.portal.pages import error_page
from gateway.portal.portal import PORTAL
from gateway.portal.throttle import TooManyFailures
from gateway.sessions.store import StoreUnavailable

_log = logging.getLogger(__name__)

_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
    "Server": "gateway",
}
# A page keeps its origin to itself, yet names it to us: with no-referrer a browser would send
# `Origin: null` with our own forms.
_PAGE_REFERRER: Final = "same-origin"
_RETRY_SECONDS: Final = 3


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever happens, and give the answer its headers."""
    try:
        refuse_cross_site(request)
        answer = await handler(request)
    except Refusal as refusal:
        answer = render(request, refusal)
    except web.HTTPException as error:
        answer = render(request, _from_aiohttp(error))
    except (StoreUnavailable, ProviderUnavailable, TooManyFailures) as error:
        answer = render(request, as_refusal(error))
    except Exception:  # noqa: BLE001 - the outermost: logged once, never shown
        request_id = request.headers.get("X-Request-Id", "")
        _log.exception("the portal failed on %s (request %s)", request.path, request_id)
        answer = render(request, Refusal(500, "The fault is ours and has been recorded."))
    _finish(request, answer)
    return answer


def render(request: web.Request, refusal: Refusal) -> web.Response:
    return error_page(request, refusal) if wants_page(request) else problem(refusal)


def as_refusal(error: StoreUnavailable | ProviderUnavailable | TooManyFailures) -> Refusal:
    """Whoever could not be asked has not said no: 503, and cookies are left alone (C4, R1)."""
    match error:
        case TooManyFailures():
            return Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many failed attempts. Try again in {_in_words(error.retry_after)}.",
                retry_after=error.retry_after,
            )
        case StoreUnavailable() | ProviderUnavailable():
            return Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "We cannot answer right now. Nothing is lost; please try again in a moment.",
                retry_after=_RETRY_SECONDS,
                code=(
                    Reason.STORE_UNAVAILABLE
                    if isinstance(error, StoreUnavailable)
                    else "provider-unavailable"
                ),
            )


def refuse_cross_site(request: web.Request) -> None:
    """Raises Refusal where a page of another site sent the request (SECURITY O8)."""
    portal = request.app[PORTAL]
    # Whoever reaches us by another address than the public one (127.0.0.1 for localhost) is of
    # the same origin too: a page can forge neither its Origin nor the Host it talks to.
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    host = request.headers.get("X-Forwarded-Host", request.headers.get("Host", ""))
    origins = frozenset({portal.origin, f"{scheme}://{host}".lower()})
    if cross_site_verdict(request.method, request.headers, origins) is CrossSite.REFUSED:
        record(request, AuditKind.CROSS_SITE_REFUSED, detail=request.path)
        raise Refusal(
            HTTPStatus.FORBIDDEN, "This request came from another site.", code=Reason.CROSS_SITE
        )


def _from_aiohttp(error: web.HTTPException) -> Refusal:
    allow = error.headers.get("Allow", "")
    headers = (("Allow", allow),) if allow else ()
    match error.status:
        case HTTPStatus.NOT_FOUND:
            return Refusal(error.status, "There is nothing at this address.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return Refusal(error.status, f"Allowed here: {allow}.", headers=headers)
        case _:
            return Refusal(error.status, HTTPStatus(error.status).description, headers=headers)


def _finish(request: web.Request, answer: web.StreamResponse) -> None:
    if answer.status == HTTPStatus.TEMPORARY_REDIRECT:
        # On its way the request stays what it was: a policy of ours would rule it from here on,
        # as `Origin: null` for an app that checks it, or as the loss of a window's opener.
        answer.headers.setdefault("Cache-Control", "no-store")
        return
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    is_page = answer.content_type == "text/html"
    answer.headers["Referrer-Policy"] = _PAGE_REFERRER if is_page else "no-referrer"
    if request.app[PORTAL].is_https:
        answer.headers["Strict-Transport-Security"] = "max-age=31536000"


def _in_words(seconds: int) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "a minute"
    minutes = -(-seconds // 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
