"""How the portal answers: JSON for programs, pages for people, and one shape for every refusal."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from gateway.decision import code_of
from gateway.identity.principal import Principal
from gateway.portal.portal import PORTAL

# Whose fault it is, only the log says: it names the user and the size of their groups.
UNFIT_ACCOUNT = (
    "Your account cannot be signed in: its groups and claims do not fit into an access token. "
    "Please tell whoever runs this site."
)
# RFC 6750 §3.1: said only where a token came along.
EXPIRED = (
    "WWW-Authenticate",
    'Bearer error="invalid_token", error_description="The access token expired"',
)
FORM_TYPES = ("application/x-www-form-urlencoded",)


@dataclass
class Refusal(Exception):
    """Ends the request with *status*. *field* names the input to correct, `all` the whole form.

    *code* is a fixed word for programs, by default the one that fits the status.
    """

    status: int
    detail: str
    field: str = ""
    retry_after: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    set_cookies: tuple[str, ...] = ()
    code: str = ""

    def __post_init__(self) -> None:
        if not self.code:
            self.code = code_of(self.status)

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase


def wants_page(request: web.Request) -> bool:
    """Whether a person looks at the answer; a form without a word about it was sent by one."""
    if request.content_type == "application/json" and request.body_exists:
        return False
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate"
    accept = request.headers.get("Accept", "").lower()
    if "text/html" in accept:
        return True
    return request.content_type in FORM_TYPES and "application/json" not in accept


def json_answer(
    body: Mapping[str, object], *, status: int = 200, set_cookies: Iterable[str] = ()
) -> web.Response:
    response = web.Response(
        text=json.dumps(body, ensure_ascii=False), content_type="application/json", status=status
    )
    return with_cookies(response, set_cookies)


def problem(refusal: Refusal) -> web.Response:
    """RFC 9457."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    if refusal.field:
        body["field"] = refusal.field
    # As bytes: aiohttp would give a text a charset, a parameter that this media type does not have.
    response = web.Response(
        body=json.dumps(body, ensure_ascii=False).encode(),
        content_type="application/problem+json",
        status=refusal.status,
    )
    return with_refusal_headers(response, refusal)


def with_refusal_headers(response: web.Response, refusal: Refusal) -> web.Response:
    response.headers.update(dict(refusal.headers))
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        response.headers.setdefault("WWW-Authenticate", "Bearer")  # RFC 9110 §11.6.1
    return with_cookies(response, refusal.set_cookies)


def see_other(location: str, *, set_cookies: Iterable[str] = ()) -> web.Response:
    """303 and never 307: a password is not sent on (SECURITY O7)."""
    response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})
    return with_cookies(response, set_cookies)


def with_cookies(answer: web.Response, set_cookies: Iterable[str]) -> web.Response:
    for value in set_cookies:
        answer.headers.add("Set-Cookie", value)
    return answer


def user_object(principal: Principal) -> dict[str, object]:
    return {
        "username": principal.subject,
        "name": principal.name,
        "email": principal.email,
        "groups": list(principal.groups),
    }


def own(request: web.Request, path: str) -> str:
    """Return the address of one of our endpoints."""
    return request.app[PORTAL].prefix + path
