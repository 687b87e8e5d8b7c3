"""Where an answer ends: decided from its head, and for one without a length from how it is closed.

An answer that two programs could measure differently is no answer (RFC 9112 §6.3; SECURITY H3).
"""

import asyncio
import ssl
from typing import Literal

from gateway.proxy.framing import CHUNKED
from gateway.proxy.heads import BadResponse, ResponseHead

UntilClose = Literal["until close"]
UNTIL_CLOSE: UntilClose = "until close"
ResponseFraming = int | Literal["chunked", "until close"]


def announced_end(transport: asyncio.Transport) -> bool:
    """Whether the upstream itself has ended the connection, as far as that can be known.

    Over TLS it says so; without that, anybody on the way may have cut the answer short (RFC 9112
    §9.8).
    """
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLError:
        return False


def announces_body(head: ResponseHead) -> bool:
    """Whether the upstream may send a body where none can be, and so into the next answer."""
    noted = head.noted
    return "transfer-encoding" in noted or noted.get("content-length", b"0") != b"0"


def response_framing(head: ResponseHead, *, asked_for_head: bool) -> ResponseFraming:
    """Decide how the answer's body ends (RFC 9112 §6.3). Raises BadResponse."""
    noted = head.noted
    encoding = noted.get("transfer-encoding")
    length = noted.get("content-length")
    if encoding is not None and (
        length is not None
        or encoding.strip(b" \t").lower() != b"chunked"
        # RFC 9112 §6.1: whoever speaks HTTP/1.0 cannot have meant it.
        or head.version == "1.0"
    ):
        raise BadResponse("its framing is ambiguous")
    if length is not None and not length.isdigit():
        # The parser keeps blanks behind a value.
        length = noted["content-length"] = length.strip(b" \t")
    if length is not None and not (length.isdigit() and len(length) < 19):
        raise BadResponse("its length is not a number")
    if asked_for_head or head.status in (204, 304) or head.status < 200:
        return 0
    if encoding is not None:
        return CHUNKED
    return UNTIL_CLOSE if length is None else int(length)
