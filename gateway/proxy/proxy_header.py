"""The PROXY protocol's header, with which a proxy that only passes bytes on tells who connected.

HAProxy's specification, versions 1 and 2 (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt).
No byte behind the header is ever asked for: what follows belongs to TLS or HTTP.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

# A client that the proxy serves without saying who it is; nothing that it claims is believed.
UNKNOWN: Final = "unknown"

_V1: Final = b"PROXY "
_V1_SHORTEST: Final = len(b"PROXY UNKNOWN\r\n")
_V1_LONGEST: Final = 107
_UNKNOWN_LINE: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_PORT: Final = rb"(0|[1-9][0-9]{0,4})"
_TCP_LINE: Final = re.compile(
    rb"PROXY (TCP[46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) %b %b\r\n" % (_PORT, _PORT)
)
_FIELDS: Final = 6
_LARGEST_PORT: Final = 65535

_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_START: Final = 16
# What follows the first 16 bytes. The length field would allow 64 KiB; addresses, identifiers and
# a certificate's name fit into far less, and nginx takes no more either.
_V2_LONGEST: Final = 4096 - _V2_START
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
# What a proxy sends that asks on its own account, such as a health check.
LOCAL_HEADER: Final = _V2 + bytes((_LOCAL, 0, 0, 0))
_TCP4: Final = 0x11
_TCP6: Final = 0x21
# By family and transport: the bytes that addresses and ports take (§2.2).
_ADDRESSES: Final = {0x00: 0, _TCP4: 12, 0x12: 12, _TCP6: 36, 0x22: 36, 0x31: 216, 0x32: 216}
_TLV_CRC32C: Final = 0x03
_TLV_SSL: Final = 0x20
_CLIENT_SSL: Final = 0x01


class BadProxyHeader(Exception):
    """What was sent is no header of the PROXY protocol."""


def missing(head: bytes) -> int:
    """Return how many more bytes surely belong to the header that begins with *head*; 0: whole.

    Raises BadProxyHeader as soon as *head* cannot begin one.
    """
    if head.startswith(_V2[:1]) and head[:12] == _V2[: len(head)]:
        return _missing_of_v2(head)
    if head[:6] == _V1[: len(head)]:
        return max(_V1_SHORTEST - len(head), 0) or _missing_of_v1(head)
    raise BadProxyHeader("it does not begin with a PROXY protocol header")


def source_of(head: bytes) -> str | None:
    """Return the client's address as a whole header names it.

    UNKNOWN where it names none, None where the proxy speaks for itself (LOCAL: a health check).
    Raises BadProxyHeader.
    """
    return _source_of_v2(head) if head.startswith(_V2) else _source_of_v1(head)


def says_tls(head: bytes) -> bool:
    """Whether the proxy says in a whole header that the client came to it over TLS (§2.2.6).

    Only version 2 has a word for it. Raises BadProxyHeader.
    """
    if not head.startswith(_V2) or head[12] == _LOCAL:
        return False
    extensions = _extensions(head, _V2_START + _ADDRESSES[head[13]])
    return any(kind == _TLV_SSL and said[:1] and said[0] & _CLIENT_SSL for kind, said in extensions)


def _missing_of_v1(head: bytes) -> int:
    if b"\n" in head:
        if head.endswith(b"\r\n") and head.count(b"\n") == 1:
            return 0
        raise BadProxyHeader("the line of its PROXY protocol header does not end in CRLF")
    if head.endswith(b"\r"):
        least = 1
    elif head.startswith(b"PROXY UNKNOWN"):
        least = len(b"\r\n")
    else:
        fields = head.split(b" ")
        least = (not fields[-1]) + 2 * (_FIELDS - len(fields)) + len(b"\r\n")
    if least < 1 or len(head) + least > _V1_LONGEST:
        raise BadProxyHeader("the line of its PROXY protocol header is too long")
    return least


def _source_of_v1(head: bytes) -> str:
    if _UNKNOWN_LINE.fullmatch(head):
        return UNKNOWN
    found = _TCP_LINE.fullmatch(head)
    if found is None or max(int(found[4]), int(found[5])) > _LARGEST_PORT:
        raise BadProxyHeader("the line of its PROXY protocol header is malformed")
    kind = IPv4Address if found[1] == b"TCP4" else IPv6Address
    try:
        source, _ = kind(found[2].decode()), kind(found[3].decode())
    except ValueError:
        raise BadProxyHeader("its PROXY protocol header holds a malformed address") from None
    return _written(source)


def _missing_of_v2(head: bytes) -> int:
    if len(head) < _V2_START:
        return _V2_START - len(head)
    if head[12] not in {_LOCAL, _PROXY}:
        raise BadProxyHeader("its PROXY protocol header is of an unknown version or command")
    length = int.from_bytes(head[14:16])
    if length > _V2_LONGEST:
        raise BadProxyHeader("its PROXY protocol header is too long")
    return _V2_START + length - len(head)


def _source_of_v2(head: bytes) -> str | None:
    if head[12] == _LOCAL:
        # §2.2: the rest is discarded, whatever it holds.
        return None
    family = head[13]
    length = _ADDRESSES.get(family)
    if length is None or len(head) < _V2_START + length:
        raise BadProxyHeader("its PROXY protocol header has no valid address block")
    _check_extensions(head, _V2_START + length)
    if family == _TCP4:
        return _written(IPv4Address(head[16:20]))
    if family == _TCP6:
        return _written(IPv6Address(head[16:32]))
    return UNKNOWN


def _check_extensions(head: bytes, at: int) -> None:
    """Walk over the TLVs, and hold the header against its checksum if there is one (§2.2.4)."""
    for kind, said in _extensions(head, at):
        at += 3 + len(said)
        if kind == _TLV_CRC32C:
            without = head[: at - len(said)] + bytes(len(said)) + head[at:]
            if len(said) != 4 or int.from_bytes(said) != crc32c(without):
                raise BadProxyHeader("the checksum of its PROXY protocol header is wrong")


def _extensions(head: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the value of each TLV."""
    while at < len(head):
        end = at + 3 + int.from_bytes(head[at + 1 : at + 3])
        if at + 3 > len(head) or end > len(head):
            raise BadProxyHeader("an extension of its PROXY protocol header is cut off")
        yield head[at], head[at + 3 : end]
        at = end


def _written(address: IPv4Address | IPv6Address) -> str:
    """An IPv4 address in IPv6 clothes is the IPv4 one (SECURITY I4)."""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - bit by bit
        table.append(value)
    return tuple(table)


_TABLE: Final = _crc32c_table()


def crc32c(data: bytes) -> int:
    """Return the checksum of RFC 4960 appendix B (Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
