"""One canonical spelling of target and host (SECURITY H4–H6, P1, P6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.request import (
    Authority,
    BadRequest,
    Request,
    Target,
    parse_authority,
    parse_target,
    split_absolute_form,
    without_prefix,
)


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/", "/", None),
        ("/a/b.html", "/a/b.html", None),
        ("/a?", "/a", ""),
        ("/a?x=1&y=/../%2e%2e?//", "/a", "x=1&y=/../%2e%2e?//"),
        ("/.well-known/x", "/.well-known/x", None),
        ("/%61dmin", "/admin", None),
        ("/%7Euser", "/~user", None),
        ("/b%C3%BCro", "/büro", None),
        ("/caf%E9", "/café", None),
        ("/a%20b", "/a b", None),
        ("/a|b", "/a|b", None),
        ("/...", "/...", None),
        ("/a:b@c", "/a:b@c", None),
        ("/100%25", "/100%", None),
    ],
)
def test_p1_a_path_is_decoded_once_and_forwarded_as_it_came(raw, path, query):
    assert parse_target(raw) == Target(raw, path, query)


@pytest.mark.parametrize(
    "raw",
    [
        *("", "a", "*", "http://x/", "/a b", "/a\tb", "/a\x00", "/a\x7f", "/ü", "/a#b", "/a\\b"),
        *("/a?b#c", "/a?b c", "/a?\x01", "/%", "/%4", "/%zz", "/a%00b", "/a%0d%0ab", "/a%7f"),
        *("/.", "/..", "/a/./b", "/a/../b", "/a/..", "/%2e%2e/b", "/.%2E/b", "/%2e", "/a/%2e/b"),
        *("/a%2f..%2fb", "/a/..%2fb", "/a%5c..%5cb", "/a%5cb", "/public/..;/admin", "/a/.;x/b"),
        *("/%252e%252e/a", "/a%252f..%252fb", "/%c0%ae%c0%ae/a", "/%c0%af", "/%e0%80%af"),
        *(
            "/%f8%80%80%80%ae%f8%80%80%80%ae/",
            "/%fc%80%80%80%80%ae",
            "/%f0%80%80%af",
            "/a/..%3b/b",
            "/a%255c..%255cb",
            "/..//",
            "//..",
        ),
        *("/public/%252e%252e/admin/%252", "/public/%252e%252e/admin?%25zz", "/a%255cb%25"),
    ],
)
def test_h6_a_target_without_one_safe_meaning_is_refused(raw):
    with pytest.raises(BadRequest):
        parse_target(raw)


@pytest.mark.parametrize(
    ("raw", "path", "readings"),
    [
        ("//a", "//a", {"/a", "/"}),
        ("//a/b", "//a/b", {"/a/b", "/b"}),
        ("///a/b", "///a/b", {"/a/b", "/b"}),
        ("/%2fa/b", "//a/b", {"/%2Fa/b", "/a/b", "/b"}),
        ("/a//b", "/a//b", {"/a/b", "/a/"}),
        ("/a//b/c", "/a//b/c", {"/a/b/c", "/a/c"}),
        ("/a%3fb", "/a?b", {"/a"}),
        ("/a%23b", "/a#b", {"/a"}),
        ("/a%253fb", "/a%3fb", {"/a?b", "/a"}),
        ("/a;x=1/b", "/a;x=1/b", {"/a/b"}),
        ("/a%3bx/b", "/a;x/b", {"/a/b"}),
        ("/a%2fb", "/a/b", {"/a%2Fb"}),
        ("/a%252fb", "/a%2fb", {"/a/b"}),
        ("/%2561", "/%61", {"/a"}),
        ("/a/;x/b", "/a/;x/b", {"/a//b", "/a/b", "/a/"}),
        ("/%2561%25zz", "/%61%zz", {"/a%zz"}),
        ("/100%25", "/100%", set()),
    ],
)
def test_p1_every_other_reading_of_an_ambiguous_path_is_listed(raw, path, readings):
    target = parse_target(raw)

    assert target.path == path
    assert set(target.readings) == readings


@given(st.text(alphabet="/.%2eEfF5cC3bBd;ab0", max_size=24))
def test_h16_what_has_several_meanings_is_worked_out_up_to_a_length_only(text):
    """Each of up to 64 readings costs several passes over the path."""
    try:
        target = parse_target("/" + text + "/a" * 1024)
    except BadRequest:
        return

    assert not target.readings


@pytest.mark.parametrize("again", ["//", "/%2f", "/;", "/%252e", "/%3fa", "/%23", "/%3b"])
def test_h16_a_long_path_of_several_meanings_is_told_to_be_too_long(again):
    with pytest.raises(BadRequest) as refused:
        parse_target("/a" * 1024 + again)

    assert refused.value.status == 414
    assert parse_target("/a" * 1000 + "/b;c").readings


def test_a_path_of_one_meaning_may_be_as_long_as_a_head():
    for raw in ("/a" * 10_000, "/%C3%BC" * 3_000):
        assert not parse_target(raw).readings


@given(st.text(alphabet="/.%2eEfF5cC;ab\\#?0", max_size=24))
def test_p1_no_accepted_target_holds_a_dot_segment_in_any_reading(text):
    try:
        target = parse_target("/" + text)
    except BadRequest:
        return

    for reading in (target.path, *target.readings):
        assert not {".", ".."} & set(reading.split("/"))


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_a_bad_request(text):
    try:
        target = parse_target(text)
    except BadRequest:
        return

    assert target.raw == text


@pytest.mark.parametrize(
    ("raw", "authority"),
    [
        ("example.com", Authority("example.com", None)),
        ("EXAMPLE.com.", Authority("example.com", None)),
        ("Example.com:8080", Authority("example.com", 8080)),
        ("example.com:", Authority("example.com", None)),
        ("127.0.0.1:80", Authority("127.0.0.1", 80)),
        ("[::1]:8080", Authority("[::1]", 8080)),
        ("[::1]", Authority("[::1]", None)),
        ("my_host", Authority("my_host", None)),
        ("xn--bro-hoa.example", Authority("xn--bro-hoa.example", None)),
    ],
)
def test_p6_hosts_compare_without_case_port_or_trailing_dot(raw, authority):
    assert parse_authority(raw) == authority


@pytest.mark.parametrize(
    "raw",
    [
        *("", " ", "a b", "user@host", "host/path", "a,b", "a, b", "host:port", "host:99999"),
        *("host:-1", "host:+1", "host:١", "[::1", "::1", "a..b..:1:2", "hö", "host\\x", "-", "."),
        *(
            "host:80:80",
            "h%6fst",
            "[::1]x",
            "[:::]",
            "[1.2.3.4]",
            "[1:2]",
            "[.]",
            "a\x00b",
            "..",
            "host?",
            "host:000080",
            "host:" + "1" * 5000,
        ),
    ],
)
def test_h4_an_invalid_host_is_refused(raw):
    with pytest.raises(BadRequest):
        parse_authority(raw)


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("/a", None),
        ("http://h/a?b", ("h", "/a?b")),
        ("HTTPS://h:1/", ("h:1", "/")),
        ("http://h", ("h", "/")),
        ("http://h?x=1", ("h", "/?x=1")),
        ("ftp://h/", None),
        ("*", None),
        ("h:443", None),
    ],
)
def test_h5_absolute_form_is_split_into_authority_and_path(raw, parts):
    assert split_absolute_form(raw) == parts


@pytest.mark.parametrize(
    ("raw", "below"),
    [
        ("/admin/x?y=1", "/x?y=1"),
        ("/admin", "/"),
        ("/admin?y", "/?y"),
        ("/admin/%2Bx", "/%2Bx"),
        ("/%61dmin/a%20b", "/a%20b"),
    ],
)
def test_a_prefix_is_stripped_from_the_target_that_goes_on(raw, below):
    assert without_prefix(parse_target(raw), "/admin") == below


def test_what_is_told_later_of_a_request_holds_no_credentials():
    noted = {"user-agent": b"agent", "cookie": b"accessToken=t", "authorization": b"Bearer t"}
    target, authority = parse_target("/ws?x=1"), parse_authority("localhost")
    request = Request("GET", "https", authority, target, noted, b"accessToken=t", "::1", True)

    kept = request.told_later()

    assert (kept.method, kept.scheme, kept.authority, kept.target, kept.client, kept.upgrade) == (
        *("GET", "https", authority, target, "::1", True),
    )
    assert kept.noted == {"user-agent": b"agent"}
    assert kept.cookie == b""
    assert request.noted["cookie"] == b"accessToken=t"
