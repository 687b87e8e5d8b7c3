"""Durations, sizes, addresses and URLs: what is meant, and what to write instead."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import units
from gateway.config.effective import duration, size
from gateway.config.values import Address, TcpAddress, UnixAddress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("7d", 604800),
        ("0s", 0),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str, expected: float) -> None:
    assert units.seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("15", "a duration needs a unit: write 15s, 15m, 15h or 15d"),
        ("15 m", "must be a duration such as"),
        ("-5s", "must be a duration such as"),
        ("5w", "must be a duration such as"),
        ("", "must be a duration such as"),
        ("٣s", "must be a duration such as"),
        ("1e9s", "must be a duration such as"),
        ("9999d", "must be at most 3650d"),
    ],
)
def test_what_is_no_duration_is_told_what_would_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        units.seconds(text)


@settings(max_examples=100)
@given(st.integers(min_value=0, max_value=3650 * 86_400_000))
def test_every_duration_reads_back_as_it_was_printed(milliseconds: int) -> None:
    assert round(units.seconds(duration(milliseconds / 1000)) * 1000) == milliseconds


@settings(max_examples=100)
@given(st.integers(min_value=0, max_value=2**45))
def test_every_size_reads_back_as_it_was_printed(octets: int) -> None:
    assert units.size(size(octets)) == octets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1024", 1024),
        ("64KiB", 65536),
        ("10 MiB", 10485760),
        ("1kB", 1000),
        ("1GiB", 2**30),
    ],
)
def test_a_size_counts_bytes(text: str, expected: int) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10M", "write 10MiB"),
        ("10mb", "write 10MiB"),
        ("1.5MiB", "must be a size"),
        ("-1", "must be"),
    ],
)
def test_what_is_no_size_is_told_what_would_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        units.size(text)


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("127.0.0.1:8080", TcpAddress("127.0.0.1", 8080), "127.0.0.1:8080"),
        ("[::1]:80", TcpAddress("::1", 80), "[::1]:80"),
        ("[0:0:0::1]:0", TcpAddress("::1", 0), "[::1]:0"),
        ("Local-Host:1", TcpAddress("local-host", 1), "local-host:1"),
        ("unix:/run/g.sock", UnixAddress("/run/g.sock"), "unix:/run/g.sock"),
        ("unix:///run/g.sock", UnixAddress("/run/g.sock"), "unix:/run/g.sock"),
    ],
)
def test_an_address_is_host_and_port_or_a_socket(text: str, expected: Address, shown: str) -> None:
    assert units.address(text) == expected
    assert str(units.address(text)) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8080", "did you mean 127.0.0.1:8080?"),
        ("localhost", "did you mean localhost:8080?"),
        (":8080", "write 127.0.0.1:8080 or 0.0.0.0:8080"),
        ("::1:8080", "an IPv6 address needs brackets"),
        ("[::z]:1", '"::z" is not an IPv6 address'),
        ("127.0.0.1:99999", "the port must be a number from 0 to 65535"),
        ("127.0.0.1:http", "the port must be a number"),
        ("127.0.0.1:٣", "the port must be a number"),
        ("256.0.0.1:1", '"256.0.0.1" is not an IPv4 address'),
        ("a b:1", "is not a host name"),
        ("unix:run/g.sock", "needs an absolute path"),
        ("unix:/" + "x" * 120, "at most 107 bytes"),
    ],
)
def test_what_is_no_address_is_told_what_would_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        units.address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("http://[0::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(text: str, expected: str) -> None:
    assert units.origin(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("example.com", "did you mean http://example.com?"),
        ("ftp://example.com", "must be a URL that begins with http:// or https://"),
        ("https://", "must be a URL that begins with"),
        ("https://example.com/app", "must be scheme://host[:port] alone"),
        ("https://example.com?", "must be scheme://host[:port] alone"),
        ("https://me:pw@example.com", "must not hold a user name or password"),
        ("https://exa mple.com", "must be a URL of visible ASCII characters"),
        ("https://example.com\\@evil", "must be a URL of visible ASCII characters"),
        ("https://example.com:99999", "is not a URL"),
        ("https://example.com:0", "the port must be a number from 1 to 65535"),
        ("https://exämple.com", "must be a URL of visible ASCII characters"),
        ("https://[::1", "is not a URL"),
        ("https://a,b", "is not a host name"),
    ],
)
def test_what_is_no_origin_is_told_what_would_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        units.origin(text)


@given(st.text())
@settings(max_examples=100)
def test_quoted_text_is_short_and_printable(text: str) -> None:
    shown = units.quoted(text)

    assert shown.isprintable()
    assert len(shown) <= 2 + 60 * len("\\U0001f600")
