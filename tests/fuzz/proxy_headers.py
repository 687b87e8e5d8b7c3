"""The PROXY protocol's header: read byte for byte, never a byte of what follows it."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.proxy.proxy_header import UNKNOWN, BadProxyHeader, missing, source_of
from tests.fuzz.stage import Finding

_LONGEST = 4096
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN[^\r\n]*|TCP([46]) (\S+) (\S+) ([0-9]{1,5}) ([0-9]{1,5}))\r\n"
)
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def proxy_header(data: bytes) -> None:
    """I4: what is asked for belongs to the header, and what it names is an address or nobody."""
    try:
        head = _asked_for(data)
        if head is None:
            return
        source = source_of(head)
    except BadProxyHeader:
        return
    _asks_for_no_byte_too_many(head)
    if source not in (None, UNKNOWN, *_named(head)):
        raise Finding(f"{head!r} names {source!r}")


def _asked_for(data: bytes) -> bytes | None:
    head = b""
    while least := missing(head):
        if len(head) + least > len(data):
            return None
        head = data[: len(head) + least]
        if len(head) > _LONGEST:
            raise Finding(f"{len(head)} bytes are kept")
    return head


def _asks_for_no_byte_too_many(head: bytes) -> None:
    for end in range(len(head)):
        if not 0 < missing(head[:end]) <= len(head) - end:
            raise Finding(f"after {end} bytes {missing(head[:end])} of {len(head) - end} are asked")


def _named(head: bytes) -> list[str]:
    """The address that another reader finds, as it may be written."""
    if head.startswith(_SIGNATURE):
        if len(head) != 16 + int.from_bytes(head[14:16]):
            raise Finding("the header ends somewhere else")
        if head[12] == 0x20:
            return []  # the proxy speaks for itself
        if head[13] == 0x11:
            return [str(IPv4Address(head[16:20]))]
        found = IPv6Address(head[16:32]) if head[13] == 0x21 else None
    else:
        line = _LINE.fullmatch(head)
        if line is None:
            raise Finding(f"{head!r} is no header")
        found = ip_address(line[2].decode()) if line[2] else None
    return [] if found is None else [str(getattr(found, "ipv4_mapped", None) or found)]
