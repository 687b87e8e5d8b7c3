"""Our cookies are found, hidden from the app, set and cleared (SECURITY C1–C3, I6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers.cookies import CookieTooLarge, our_cookies

HTTP = our_cookies(secure=False)
HTTPS = our_cookies(secure=True)


@pytest.mark.parametrize(
    ("options", "access", "refresh"),
    [
        ({"secure": False}, "accessToken", "refreshToken"),
        ({"secure": True}, "__Host-accessToken", "__Host-refreshToken"),
        (
            {"secure": True, "refresh_path": "/api/v1/auth"},
            "__Host-accessToken",
            "__Secure-refreshToken",
        ),
        (
            {"secure": True, "domain": "example.com"},
            "__Secure-accessToken",
            "__Secure-refreshToken",
        ),
        ({"secure": True, "prefixed": False}, "accessToken", "refreshToken"),
    ],
)
def test_names_carry_the_strongest_prefix_that_fits(options, access, refresh):
    cookies = our_cookies(**options)

    assert (cookies.access_name, cookies.refresh_name) == (access, refresh)


def test_c1_cookies_are_secure_http_only_lax_and_host_wide():
    value = HTTPS.set_access("token", 895)

    assert value == (
        "__Host-accessToken=token; Max-Age=895; Path=/; Secure; HttpOnly; SameSite=Lax"
    )


def test_c3_clearing_uses_the_attributes_of_setting():
    cookies = our_cookies(secure=True, domain="example.com", refresh_path="/api/v1/auth")

    access, refresh = cookies.clear()

    for cleared, name, was_set in (
        (access, "__Secure-accessToken", cookies.set_access("t", 1)),
        (refresh, "__Secure-refreshToken", cookies.set_refresh("t", 1)),
    ):
        assert cleared.startswith(f"{name}=; ")
        assert "Max-Age=0" in cleared
        assert set(was_set.split("; ")[2:]) <= set(cleared.split("; "))


@pytest.mark.parametrize(
    ("header", "access", "refresh", "others"),
    [
        ("accessToken=a; refreshToken=r", "a", "r", ""),
        ("x=1; accessToken=a; y=2", "a", None, "x=1; y=2"),
        ("x=1;accessToken=a;y=2", "a", None, "x=1; y=2"),
        ("AccessToken=a; ACCESSTOKEN=b", None, None, "AccessToken=a; ACCESSTOKEN=b"),
        ("accessToken=a; accessToken=b", None, None, ""),
        ("accessToken=a; accessToken=a", "a", None, ""),
        ("accessToken=", None, None, ""),
        ("accessToken", None, None, "accessToken"),
        ("=accessToken=a; ==refreshToken=r", None, None, ""),
        ("=x; y=1", None, None, "=x; y=1"),
        ('$Version=1; x="; accessToken=a; y="', "a", None, '$Version=1; x="; y="'),
        ("accessToken =a", "a", None, ""),
        ("\xa0accessToken=a; \x85refreshToken\xa0=r; \xa0x=1", None, None, "\xa0x=1"),
        ("", None, None, ""),
        (";;; ; ", None, None, ""),
    ],
)
def test_c2_a_cookie_header_is_split_on_semicolons_only(header, access, refresh, others):
    found = HTTP.find(header)

    assert (found.access, found.refresh, found.others) == (access, refresh, others)


@given(st.text(alphabet=st.characters(min_codepoint=9, max_codepoint=255), max_size=300))
def test_c2_no_header_makes_our_names_reach_the_app(header):
    others = HTTP.find(header).others

    names = {
        pair.strip(" \t").partition("=")[0].rstrip(" \t")
        for pair in others.split(";")
        if "=" in pair
    }
    assert not names & {"accessToken", "refreshToken"}


def test_a_thousand_pairs_are_read_without_trouble():
    header = "; ".join(f"n{i}=v" for i in range(1000)) + "; accessToken=a"

    assert HTTP.find(header).access == "a"


@pytest.mark.parametrize(
    ("value", "ours"),
    [
        (b"accessToken=x; Path=/", True),
        (b"ACCESSTOKEN=x", True),
        (b" refreshtoken =x; Domain=example.com", True),
        (b"=accessToken=x", True),
        (b"accessTokens=x", False),
        (b"session=accessToken=x", False),
        (b"", False),
    ],
)
def test_i6_the_app_cannot_set_cookies_of_our_names(value, ours):
    assert HTTP.owns(value) is ours


def test_a_cookie_that_a_browser_would_drop_is_never_sent():
    with pytest.raises(CookieTooLarge):
        HTTP.set_access("x" * 4096, 1)


SAYS = our_cookies(secure=True, refresh_path="/api/v1/auth", says_session=True)


def test_where_the_refresh_cookie_stays_away_a_third_says_that_there_is_one():
    (value,) = SAYS.set_session(60)

    assert value == (
        "__Secure-refreshTokenHeld=1; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"
    )
    assert HTTPS.set_session(60) == ()


def test_c3_the_third_cookie_goes_with_the_others_and_can_go_alone():
    *others, session = SAYS.clear()

    assert others == list(our_cookies(secure=True, refresh_path="/api/v1/auth").clear())
    assert SAYS.clear_session() == (session,)
    assert session.startswith("__Secure-refreshTokenHeld=; ")
    assert "; Path=/; Secure; HttpOnly; SameSite=Lax" in session
    assert HTTPS.clear_session() == ()


@pytest.mark.parametrize(
    ("header", "session"),
    [
        ("__Secure-refreshTokenHeld=1", True),
        ("a=b; __Secure-refreshTokenHeld=whatever; __Host-accessToken=old", True),
        ("__Host-accessToken=a; __Host-accessToken=b; __Secure-refreshTokenHeld=1", False),
        ("refreshTokenHeld=1", False),
        ("", False),
    ],
)
def test_the_third_cookie_is_found_unless_planted_cookies_make_a_renewal_useless(header, session):
    assert SAYS.find(header).session is session


def test_i6_the_app_neither_sees_nor_sets_the_third_cookie():
    assert (
        SAYS.find("a=b; __Secure-refreshTokenHeld=1; =__Secure-refreshTokenHeld=1").others == "a=b"
    )
    assert SAYS.owns(b"__secure-refreshTokenHeld=1")
    assert not HTTPS.owns(b"__Secure-refreshTokenHeld=1")
    assert not HTTPS.owns(b"=; a=b")
