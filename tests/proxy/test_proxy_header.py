"""The PROXY protocol's header: who it names, where it ends, and what is none."""

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.proxy_header import (
    LOCAL_HEADER,
    UNKNOWN,
    BadProxyHeader,
    crc32c,
    missing,
    says_tls,
    source_of,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes((192, 0, 2, 7, 198, 51, 100, 1)) + b"\xd4\x31\x01\xbb"
V6 = ipaddress.ip_address("2001:db8::7").packed + bytes(16) + b"\xd4\x31\x01\xbb"

LONGEST_PAIR = b" ".join([b"ffff:" * 7 + b"ffff"] * 2)


def v2(family: int, rest: bytes, *, command: int = 0x21, length: int | None = None) -> bytes:
    size = len(rest) if length is None else length
    return SIGNATURE + bytes((command, family)) + size.to_bytes(2) + rest


def extension(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2) + value


def checked(family: int, rest: bytes) -> bytes:
    """Add the checksum as HAProxy does."""
    blank = v2(family, rest + extension(3, bytes(4)))
    return v2(family, rest + extension(3, crc32c(blank).to_bytes(4)))


def read(data: bytes, piece: int = 1 << 20) -> tuple[str | None, bytes]:
    """Read a header as a connection does, at most *piece* bytes at once; return what follows."""
    head = b""
    while (wanted := missing(head)) and len(head) < len(data):
        head += data[len(head) : len(head) + min(wanted, piece)]
    assert missing(head) == 0, "it is not whole"
    return source_of(head), data[len(head) :]


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 54321 443\r\n", "192.0.2.7"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", "1.2.3.4"),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 2001:db8::7 2001:DB8::1 54321 443\r\n", "2001:db8::7"),
        (b"PROXY TCP6 :: ::1 1 1\r\n", "::"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 1\r\n", "192.0.2.7"),
        (b"PROXY TCP6 " + LONGEST_PAIR + b" 65535 65535\r\n",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        (b"PROXY UNKNOWN\r\n", UNKNOWN),
        (b"PROXY UNKNOWN whatever there is, 192.0.2.7\r\n", UNKNOWN),
        (b"PROXY UNKNOWN " + LONGEST_PAIR + b" 65535 65535\r\n", UNKNOWN),
        (v2(0x11, V4), "192.0.2.7"),
        (v2(0x21, V6), "2001:db8::7"),
        (v2(0x21, b"\0" * 10 + b"\xff\xff" + V4[:4] + V6[16:]), "192.0.2.7"),
        (v2(0x11, V4 + extension(4, b"")), "192.0.2.7"),
        (v2(0x11, V4 + extension(1, b"h2") + extension(0x20, b"\1" * 300)), "192.0.2.7"),
        (v2(0x11, V4 + extension(0xEA, b"\1vpce-08d2bf15fac5001c9")), "192.0.2.7"),
        (v2(0x11, V4 + extension(4, b"x" * 4065)), "192.0.2.7"),
        (checked(0x11, V4 + extension(2, b"app.example.com")), "192.0.2.7"),
        (checked(0x21, V6), "2001:db8::7"),
        (v2(0x00, b""), UNKNOWN),
        (v2(0x00, extension(4, b"xyz")), UNKNOWN),
        (v2(0x12, V4), UNKNOWN),
        (v2(0x22, V6), UNKNOWN),
        (v2(0x31, b"/run/a.sock".ljust(216, b"\0")), UNKNOWN),
        (v2(0x32, bytes(216)), UNKNOWN),
        (LOCAL_HEADER, None),
        (v2(0x11, V4, command=0x20), None),
        (v2(0xFF, b"anything", command=0x20), None),
    ],
)  # fmt: skip
def test_a_header_names_the_client_and_ends_where_it_ends(header: bytes, source: str | None):
    for piece in (1, 2, 7, 1 << 20):
        assert read(header, piece) == (source, b"")
        for after in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", header):
            assert read(header + after, piece) == (source, after)


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"proxy TCP4 1.2.3.4 5.6.7.8 1 1\r\n",
        b" PROXY TCP4 1.2.3.4 5.6.7.8 1 1\r\n",
        b"PROXYTCP4 1.2.3.4 5.6.7.8 1 1\r\n",
        b"PROXY \r\n padding that goes on",
        b"PROXY TCP4\r\n padding that goes on",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 1\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 1\r \r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 1 \r\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 1\r\n",
        b"PROXY TCP4 1.2.3.04 5.6.7.8 1 1\r\n",
        b"PROXY TCP4 1.2.3.256 5.6.7.8 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7 1 1\r\n",
        b"PROXY TCP4 1.2.3.4, 5.6.7.8 1 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 1\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 1\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
        b"PROXY TCP5 1.2.3.4 5.6.7.8 1 1\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 1\r\n",
        b"PROXY UNKNOWNED 1.2.3.4 5.6.7.8 1 1\r\n",
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
        b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
        b"PROXY TCP4" + b" " * 200 + b"\r\n",
        SIGNATURE[:-1] + b"!" + v2(0x11, V4)[12:],
        v2(0x11, V4, command=0x11),
        v2(0x11, V4, command=0x31),
        v2(0x11, V4, command=0x22),
        v2(0x10, V4),
        v2(0x01, b""),
        v2(0x41, V6),
        v2(0x13, V4),
        v2(0x11, V4[:-1]),
        v2(0x21, V4),
        v2(0x31, bytes(215)),
        v2(0x11, V4, length=4081),
        v2(0x11, V4, length=65535),
        v2(0x11, V4 + b"\4"),
        v2(0x11, V4 + b"\4\0"),
        v2(0x11, V4 + b"\4\0\5abcd"),
        v2(0x11, V4 + extension(3, bytes(4))),
        v2(0x11, V4 + extension(3, b"")),
        v2(0x11, V4 + extension(3, crc32c(v2(0x11, V4 + extension(3, b""))).to_bytes(4)[:3])),
        checked(0x11, V4)[:-1] + b"\0",
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_what_is_no_header_is_refused(header: bytes, piece: int):
    with pytest.raises(BadProxyHeader):
        read(header + b"GET / HTTP/1.1\r\n\r\n" * 300, piece)


SSL = bytes((0x01, 0, 0, 0, 0)) + extension(0x21, b"TLSv1.3")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (v2(0x11, V4 + extension(0x20, SSL)), True),
        (v2(0x21, V6 + extension(4, bytes(9)) + extension(0x20, SSL)), True),
        (v2(0x00, extension(0x20, SSL)), True),
        (checked(0x11, V4 + extension(0x20, b"\1")), True),
        (v2(0x11, V4 + extension(0x20, b"\0" + SSL[1:])), False),
        (v2(0x11, V4 + extension(0x20, b"")), False),
        (v2(0x11, V4 + extension(0x21, SSL)), False),
        (v2(0x11, V4), False),
        (v2(0x11, V4 + extension(0x20, SSL), command=0x20), False),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 443\r\n", False),
    ],
)
def test_who_came_to_the_proxy_over_tls_is_told_by_it(header: bytes, said: bool):
    read(header, 1 << 20)
    assert says_tls(header) is said


def test_the_checksum_is_that_of_rfc_3720():
    """Appendix B.4, and the check value of the catalogue of CRCs."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
ports = st.integers(0, 65535)
extensions = st.lists(
    st.tuples(st.integers(4, 255), st.binary(max_size=200)).map(lambda e: extension(*e)), max_size=5
).map(b"".join)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str]:
    source = draw(addresses)
    kind = st.ip_addresses(v=source.version)
    destination, from_port, to_port = draw(kind), draw(ports), draw(ports)
    name = str(getattr(source, "ipv4_mapped", None) or source)
    if draw(st.booleans()):
        line = f"PROXY TCP{source.version} {source} {destination} {from_port} {to_port}\r\n"
        return line.encode(), name
    block = source.packed + destination.packed + from_port.to_bytes(2) + to_port.to_bytes(2)
    family = {4: 0x11, 6: 0x21}[source.version]
    make = draw(st.sampled_from([v2, checked]))
    return make(family, block + draw(extensions)), name


@given(headers(), st.binary(max_size=50), st.lists(st.integers(1, 40), min_size=1))
def test_any_header_is_read_in_any_pieces_and_never_a_byte_behind_it(header, after, pieces):
    encoded, name = header
    data, head = encoded + after, b""
    while wanted := missing(head):
        pieces = pieces[1:] + pieces[:1]
        assert len(head) + wanted <= len(encoded), "a byte that is not the header's is asked for"
        head += data[len(head) : len(head) + min(wanted, pieces[0])]

    assert head == encoded
    assert source_of(head) == name


beginnings = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1", b"PROXY UNKNOWN", SIGNATURE, v2(0x11, V4)]
)


@given(beginnings, st.binary(max_size=300) | st.text("0123456789.: \r\nA", max_size=200))
def test_anything_else_is_refused_within_bounds_and_never_waited_for_in_vain(begun, rest):
    data = begun + (rest if isinstance(rest, bytes) else rest.encode())
    head = b""
    with contextlib.suppress(BadProxyHeader):
        while (wanted := missing(head)) and len(head) < len(data):
            head += data[len(head) : len(head) + wanted]
            assert len(head) <= 4096
        assert wanted >= 0
        if not wanted:
            source = source_of(head)
            assert source in (None, UNKNOWN) or ipaddress.ip_address(source)
