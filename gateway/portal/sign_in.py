"""Sign-in: the page, and the check of user name and password.

A form and JSON are two spellings of one attempt. Whoever could not be asked answers 503, who is
wrong 401, who tries too often 429; and one refusal does not tell which of user name and password
it was (SECURITY O12).
"""

from collections.abc import Mapping

from aiohttp import web

from gateway.credentials import Issued
from gateway.identity.principal import Principal
from gateway.identity.provider import LoginRefused, ProviderUnavailable
from gateway.identity.usernames import fold
from gateway.observability.audit import AuditKind
from gateway.policy.return_to import safe_return
from gateway.portal import returns
from gateway.portal.answers import (
    UNFIT_ACCOUNT,
    Refusal,
    json_answer,
    see_other,
    user_object,
    wants_page,
    with_cookies,
    with_refusal_headers,
)
from gateway.portal.client import address_of, cookies_of, device_of, record
from gateway.portal.edge import as_refusal
from gateway.portal.intake import optional, read_fields, required
from gateway.portal.pages import Fault, Message, page, rd_query
from gateway.portal.portal import PORTAL
from gateway.portal.throttle import TooManyFailures
from gateway.portal.visitor import Nobody, SignedIn, shown_access, visitor_of
from gateway.sessions.store import StoreUnavailable
from gateway.tokens.access import UnfitPrincipal

_NOTICES = {
    "signed-out": Message("success", "You are signed out."),
    "signed-out-everywhere": Message("success", "You are signed out on all devices."),
    "session-over": Message("info", "Your session is over. Please sign in again."),
}


async def sign_in_page(request: web.Request) -> web.Response:
    """GET /login: whoever is signed in already goes where they wanted to go."""
    rd = return_target(request)
    match await visitor_of(request):
        case SignedIn() as visitor:
            if "rd" in request.query and not returns.loops(request):
                marked = (*visitor.set_cookies, returns.mark(request))
                return see_other(rd, set_cookies=marked)
            answer = _page(request, rd, visitor=visitor, message=returns.diagnosis(request))
            return with_cookies(answer, visitor.set_cookies)
        case Nobody(set_cookies):
            message = _NOTICES.get(request.query.get("notice", "")) or returns.diagnosis(request)
            return with_cookies(_page(request, rd, message=message), set_cookies)


async def sign_in(request: web.Request) -> web.Response:
    """POST /login."""
    fields: Mapping[str, object] = {}
    try:
        fields = await read_fields(request)
        principal = await _authenticate(request, fields)
        issued = await begin_session(request, principal)
    except Refusal as refusal:
        return _refused(request, fields, refusal)
    except (StoreUnavailable, ProviderUnavailable, TooManyFailures) as error:
        record(request, *_kind_of(error), user=_said_name(fields))
        return _refused(request, fields, as_refusal(error))
    record(request, AuditKind.SIGNED_IN, user=principal.subject, session_id=issued.session_id)
    if wants_page(request):
        return arrive(request, fields, issued)
    body = {"user": user_object(principal), "expires_in": issued.access_lifetime}
    return json_answer(body, set_cookies=issued.set_cookies)


async def begin_session(request: web.Request, principal: Principal) -> Issued:
    """Start a session; what the browser held before, planted or not, ends (SECURITY S10)."""
    try:
        return await request.app[PORTAL].credentials.sign_in(
            principal, device_of(request), cookies_of(request).refresh, shown_access(request)
        )
    except UnfitPrincipal:
        raise Refusal(403, UNFIT_ACCOUNT, "all") from None


def arrive(request: web.Request, fields: Mapping[str, object], issued: Issued) -> web.Response:
    """Send a person who has just signed in where they wanted to go."""
    set_cookies = (*issued.set_cookies, returns.mark(request, arriving=True))
    return see_other(return_target(request, fields), set_cookies=set_cookies)


def return_target(request: web.Request, fields: Mapping[str, object] | None = None) -> str:
    """Return where to go: what the form says, else the address; always a path of ours (O5)."""
    said = (fields or {}).get("rd") or request.query.get("rd")
    return safe_return(said if isinstance(said, str) else None, request.app[PORTAL].public_url)


async def _authenticate(request: web.Request, fields: Mapping[str, object]) -> Principal:
    portal = request.app[PORTAL]
    username = required(fields, "username")
    password = required(fields, "password")
    account, address = fold(username), address_of(request)
    async with portal.throttle.attempt(account, address):
        try:
            principal = await portal.provider.authenticate(username, password)
        except LoginRefused:
            await portal.throttle.failed(account, address)
            record(request, AuditKind.SIGN_IN_FAILED, user=account)
            detail = "The user name or the password is wrong."
            raise Refusal(401, detail, "all", code="wrong-credentials") from None
    await portal.throttle.succeeded(account, address)
    return principal


def _refused(request: web.Request, fields: Mapping[str, object], refusal: Refusal) -> web.Response:
    """Show the form again with the user name kept; programs get the problem as it is."""
    if not (fields and wants_page(request)):
        raise refusal
    answer = _page(
        request,
        return_target(request, fields),
        status=refusal.status,
        error=Fault(_for_people(refusal), refusal.field),
        username=_said_name(fields),
    )
    return with_refusal_headers(answer, refusal)


def _page(
    request: web.Request,
    rd: str,
    *,
    status: int = 200,
    visitor: SignedIn | None = None,
    message: Message | None = None,
    error: Fault | None = None,
    username: str = "",
) -> web.Response:
    return page(
        request,
        "sign_in.html",
        status=status,
        rd=rd,
        rd_query=rd_query(rd),
        signed_in=visitor.principal.subject if visitor else "",
        message=message,
        error=error,
        username=username,
    )


def _said_name(fields: Mapping[str, object]) -> str:
    try:
        return optional(fields, "username")[:256]
    except Refusal:
        return ""


def _for_people(refusal: Refusal) -> str:
    labels = {"username is required.": "Enter your user name."}
    labels["password is required."] = "Enter your password."
    return labels.get(refusal.detail, refusal.detail)


def _kind_of(
    error: StoreUnavailable | ProviderUnavailable | TooManyFailures,
) -> tuple[AuditKind, str]:
    match error:
        case TooManyFailures():
            return AuditKind.SIGN_IN_THROTTLED, "failures"
        case StoreUnavailable():
            return AuditKind.SIGN_IN_UNAVAILABLE, "store"
        case ProviderUnavailable():
            return AuditKind.SIGN_IN_UNAVAILABLE, "provider"
