"""What a new user may be: NIST SP 800-63B for passwords, the shape of an e-mail address."""

import pytest

from gateway.identity.common_passwords import COMMON_PASSWORDS
from gateway.identity.registration import (
    SHORTEST,
    Unfit,
    fit_email,
    fit_password,
    fit_username,
)
from gateway.identity.usernames import fold


@pytest.mark.parametrize(
    "password",
    [
        "eight888",
        "correct horse battery staple",
        "пароль-мой",
        "x1" * 512,
        "        a",
        "😀🐴🔋📎" * 2,
    ],
)
def test_a_long_enough_password_is_fit_whatever_it_consists_of(password):
    assert fit_password(password, "alice", "alice@example.com") == password


@pytest.mark.parametrize(
    "password",
    [
        "",
        "seven77",
        "x1" * 513,
        "x" * 1_000_000,
        "lone \ud800 surrogate",
        "Password1",
        "PASSWORD",
        "\uff50assword",
        "qwertyuiop",
        "aaaaaaaaaaaa",
        "        ",
        "Alice.Liddell",
        "ALICE.LIDDELL",
        "alice.l@example.com",
        "wonderland",
    ],
)
def test_short_oversized_common_and_own_names_are_unfit(password):
    email = "alice.l@example.com" if "@" in password else "wonderland@example.com"
    with pytest.raises(Unfit) as unfit:
        fit_password(password, "alice.liddell", email)

    assert unfit.value.field == "password"
    assert not password or password not in str(unfit.value)


def test_without_an_email_nothing_is_compared_with_it():
    assert fit_password("wonderland", "alice")


def test_the_common_passwords_are_written_so_that_they_are_found():
    assert len(COMMON_PASSWORDS) >= 100
    assert all(len(p) >= SHORTEST and fold(p) == p for p in COMMON_PASSWORDS)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("", ""),
        ("  ", ""),
        (" alice@example.com ", "alice@example.com"),
        ("Alice+tag@Example.COM", "Alice+tag@Example.COM"),
        ("a@localhost", "a@localhost"),
        ("josé@exämple.de", "josé@exämple.de"),
    ],
)
def test_addresses_are_kept_as_they_are_written(written, address):
    assert fit_email(written) == address


@pytest.mark.parametrize(
    "written",
    [
        "alice",
        "@example.com",
        "alice@",
        "attacker@evil.com@company.com",
        "a b@example.com",
        "a@example..com",
        "a@.com",
        "a@example.com.",
        "a@example.com\r\nBcc: x@example.com",
        "a@example.com\0",
        "a@exa mple.com",
        "<a@example.com>",
        "a,b@example.com",
        "a" * 250 + "@example.com",
        "a@\ud800.com",
    ],
)
def test_what_is_no_address_is_unfit(written):
    with pytest.raises(Unfit) as unfit:
        fit_email(written)

    assert unfit.value.field == "email"


def test_a_fit_username_is_canonical_and_an_unfit_one_says_why():
    assert fit_username("Alice") == "alice"
    with pytest.raises(Unfit, match="username: ' ' is not allowed"):
        fit_username("a b")
