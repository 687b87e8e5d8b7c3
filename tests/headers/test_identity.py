"""Identity headers carry any name safely (SECURITY H8, I3, I7)."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers.identity import IdentityHeaders, groups_value, header_value
from gateway.identity.principal import Principal


def test_every_configured_header_is_rendered_even_without_a_value():
    lines = IdentityHeaders().render(Principal("alice", groups=("admins", "staff")))

    assert lines == (
        b"\r\nX-Forwarded-User: alice"
        b"\r\nX-Forwarded-Email: "
        b"\r\nX-Forwarded-Preferred-Username: alice"
        b"\r\nX-Forwarded-Groups: admins,staff"
    )


def test_i3_the_anonymous_lines_are_empty_so_that_a_copying_proxy_overwrites():
    headers = IdentityHeaders(email=None, name=None, groups=None, assertion="X-A")

    assert headers.render_anonymous() == b"\r\nX-Forwarded-User: \r\nX-A: "


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("alice", "alice"),
        ("Alice Liddell", "Alice Liddell"),
        ("alice@example.com", "alice@example.com"),
        ("", ""),
        ("Zoë", "Zo%C3%AB"),
        ("a,b", "a,b"),
        ("a\tb", "a%09b"),
        ("a\r\nX-Admin: 1", "a%0D%0AX-Admin: 1"),
        ("50%", "50%25"),
        (" x ", "%20x%20"),
    ],
)
def test_i7_a_value_is_visible_ascii_or_percent_encoded(text, value):
    assert header_value(text) == value


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_h8_a_value_is_one_line_of_ascii_and_loses_nothing(text):
    value = header_value(text)

    assert all(" " <= letter <= "~" for letter in value)
    assert value == value.strip()
    assert unquote(value) == text


def test_a_comma_inside_a_group_is_not_a_second_group():
    assert groups_value(("a,b", "c d")) == "a%2Cb,c d"
