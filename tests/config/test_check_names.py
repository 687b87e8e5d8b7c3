"""What browsers would drop or confuse is refused: cookies, domains, prefixes, headers."""

# ruff: noqa: E501 - a table reads best with one mistake in a line

from pathlib import Path

import pytest

from tests.config.written import SMALLEST, complaints, loaded

HTTPS = SMALLEST + "public_url: https://app.example.com\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cookies: {same_site: None}", "cookies.same_site: browsers refuse SameSite=None without https"),
        ("cookies: {access: a, refresh: A}", "cookies.refresh: both cookies have one name"),
        ("cookies: {access: __Host-a, prefix: none}", "cookies.access: browsers refuse __Host- cookies without https"),
        ("cookies: {access: __Secure-a, prefix: none}", "cookies.access: browsers refuse __Secure- cookies without https"),
        ("cookies: {access: __Host-a}", "cookies.access: write a; prefix: auto adds the strongest"),
        ("cookies: {access: __host-http-a}", "cookies.access: write a; prefix: auto adds the strongest"),
        ("cookies: {domain: example.com}", 'cookies.domain: does not cover the host of public_url, "localhost"'),
        ("cookies: {domain: localhost}", 'cookies.domain: browsers refuse "localhost"'),
        ("tls: {certificate: users.yaml, key: users.yaml}\npublic_url: http://a", "public_url: is http://… though tls serves https"),
        ("proxy_protocol: true", "proxy_protocol: needs trusted_proxies, the addresses that may say who connects"),
        ("operations: 127.0.0.1:8080", "operations: listen has this port already; choose another, such as 127.0.0.1:9091"),
        ("listen: 0.0.0.0:9091\noperations: 127.0.0.1:9091", "operations: listen has this port already"),
        ("listen: unix:/run/a\noperations: unix:/run/a", "operations: listen has this port already"),
        ("auth: {prefix: api}", 'auth.prefix: must be a path such as /api/v1/auth, not "api"'),
        ("auth: {prefix: /}", "auth.prefix: would take every path from the app"),
        ("auth: {prefix: /auth/}", "auth.prefix: without / at its end: /auth"),
        ("auth: {prefix: /auth/*}", "auth.prefix: must be of plain ASCII"),
        ("auth: {prefix: '/a;b'}", "auth.prefix: must be of plain ASCII"),
        ("auth: {prefix: /a/../b}", "auth.prefix: must be a path"),
        ("headers: {user: X-User, email: x_user}", "headers.email: x_user is the header of user already"),
        ("headers: {user: Host}", "headers.user: Host has a meaning of its own; choose one such as X-User"),
        ("headers: {groups: X_Forwarded_For}", "headers.groups: X_Forwarded_For has a meaning of its own"),
    ],
)  # fmt: skip
def test_names_that_cannot_work_over_http_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    told = complaints(tmp_path, f"{SMALLEST}{text}\n")

    assert len(told) == 1, told
    assert message in told[0]


@pytest.mark.parametrize(
    "text",
    [
        "listen: 127.0.0.1:0\noperations: 127.0.0.1:0",
        "listen: 127.0.0.2:9091\noperations: 127.0.0.1:9091",
        "listen: unix:/run/a\noperations: 127.0.0.1:9091",
    ],
)
def test_operations_may_have_the_port_at_another_address(tmp_path: Path, text: str) -> None:
    assert complaints(tmp_path, f"{SMALLEST}public_url: http://a\n{text}\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cookies: {domain: example.org}", "does not cover the host of public_url"),
        ("cookies: {domain: other.example.com}", "does not cover the host of public_url"),
        ("cookies: {domain: ample.com}", "does not cover the host of public_url"),
        ("cookies: {domain: com}", 'browsers refuse "com" as a cookie\'s domain'),
        ("cookies: {domain: '*.example.com'}", "write example.com; a cookie's domain covers"),
        ("cookies: {access: __Host-a, domain: example.com, prefix: none}", "cookies.access: browsers refuse __Host- cookies with a domain"),
        ("cookies: {refresh: __Host-a, prefix: none}\nauth: {transparent_refresh: 'off'}", "cookies.refresh: browsers refuse __Host- cookies below /api/v1/auth alone"),
    ],
)  # fmt: skip
def test_names_that_cannot_work_over_https_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    told = complaints(tmp_path, f"{HTTPS}{text}\n")

    assert len(told) == 1, told
    assert message in told[0]


def test_an_address_has_no_cookie_domain(tmp_path: Path) -> None:
    text = SMALLEST + "public_url: http://192.0.2.1\ncookies: {domain: 192.0.2.1}\n"

    assert 'browsers refuse "192.0.2.1"' in complaints(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("text", "access", "refresh"),
    [
        ("", "__Host-accessToken", "__Host-refreshToken"),
        ("cookies: {domain: example.com}", "__Secure-accessToken", "__Secure-refreshToken"),
        ("auth: {transparent_refresh: 'off'}", "__Host-accessToken", "__Secure-refreshToken"),
        ("auth: {transparent_refresh: redirect}", "__Host-accessToken", "__Secure-refreshToken"),
        ("cookies: {prefix: none}", "accessToken", "refreshToken"),
        ("cookies: {prefix: none, access: __Host-a}", "__Host-a", "refreshToken"),
    ],
)
def test_cookies_get_the_strongest_prefix_that_fits(
    tmp_path: Path, text: str, access: str, refresh: str
) -> None:
    cookies = loaded(tmp_path, f"{HTTPS}{text}\n").cookies

    assert (cookies.access_name, cookies.refresh_name) == (access, refresh)
    assert cookies.secure
