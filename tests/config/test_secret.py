"""A secret is shown by nothing but `reveal`."""

import pytest

from gateway.config.secret import Secret, secret_url


def test_no_way_of_printing_shows_a_secret() -> None:
    secret = Secret("hunter2")

    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pw@h/d", "postgresql://u:********@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql:///d?password=pw", "postgresql:///d?********"),
        ("redis://:p@w:x@h", "redis://:********@h"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert str(secret_url(url)) == shown
    assert secret_url(url).reveal() == url


def test_equal_secrets_are_equal_whatever_they_show() -> None:
    assert Secret("a", "x") == Secret("a", "y") != Secret("b", "x")
