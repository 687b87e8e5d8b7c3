"""Sign-out: the session is over everywhere at once, and both cookies go, whatever else happens.

No `Clear-Site-Data` is sent: its "cookies" and "storage" would wipe what belongs to the app,
and "cookies" that of every host of the domain besides.
"""

from collections.abc import Mapping

from aiohttp import web

from gateway.observability.audit import AuditKind
from gateway.portal import returns
from gateway.portal.answers import Refusal, json_answer, own, see_other, wants_page
from gateway.portal.client import cookies_of, record
from gateway.portal.intake import read_fields
from gateway.portal.pages import page
from gateway.portal.portal import PORTAL
from gateway.portal.sign_in import return_target
from gateway.portal.visitor import believed, shown_access


async def sign_out_page(request: web.Request) -> web.Response:
    """GET /logout changes nothing: links, prefetches and other sites' pages can all cause it."""
    rd = return_target(request)
    access = believed(request)
    return page(
        request,
        "sign_out.html",
        signed_in=access.principal.subject if access else "",
        rd="" if rd == "/" else rd,
        back=rd,
    )


async def sign_out(request: web.Request) -> web.Response:
    """POST /logout."""
    portal = request.app[PORTAL]
    everywhere = request.query.get("everywhere", "").lower() in ("true", "1", "yes")
    access = shown_access(request)
    outcome = await portal.credentials.sign_out(
        cookies_of(request).refresh, access, everywhere=everywhere
    )
    record(
        request,
        AuditKind.SIGNED_OUT,
        _outcome(everywhere=everywhere, complete=outcome.complete),
        user=access.principal.subject if access else None,
        session_id=access.session_id if access else None,
    )
    cleared = (*portal.cookies.clear(), returns.unmark(request))
    if not outcome.complete:
        raise Refusal(
            503,
            "You are signed out on this device. Elsewhere it takes effect in a moment.",
            retry_after=3,
            set_cookies=cleared,
        )
    if wants_page(request):
        return see_other(await _next_page(request, everywhere=everywhere), set_cookies=cleared)
    return json_answer({"message": "signed out"}, set_cookies=cleared)


async def _next_page(request: web.Request, *, everywhere: bool) -> str:
    rd = return_target(request, await _form(request))
    if rd != "/":
        return rd
    notice = "signed-out-everywhere" if everywhere else "signed-out"
    return own(request, f"/login?notice={notice}")


async def _form(request: web.Request) -> Mapping[str, object]:
    """Return the form, or nothing: no body is so wrong that one stays signed in for it."""
    try:
        return await read_fields(request)
    except Refusal:
        return {}


def _outcome(*, everywhere: bool, complete: bool) -> str:
    if not complete:
        return "queued"
    return "everywhere" if everywhere else "here"
