"""Registration: the page, and the making of an account that is signed in at once."""

from collections.abc import Mapping

from aiohttp import web

from gateway.identity.principal import Principal
from gateway.identity.provider import ProviderUnavailable
from gateway.identity.registration import Unfit
from gateway.identity.users import UsernameTaken
from gateway.observability.audit import AuditKind
from gateway.portal.answers import (
    Refusal,
    json_answer,
    user_object,
    wants_page,
    with_refusal_headers,
)
from gateway.portal.client import address_of, record
from gateway.portal.edge import as_refusal
from gateway.portal.intake import optional, read_fields, required
from gateway.portal.pages import Fault, page, rd_query
from gateway.portal.portal import PORTAL, Registrar
from gateway.portal.sign_in import arrive, begin_session, return_target
from gateway.portal.throttle import TooManyFailures
from gateway.sessions.store import StoreUnavailable


async def register_page(request: web.Request) -> web.Response:
    """GET /register."""
    _registrar(request)
    return _page(request, {}, None)


async def register(request: web.Request) -> web.Response:
    """POST /register."""
    registrar = _registrar(request)
    fields: Mapping[str, object] = {}
    try:
        fields = await read_fields(request)
        principal = await _make_account(request, registrar, fields)
        issued = await begin_session(request, principal)
    except Refusal as refusal:
        return _refused(request, fields, refusal)
    except (StoreUnavailable, ProviderUnavailable, TooManyFailures) as error:
        return _refused(request, fields, as_refusal(error))
    record(request, AuditKind.REGISTERED, user=principal.subject, session_id=issued.session_id)
    if wants_page(request):
        return arrive(request, fields, issued)
    return json_answer({"user": user_object(principal)}, status=201, set_cookies=issued.set_cookies)


def _registrar(request: web.Request) -> Registrar:
    registrar = request.app[PORTAL].registrar
    if registrar is None:
        raise Refusal(403, "Nobody can register here. Ask whoever runs this site for an account.")
    return registrar


async def _make_account(
    request: web.Request, registrar: Registrar, fields: Mapping[str, object]
) -> Principal:
    username = required(fields, "username")
    password = required(fields, "password")
    email = optional(fields, "email")
    address = address_of(request)
    await request.app[PORTAL].throttle.registering(address)
    try:
        return await registrar.register(username, password, email)
    except UsernameTaken:
        record(request, AuditKind.REGISTRATION_REFUSED, "taken", user=username)
        raise Refusal(409, "This user name is taken.", "username") from None
    except Unfit as unfit:
        record(request, AuditKind.REGISTRATION_REFUSED, "unfit", detail=unfit.field)
        label = _LABELS.get(unfit.field, unfit.field)
        raise Refusal(422, f"{label} {unfit.message}.", unfit.field) from None


def _refused(request: web.Request, fields: Mapping[str, object], refusal: Refusal) -> web.Response:
    if not (fields and wants_page(request)):
        raise refusal
    answer = _page(request, fields, refusal)
    return with_refusal_headers(answer, refusal)


def _page(
    request: web.Request, fields: Mapping[str, object], refusal: Refusal | None
) -> web.Response:
    rd = return_target(request, fields)
    return page(
        request,
        "register.html",
        status=refusal.status if refusal else 200,
        rd=rd,
        rd_query=rd_query(rd),
        error=Fault(refusal.detail, refusal.field) if refusal else None,
        username=str(fields.get("username", ""))[:256],
        email=str(fields.get("email", ""))[:256],
        password_hint="At least 8 characters. A few unrelated words make a good one.",  # noqa: S106
    )


_LABELS = {"username": "The user name", "password": "The password", "email": "This"}
