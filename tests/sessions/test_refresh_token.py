import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.sessions.refresh_token import BadRefreshToken, RefreshToken, UnknownKey, mint, prove
from tests.sessions.examples import SESSION_ID

SECRETS = (("new", b"n" * 32), ("old", b"o" * 32))
TOKEN = mint(SECRETS, SESSION_ID, 7)


def test_a_token_proves_its_session_and_generation():
    assert prove(TOKEN, SECRETS) == RefreshToken(SESSION_ID, 7, "new")


def test_the_successor_is_a_pure_function_of_key_session_and_generation():
    assert mint(SECRETS, SESSION_ID, 8) == mint(SECRETS, SESSION_ID, 8)
    assert len({mint(SECRETS, SESSION_ID, g) for g in range(1, 50)}) == 49
    assert mint(SECRETS, SESSION_ID, 8) != mint(SECRETS, "B" * 22, 8)


def test_the_mac_is_the_specified_one():
    import base64
    import hashlib
    import hmac

    head = f"gr1.new.{SESSION_ID}.7"
    mac = hmac.new(b"n" * 32, b"refresh\x00" + head.encode(), hashlib.sha256).digest()[:16]

    assert f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}" == TOKEN


def test_a_token_of_an_older_key_is_good_and_new_ones_are_minted_with_the_newest():
    older = mint(SECRETS[1:], SESSION_ID, 7)

    assert prove(older, SECRETS).key_id == "old"
    assert mint(SECRETS, SESSION_ID, 7).startswith("gr1.new.")


@pytest.mark.parametrize(
    "token", [mint((("gone", b"x" * 32),), SESSION_ID, 1), "gr2.a.b", "gr10.x"]
)
def test_a_token_of_a_key_or_format_that_is_not_here_is_told_apart(token):
    with pytest.raises(UnknownKey):
        prove(token, SECRETS)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "gr1",
        "gr1.....",
        TOKEN + "A",
        TOKEN[:-1],
        TOKEN + "=",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.replace(".7.", ".07."),
        TOKEN.replace(".7.", ".+7."),
        TOKEN.replace(".7.", ".\u0667."),
        TOKEN.replace(".7.", ".8."),
        TOKEN.replace(".7.", ".0."),
        TOKEN.replace(".7.", ".-7."),
        TOKEN.replace("new", "old"),
        TOKEN.upper(),
        TOKEN.replace("A", "B", 1),
        "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
        "x" * 129,
        "gr2." + "x" * 129,
        "gr1.new." + SESSION_ID + ".99999999999." + "A" * 22,
    ],
)
def test_anything_else_proves_nothing(token):
    with pytest.raises(BadRefreshToken) as caught:
        prove(token, SECRETS)
    assert type(caught.value) is BadRefreshToken


@settings(max_examples=200)
@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(string.printable))
def test_a_token_with_any_character_altered_is_refused(place, character):
    assume(TOKEN[place] != character)

    with pytest.raises(BadRefreshToken):
        prove(TOKEN[:place] + character + TOKEN[place + 1 :], SECRETS)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_no_text_does_worse_than_prove_nothing(text):
    with pytest.raises(BadRefreshToken):
        prove(text, SECRETS)
