"""Client-sent fields neither pose as ours nor remove ours (SECURITY H7, I1, I2, I5, I6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers.fields import (
    DROPPED,
    HOP_BY_HOP,
    RequestFields,
    ResponseFields,
    named_by_connection,
    without_named,
)

IDENTITY = ("X-Forwarded-User", "Remote-User", "X-Gateway-Assertion")


@pytest.mark.parametrize(
    "name",
    [
        *("X-Forwarded-User", "x-forwarded-user", "X_Forwarded_User", "X.Forwarded.User"),
        *("x-FORWARDED_user", "Remote_User", "REMOTE-USER", "X-Gateway!Assertion", "Forwarded"),
        *("X-Real-IP", "X_Real_IP", "X-Forwarded-Prefix", "Proxy", "X-Rewrite-URL"),
        *("Keep-Alive", "Proxy-Connection", "Trailer", "Proxy-Authorization", "Any_Thing"),
    ],
)
def test_i1_no_spelling_of_a_protected_field_passes(name):
    assert RequestFields(IDENTITY).judge(name.encode()).line is None


@given(
    st.sampled_from(IDENTITY),
    st.lists(st.sampled_from("-_.!#$%&'*+^`|~"), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=32, max_size=32),
)
def test_i1_any_separator_and_case_of_an_identity_header_is_dropped(name, separators, upper):
    parts = iter(separators)
    spelled = "".join(next(parts) if letter == "-" else letter for letter in name)
    spelled = "".join(
        letter.upper() if up else letter.lower() for letter, up in zip(spelled, upper, strict=False)
    )

    assert RequestFields(IDENTITY).judge(spelled.encode()).line is None


@pytest.mark.parametrize("name", ["Accept-Language", "X-Custom", "Content-Type", "sec-ch-ua"])
def test_ordinary_fields_pass_unread(name):
    assert RequestFields(IDENTITY).judge(name.encode()) == (f"\r\n{name}: ".encode(), None)


@pytest.mark.parametrize("name", ["Accept", "Origin", "Authorization", "Sec-Fetch-Mode"])
def test_fields_that_decisions_look_at_pass_and_are_noted(name):
    field = RequestFields(IDENTITY).judge(name.encode())

    assert field == (f"\r\n{name}: ".encode(), name.lower())


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Cookie", "Host"])
def test_h2_framing_cookie_and_host_are_noted_but_never_copied(name):
    assert RequestFields(IDENTITY).judge(name.encode()) == (None, name.lower())


@pytest.mark.parametrize("fields", [RequestFields(IDENTITY), ResponseFields()])
def test_r5_a_flood_of_names_is_neither_kept_without_bound_nor_keeps_others_out(fields):
    for number in range(10_000):
        fields.judge(b"x-%d" % number)

    assert len(fields.known) <= 4096
    verdict = fields.judge(b"Accept")
    assert fields.known[b"Accept"] == verdict


@pytest.mark.parametrize("fields", [RequestFields(IDENTITY), ResponseFields()])
def test_r5_names_that_nobody_uses_twice_for_their_length_are_not_kept(fields):
    fields.judge(b"x" * 10_000)

    assert fields.known == {}


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_h7_no_hop_by_hop_field_passes_either_way(name):
    assert RequestFields(()).judge(name.encode()).line is None
    assert ResponseFields().judge(name.title().encode()).line is None


def test_responses_keep_their_own_fields():
    fields = ResponseFields()

    assert fields.judge(b"Content-Type") == (b"\r\nContent-Type: ", "content-type")
    assert fields.judge(b"X-Anything") == (b"\r\nX-Anything: ", None)
    assert fields.judge(b"Trailer") is DROPPED
    assert fields.judge(b"Set-Cookie") == (None, "set-cookie")


def test_h7_fields_named_by_connection_are_removed_in_any_case():
    names = named_by_connection(b"close, X-Remove ,,cookie")
    lines = [b"\r\nx-reMove: ", b"1", b"\r\nX-Keep: ", b"2"]

    assert names == {b"close", b"x-remove", b"cookie"}
    assert without_named(lines, names) == [b"\r\nX-Keep: ", b"2"]
