"""What an upstream is told about the client: the X-Forwarded family, as one set, and Via."""

from gateway.request import Request


def forwarding_lines(request: Request, peer: str, via: bytes, version: str) -> bytes:
    """Render the lines, each begun by CRLF (SECURITY I5, RFC 9110 §7.6.3).

    *version* is the HTTP version that the client spoke.
    """
    chain = request.client if request.client == peer else f"{request.client}, {peer}"
    port = request.authority.port or (443 if request.scheme == "https" else 80)
    return (
        f"\r\nX-Forwarded-For: {chain}"
        f"\r\nX-Forwarded-Proto: {request.scheme}"
        f"\r\nX-Forwarded-Host: {request.authority}"
        f"\r\nX-Forwarded-Port: {port}"
        f"\r\nX-Real-IP: {request.client}"
        f"\r\nVia: {version} "
    ).encode("latin-1") + via
