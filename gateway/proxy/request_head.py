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
    rendered: "Rendered | None" = None,
) -> bytes:
    """Render the head of *request*, whose own headers are *lines*, for an upstream.

    *host* replaces the Host that the client named. *rendered* is what was rendered for these very
    headers before.
    """
    target = request.target.raw
    prefix = decision.route.strip_prefix
    if prefix is not None:
        target = without_prefix(request.target, prefix)
    start = f"{request.method} {target} HTTP/1.1\r\nHost: ".encode("latin-1")
    if rendered is None:
        before_id, after_id = _around_id(request, lines, decision, host, forwarding)
    else:
        before_id, after_id = rendered.around_id(request, lines, decision, host, forwarding)
    end = _framing_line(request, framing)
    return b"".join((start, before_id, request_id.encode("ascii"), after_id, end))


class Rendered:
    """What of a head comes back with every request that brings the same headers.

    Rendered anew as soon as anything that it is made of is another.
    """

    __slots__ = ("_after_id", "_before_id", "_decision", "_forwarding", "_host", "_identity")

    def __init__(self) -> None:
        self._decision: Forward | None = None
        self._identity: bytes | None = None
        self._host: bytes | None = None
        self._forwarding = b""
        self._before_id = b""
        self._after_id = b""

    def around_id(
        self,
        request: Request,
        lines: list[bytes],
        decision: Forward,
        host: bytes | None,
        forwarding: bytes,
    ) -> tuple[bytes, bytes]:
        """Return what comes before and after the request's id."""
        authenticated = decision.authenticated
        identity = None if authenticated is None else authenticated.identity_lines
        if (
            decision is not self._decision
            or identity is not self._identity
            or host is not self._host
            or forwarding != self._forwarding
        ):
            self._before_id, self._after_id = _around_id(request, lines, decision, host, forwarding)
            self._decision, self._identity = decision, identity
            self._host, self._forwarding = host, forwarding
        return self._before_id, self._after_id


def _around_id(
    request: Request,
    lines: list[bytes],
    decision: Forward,
    host: bytes | None,
    forwarding: bytes,
) -> tuple[bytes, bytes]:
    """Return what follows `Host: ` up to the request's id, and what follows that."""
    connection = request.noted.get("connection")
    if connection is not None and connection not in USUAL_CONNECTION:
        lines = without_named(lines, named_by_connection(connection))
    if decision.hide_authorization:
        lines = without_named(lines, _AUTHORIZATION)
    before = [host or request.authority.raw, *lines]
    if decision.cookie:
        before += (b"\r\nCookie: ", decision.cookie)
    before += (forwarding, b"\r\nX-Request-Id: ")
    after = []
    prefix = decision.route.strip_prefix
    if prefix is not None:
        after.append(f"\r\nX-Forwarded-Prefix: {prefix}".encode("latin-1", "replace"))
    if decision.authenticated is not None:
        after.append(decision.authenticated.identity_lines)
    return b"".join(before), b"".join(after)


def _framing_line(request: Request, framing: int | Chunked) -> bytes:
    """Frame the body, and end the head."""
    if framing == 0 and "content-length" not in request.noted and not request.upgrade:
        return b"\r\n\r\n"
    if framing == CHUNKED:
        return b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    if request.upgrade:
        return b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    return b"\r\nContent-Length: %d\r\n\r\n" % framing
