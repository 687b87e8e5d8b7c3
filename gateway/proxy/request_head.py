"""The head of a request as the app receives it: our framing, our forwarding and identity headers.

Strip first, add after: nothing that a client sent passes under these names, and nothing that it
says can take one of them away (SECURITY H2, H7, I1).
"""

from gateway.headers.fields import named_by_connection, without_named
from gateway.pipeline import Forward
from gateway.proxy.answer_head import USUAL_CONNECTION
from gateway.proxy.framing import CHUNKED, Chunked
from gateway.request import Request, without_prefix

_AUTHORIZATION = frozenset({b"authorization"})


def request_head(
    request: Request,
    lines: list[bytes],
    framing: int | Chunked,
    decision: Forward,
    *,
    host: bytes | None,
    forwarding: bytes,
    request_id: str,
) -> bytes:
    """Render the head of *request*, whose own headers are *lines*, for an upstream.

    *host* replaces the Host that the client named.
    """
    target = request.target.raw
    prefix = decision.route.strip_prefix
    if prefix is not None:
        target = without_prefix(request.target, prefix)
    connection = request.noted.get("connection")
    if connection is not None and connection not in USUAL_CONNECTION:
        lines = without_named(lines, named_by_connection(connection))
    if decision.hide_authorization:
        lines = without_named(lines, _AUTHORIZATION)
    parts = [
        f"{request.method} {target} HTTP/1.1\r\nHost: ".encode("latin-1"),
        host or request.authority.raw,
        *lines,
    ]
    if decision.cookie:
        parts += (b"\r\nCookie: ", decision.cookie)
    parts += (forwarding, b"\r\nX-Request-Id: ", request_id.encode("ascii"))
    if prefix is not None:
        parts.append(f"\r\nX-Forwarded-Prefix: {prefix}".encode("latin-1", "replace"))
    if decision.authenticated is not None:
        parts.append(decision.authenticated.identity_lines)
    parts.append(_framing_line(request, framing))
    return b"".join(parts)


def _framing_line(request: Request, framing: int | Chunked) -> bytes:
    """Frame the body, and end the head."""
    if framing == CHUNKED:
        return b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    if request.upgrade:
        return b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    if framing or request.noted.get("content-length") is not None:
        return b"\r\nContent-Length: %d\r\n\r\n" % framing
    return b"\r\n\r\n"
