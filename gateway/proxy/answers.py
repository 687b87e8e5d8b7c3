"""Answers that the gateway itself gives: problem details for programs, a small page for people."""

import json
from collections.abc import Iterable
from html import escape
from http import HTTPStatus

from gateway.policy.navigation import is_navigation
from gateway.request import Request

_ABOUT_BLANK = "about:blank"
_COMMON = (
    "Cache-Control: no-store",
    "X-Content-Type-Options: nosniff",
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy: no-referrer",
)

# The end of the head of an answer after which the connection closes.
CLOSES = b"\r\nConnection: close\r\n\r\n"
# The rest of a head without a body, for answers that consist of their headers.
EMPTY = b"\r\nContent-Length: 0\r\nCache-Control: no-store"


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    request_id: str = "",
    sign_in: str | None = None,
    extra: Iterable[str] = (),
) -> tuple[bytes, bytes]:
    """Return head lines and body of an `application/problem+json` answer (RFC 9457)."""
    members = {
        "type": _ABOUT_BLANK,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if request_id:
        members["request_id"] = request_id
    if sign_in is not None:
        members["login_url"] = sign_in
    body = json.dumps(members).encode()
    return _head("application/problem+json", len(body), extra), body


def page(
    status: int, detail: str, *, request_id: str = "", extra: Iterable[str] = ()
) -> tuple[bytes, bytes]:
    """Return head lines and body of a page without script, style or outside resources."""
    phrase = HTTPStatus(status).phrase
    reference = f"<p><small>Reference: {escape(request_id)}</small></p>" if request_id else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{phrase}</title></head><body><main>"
        f"<h1>{phrase}</h1><p>{escape(detail)}</p>{reference}</main></body></html>"
    ).encode()
    return _head("text/html; charset=utf-8", len(body), extra), body


def answer(
    request: Request | None,
    status: int,
    detail: str,
    *,
    code: str,
    request_id: str = "",
    sign_in: str | None = None,
    extra: Iterable[str] = (),
) -> tuple[bytes, bytes]:
    """Choose the form that whoever asked can read."""
    if request is not None and is_navigation(
        request.method, request.headers, upgrade=request.upgrade
    ):
        return page(status, detail, request_id=request_id, extra=extra)
    return problem(status, detail, code=code, request_id=request_id, sign_in=sign_in, extra=extra)


def last(status: int, detail: str, *, code: str, extra: Iterable[str] = ()) -> tuple[bytes, bytes]:
    """Return the whole head, and the body, of a problem after which the connection closes."""
    lines, body = problem(status, detail, code=code, extra=extra)
    return status_line(status) + lines + CLOSES, body


def send_to(location: str, status: int) -> tuple[bytes, bytes]:
    """Return head lines and (empty) body of an answer that sends whoever asked to *location*.

    A 307 says nothing else. The request goes on as it was, and a Referrer-Policy here would rule
    it from now on: `Origin: null`, and no Referer, for an app that checks them (Fetch §4.4).
    """
    line = f"Location: {location}"
    if status == HTTPStatus.TEMPORARY_REDIRECT:
        return f"\r\n{line}".encode("latin-1") + EMPTY, b""
    return _head(None, 0, (line,)), b""


def challenge(*, expired: bool) -> str:
    """Return the challenge of a 401 (RFC 6750 §3): which error, only where a token came along."""
    line = 'WWW-Authenticate: Bearer realm="gateway"'
    if not expired:
        return line
    return line + ', error="invalid_token", error_description="The access token expired"'


def status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()


def _head(content_type: str | None, length: int, extra: Iterable[str]) -> bytes:
    lines = ["", *extra, f"Content-Length: {length}", *_COMMON]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join(lines).encode("latin-1")
