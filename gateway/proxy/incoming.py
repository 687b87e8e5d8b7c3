"""From a request's head as it was sent to the request that is decided upon.

Everything malformed or ambiguous ends here, before anything is decided on it.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from gateway.observability.request_id import accepted
from gateway.proxy.framing import Chunked, request_framing
from gateway.proxy.heads import RequestHead
from gateway.proxy.plane import DataPlane, Network
from gateway.proxy.targets import parse_known_target
from gateway.request import (
    Authority,
    BadRequest,
    Request,
    Target,
    parse_authority,
    parse_target,
    split_absolute_form,
)

_KEPT: Final = 512
_KEPT_LENGTH: Final = 512
# Believed from trusted peers only; from anybody else it was never said (SECURITY I4).
_TOLD: Final = frozenset(
    {
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"),
        *("x-forwarded-method", "x-forwarded-uri", "x-original-url", "x-original-uri"),
        "x-original-method",
    }
)


@dataclass(slots=True, eq=False)
class Incoming:
    """A request, and how its body ends."""

    request: Request
    framing: int | Chunked
    expects_continue: bool
    request_id: str


def understand(head: RequestHead, plane: DataPlane, peer: str) -> Incoming:
    """Check a head and make a Request of it. Raises BadRequest."""
    noted = head.noted
    _check_version_and_method(head)
    authority = _authority(noted.get("host"), head.version)
    target, authority = _target(head.target, authority)
    framing: int | Chunked = 0
    if "content-length" in noted or "transfer-encoding" in noted:
        framing = request_framing(
            noted.get("content-length"), noted.get("transfer-encoding"), head.version
        )
    upgrade = "upgrade" in noted and _wants_websocket(head, framing)
    expects_continue = "expect" in noted and _expects_continue(noted["expect"], head.version)
    if "via" in noted and plane.via in noted["via"]:
        raise BadRequest("The request has been here before: a proxy sends it in a circle.", 508)
    scheme, client = plane.scheme, peer
    trusted = is_trusted(peer, plane.trusted_proxies)
    if trusted:
        scheme, client, authority = _as_told(noted, scheme, client, authority, plane)
    else:
        for name in _TOLD & noted.keys():
            del noted[name]
    given_id = noted.get("x-request-id")
    request_id = None
    if given_id is not None:
        request_id = accepted(given_id.decode("latin-1"), trusted=trusted)
    return Incoming(
        Request(
            head.method, scheme, authority, target, noted, noted.get("cookie", b""), client, upgrade
        ),
        framing,
        expects_continue and framing != 0,
        request_id or plane.new_request_id(),
    )


def _check_version_and_method(head: RequestHead) -> None:
    if head.version not in ("1.1", "1.0"):
        status = 400 if head.version == "0.9" else 505
        raise BadRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here.", status)
    if head.method in ("CONNECT", "TRACE", "PRI"):
        raise BadRequest(f"The method {head.method} is not served here.", 405)


def _authority(host: bytes | None, version: str) -> Authority:
    if host is None:
        if version == "1.0":
            return Authority("localhost", None)
        raise BadRequest("The request has no Host header.")
    return _known_authority(host) if len(host) <= _KEPT_LENGTH else _parse_authority(host)


def _target(raw: bytes, authority: Authority) -> tuple[Target, Authority]:
    if raw[:1] == b"/":
        return parse_known_target(raw), authority
    if raw == b"*":
        raise BadRequest("OPTIONS * concerns no resource of this site.", 404)
    split = split_absolute_form(raw.decode("latin-1"))
    if split is None:
        raise BadRequest("The request target is not a path.")
    # RFC 9112 §3.2.2 lets the target win over Host; two that differ are refused instead.
    if parse_authority(split[0]) != authority:
        raise BadRequest("The request target and the Host header name different hosts.")
    return parse_target(split[1]), authority


def _parse_authority(host: bytes) -> Authority:
    return parse_authority(host.decode("latin-1").strip(" \t"))


# Bounded in number here, in length above.
_known_authority = lru_cache(_KEPT)(_parse_authority)


def _wants_websocket(head: RequestHead, framing: int | Chunked) -> bool:
    """Whether the request opens a WebSocket (RFC 6455 §4.1); any other upgrade is ignored.

    A body beside the upgrade is refused: whose bytes would they be (CVE-2026-69243)?
    """
    noted = head.noted
    if noted["upgrade"].strip().lower() != b"websocket":
        return False
    tokens = {token.strip().lower() for token in noted.get("connection", b"").split(b",")}
    if b"upgrade" not in tokens:
        return False
    if head.method != "GET" or head.version != "1.1":
        raise BadRequest("A WebSocket is opened by a GET of HTTP/1.1.")
    if framing != 0 or "content-length" in noted:
        raise BadRequest("A request that opens a WebSocket has no body.")
    return True


def _expects_continue(value: bytes, version: str) -> bool:
    if value.strip().lower() != b"100-continue":
        raise BadRequest("The only expectation understood is 100-continue.", 417)
    return version == "1.1"


def is_trusted(peer: str, trusted: tuple[Network, ...]) -> bool:
    """Whether *peer* is one of *trusted*; a unix socket is, as soon as anybody is."""
    if not trusted:
        return False
    if peer == "unix":
        return True
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in trusted)


def _as_told(
    noted: dict[str, bytes], scheme: str, client: str, authority: Authority, plane: DataPlane
) -> tuple[str, str, Authority]:
    """Believe a trusted proxy about scheme, client and host. What cannot be read is refused."""
    chain = noted.get("x-forwarded-for")
    if chain is not None:
        client = _client_of(chain.decode("latin-1"), plane.trusted_proxies)
    told_scheme = noted.get("x-forwarded-proto")
    if told_scheme is not None:
        scheme = told_scheme.decode("latin-1").rpartition(",")[2].strip().lower()
        if scheme not in ("http", "https"):
            raise BadRequest("X-Forwarded-Proto names no scheme.")
    told_host = noted.get("x-forwarded-host")
    if told_host is not None:
        authority = parse_authority(told_host.decode("latin-1").rpartition(",")[2].strip())
    return scheme, client, authority


def _client_of(chain: str, trusted: tuple[Network, ...]) -> str:
    """Return the last address that no trusted proxy vouches for with its own.

    An address that cannot be read ends the search there: nothing before it is believed.
    """
    client = ""
    for part in reversed(chain.split(",")):
        try:
            address = ip_address(_bare(part.strip()))
        except ValueError:
            if client:
                return client
            raise BadRequest("X-Forwarded-For does not end in an address.") from None
        client = str(getattr(address, "ipv4_mapped", None) or address)
        if not is_trusted(client, trusted):
            return client
    return client


def _bare(written: str) -> str:
    """Return the address of `[v6]:port`, of `v4:port` (Azure's gateways) or `v6%zone` (Go's).

    A zone means something on the proxy's machine only, and may be any text.
    """
    address, _, port = written.partition(":")
    if written[:1] == "[":
        address, closed, _ = written[1:].partition("]")
        if not closed:
            return written
    elif not port.isdecimal():
        address = written
    return address.partition("%")[0]
