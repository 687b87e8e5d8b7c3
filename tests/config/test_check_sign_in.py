"""Keys, lifetimes, stores and providers that contradict each other do not start."""

# ruff: noqa: E501 - a table reads best with one mistake in a line

from pathlib import Path

import pytest

from tests.config.written import SMALLEST, complaints, loaded, warnings

SECRET = "Q7r0aZk2p9Lw5xN3vB8cT1yH6mF4jD0s"
HS256 = SMALLEST + "tokens: {algorithm: HS256, keys: [{secret: '%s'}]}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auth: {registration: true}", "auth.registration: needs a place for new users"),
        ("  - database: sqlite:///data/users.db\n  - upstream: {url: 'http://127.0.0.1/login'}\nauth: {registration: true}", "auth.registration: is impossible beside login by upstream"),
        (f"tokens: {{algorithm: HS256, keys: [{{secret: {SECRET}}}]}}\nheaders: {{assertion: X-Assertion}}", "headers.assertion: needs keys that can be published"),
        ("tokens: {algorithm: HS256}", "tokens.algorithm: HS256 needs keys: [{secret: ${TOKEN_SECRET}}]"),
        (f"tokens: {{keys: [{{secret: {SECRET}}}]}}", "tokens.keys: secrets are for HS256; ES256 needs the name of a folder"),
        ("tokens: {access_lifetime: 7d}", "tokens.access_lifetime: must be shorter than sessions.idle_lifetime"),
        ("sessions: {idle_lifetime: 31d}", "sessions.idle_lifetime: must not be longer than sessions.absolute_lifetime"),
        ("sessions: {idle_lifetime: 90s}\ntokens: {access_lifetime: 1s}", "sessions.grace: grace and delivery together must be shorter"),
        ("sessions: {store: 'memory:'}\nworkers: 2", "sessions.store: memory: is not shared between workers"),
        ("sessions: {store: 'memory:'}\nworkers: auto", "sessions.store: memory: is not shared between workers"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused(tmp_path: Path, text: str, message: str) -> None:
    told = complaints(tmp_path, f"{SMALLEST}{text}\n")

    assert len(told) == 1, told
    assert message in told[0]


@pytest.mark.parametrize(
    "secret",
    [
        "short",
        "changeme-changeme-changeme-changeme",
        "a" * 64,
        "-----BEGIN PRIVATE KEY----- MC4CAQAwBQYDK2VwBCIEIJ",
        '{"kty":"oct","k":"Q7r0aZk2p9Lw5xN3vB8cT1yH6mF4jD0s"}',
    ],
)
def test_a_secret_that_others_know_or_guess_is_refused_unseen(tmp_path: Path, secret: str) -> None:
    """SECURITY J2."""
    told = complaints(tmp_path, HS256 % secret)

    assert len(told) == 1, told
    assert told[0].startswith("config.yaml:8:")
    assert "tokens.keys[0].secret: " in told[0]
    assert secret not in told[0]


def test_a_good_secret_starts(tmp_path: Path) -> None:
    config = loaded(tmp_path, HS256 % SECRET)

    assert config.tokens.key_folder is None
    assert [secret.reveal() for secret in config.tokens.secrets] == [SECRET]


def test_registration_with_a_database_starts(tmp_path: Path) -> None:
    text = SMALLEST + "  - database: sqlite:///data/users.db\nauth: {registration: yes}\n"

    assert loaded(tmp_path, text).auth.registration


def test_routes_that_need_sign_in_need_a_way_to_sign_in(tmp_path: Path) -> None:
    without = SMALLEST.partition("login:")[0]

    told = complaints(tmp_path, without)

    assert len(told) == 1
    assert "login: is empty, but routes[0] (/*) needs sign-in" in told[0]
    for access in ("public", "optional"):
        assert complaints(tmp_path, f"{without}    access: {access}\n") == []
    accepted = "tokens: {accept: [{issuer: i, jwks: 'https://i/j', audience: a}]}\n"
    assert complaints(tmp_path, without + accepted) == []


def test_renewals_that_seldom_rotate_are_warned_about(tmp_path: Path) -> None:
    told = warnings(tmp_path, SMALLEST + "tokens: {access_lifetime: 10s}\n")

    assert len(told) == 1
    assert "tokens.access_lifetime: is shorter than sessions.grace and sessions.delivery" in told[0]
