"""What is printed is what is in effect: it loads again to the very same configuration."""

from pathlib import Path

from gateway.config.effective import rendered
from tests.config.test_example import EXAMPLE, with_examples
from tests.config.written import loaded


def test_every_key_survives_being_printed_and_read_again(tmp_path: Path) -> None:
    for name in ("tls.crt", "tls.key", "ca.crt", "client.crt", "client.key", ".htpasswd"):
        (tmp_path / name).touch()
    config = loaded(tmp_path, with_examples(EXAMPLE.read_text()))

    assert loaded(tmp_path, rendered(config)) == config


def test_cookie_names_are_printed_as_browsers_get_them(tmp_path: Path) -> None:
    text = "public_url: https://a.example\nauth: {transparent_refresh: redirect}\n"
    config = loaded(tmp_path, text)

    again = loaded(tmp_path, rendered(config))

    assert again.cookies == config.cookies
    assert again.cookies.refresh_name == "__Secure-refreshToken"
