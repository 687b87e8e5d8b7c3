"""The third door: another proxy asks whether a request may pass, and forwards it itself.

Only a trusted proxy may say which request it asks about (CVE-2026-40575); whoever else asks learns
no more than whether the credentials that came along are good.
"""

from collections.abc import Mapping

from gateway.headers.identity import IdentityHeaders
from gateway.pipeline import Authenticated, Decision, Forward, Refuse
from gateway.request import Authority, BadRequest, Request, parse_authority, parse_target


def original_request(request: Request) -> Request | None:
    """Return the request that the other proxy asks about, None if it does not say.

    Traefik and Caddy send X-Forwarded-Method, -Proto, -Host and -Uri; nginx recipes X-Original-URL
    or -URI, and -Method. Where several are there they must agree. Raises BadRequest.
    """
    headers = request.headers
    targets = _said(headers, "x-forwarded-uri", "x-original-uri")
    methods = _said(headers, "x-forwarded-method", "x-original-method")
    scheme, authority = request.scheme, request.authority
    url = headers.get("x-original-url")
    if url is not None:
        scheme, named, target = _parts_of(url)
        if targets and named != authority:
            raise BadRequest("It is said in two ways which host is asked about.")
        authority = named
        targets.add(target)
    if len(targets) > 1 or len(methods) > 1:
        raise BadRequest("It is said in two ways which request is asked about.")
    if not targets:
        return None
    return Request(
        methods.pop() if methods else "GET",
        scheme,
        authority,
        parse_target(targets.pop()),
        request.noted,
        request.cookie,
        request.client,
        upgrade=headers.get("upgrade", "").lower() == "websocket",
    )


def _said(headers: Mapping[str, str], *names: str) -> set[str]:
    """Return all that is said under *names*.

    A proxy replaces the headers of its own dialect only; those of another are its client's, who
    must not be able to choose what is asked about.
    """
    return {headers[name] for name in names if name in headers}


def _parts_of(url: str) -> tuple[str, Authority, str]:
    """Split X-Original-URL into scheme, authority and target. Raises BadRequest."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise BadRequest("X-Original-URL is not a URL.")
    host, slash, path = rest.partition("/")
    return scheme, parse_authority(host), f"/{path}" if slash else "/"


def status_and_lines(decision: Decision, identity: IdentityHeaders) -> tuple[int, bytes]:
    """Return the status, and every configured identity header: empty where there is no value.

    A header left out would let the client's own pass through a proxy that copies (CVE-2026-30851).
    """
    match decision:
        case Forward(authenticated=Authenticated(identity_lines=lines)):
            return 200, lines
        case Forward():
            return 200, identity.render_anonymous()
        case Refuse(status=status) if status == 401 or status >= 500:
            # Who could not be asked has not said no.
            return status, identity.render_anonymous()
        case _:
            return 403, identity.render_anonymous()


def location_line(refused: Refuse, asked: Request | None) -> bytes:
    """Return where the other proxy may send the person instead.

    Recipes answer with 302 or 303, which make a GET of whatever it was, so nothing else is sent.
    """
    if refused.location is None or asked is None or asked.method not in ("GET", "HEAD"):
        return b""
    return f"\r\nLocation: {refused.location}".encode("latin-1")
