"""Our keys over time: published first, signing next, verifying long after."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.algorithms import UnfitKey
from gateway.tokens.keys import ACTIVATION_DELAY, KeySet, SigningKey
from tests.fakes import signing_key

SECRET = b"s" * 32
DAY = 86_400.0


def key(kid: str, created: float, algorithm: str = "HS256") -> SigningKey:
    return SigningKey(kid, algorithm, SECRET, SECRET, created)


def test_the_only_key_signs_at_once() -> None:
    assert KeySet((key("a", 100.0),)).signing(100.0).kid == "a"


def test_a_new_key_is_published_at_once_and_signs_after_the_activation_delay() -> None:
    """J6: others must know a key before they meet a token signed with it."""
    keys = KeySet((key("old", 0.0), key("new", 1000.0)))

    assert keys.verifying("new") is not None
    assert keys.signing(1000.0).kid == "old"
    assert keys.signing(1000.0 + ACTIVATION_DELAY - 1).kid == "old"
    assert keys.signing(1000.0 + ACTIVATION_DELAY).kid == "new"


def test_where_no_key_is_known_to_all_yet_every_gateway_picks_the_same() -> None:
    one, two = key("a", 1000.0), key("b", 1001.0)

    assert KeySet((one, two)).signing(1002.0) == one
    assert KeySet((two, one)).signing(1002.0) == one


def test_a_changed_algorithm_is_a_rotation_like_any_other() -> None:
    keys = KeySet((key("old", 0.0, "RS256"), key("new", 1000.0, "ES256")), algorithm="ES256")

    assert keys.signing(1001.0).kid == "old"
    assert keys.signing(2000.0).kid == "new"


def test_an_algorithm_changed_back_signs_with_the_older_key_again() -> None:
    keys = KeySet((key("old", 0.0, "RS256"), key("new", 1000.0, "ES256")), algorithm="RS256")

    assert keys.signing(2000.0).kid == "old"


def test_an_unknown_name_finds_no_key() -> None:
    assert KeySet((key("a", 0.0),)).verifying("b") is None


def test_a_key_is_found_by_its_own_name_among_several() -> None:
    keys = KeySet((signing_key(kid="a"), signing_key(kid="b")))
    found = keys.verifying("b")

    assert found is not None
    assert (found.kid, found.key) == ("b", keys.keys[1].public)


def test_a_set_without_keys_or_with_one_name_twice_is_refused() -> None:
    with pytest.raises(UnfitKey):
        KeySet(())
    with pytest.raises(UnfitKey):
        KeySet((key("a", 0.0), key("a", 1.0)))


def test_the_public_document_has_every_public_key_and_no_private_part() -> None:
    keys = KeySet(
        (
            signing_key("ES256", 1.0, "e"),
            signing_key("EdDSA", 2.0, "o"),
            signing_key("RS256", 3.0, "r"),
            signing_key("HS256", 4.0, "h"),
        )
    )

    document = keys.jwks()["keys"]

    assert [(jwk["kid"], jwk["kty"], jwk["alg"], jwk["use"]) for jwk in document] == [
        ("r", "RSA", "RS256", "sig"),
        ("o", "OKP", "EdDSA", "sig"),
        ("e", "EC", "ES256", "sig"),
    ]
    private = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
    assert all(private.isdisjoint(jwk) for jwk in document)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_the_refresh_secret_is_a_function_of_the_private_key_alone(algorithm: str) -> None:
    one, other = signing_key(algorithm), signing_key(algorithm)
    renamed = SigningKey("other-name", algorithm, one.private, one.public, 77.0)

    assert len(one.refresh_secret()) == 32
    assert renamed.refresh_secret() == one.refresh_secret()
    assert other.refresh_secret() != one.refresh_secret()


def test_the_refresh_secret_never_changes_between_versions() -> None:
    """A changed derivation would sign everybody out at an upgrade."""
    assert key("a", 0.0).refresh_secret().hex() == (
        "88215935ae15df2488109ab3a042c94c3ce884f6d4cc3122d32b446a8a939a72"
    )


def test_refresh_tokens_are_minted_with_the_key_that_signs_and_read_with_all() -> None:
    keys = KeySet((signing_key("HS256", 0.0, "old"), signing_key("HS256", 1000.0, "new")))

    assert [kid for kid, _ in keys.refresh_secrets(1001.0)] == ["old", "new"]
    assert [kid for kid, _ in keys.refresh_secrets(2000.0)] == ["new", "old"]
    assert dict(keys.refresh_secrets(2000.0)) == {
        held.kid: held.refresh_secret() for held in keys.keys
    }


def test_a_key_is_kept_for_the_longest_session_after_it_stopped_signing() -> None:
    keys = KeySet((key("old", 0.0), key("new", 10 * DAY)))
    stopped = 10 * DAY + ACTIVATION_DELAY

    assert keys.retired(stopped + 30 * DAY - 1, keep=30 * DAY) == ()
    assert [held.kid for held in keys.retired(stopped + 30 * DAY, keep=30 * DAY)] == ["old"]


def test_an_old_key_that_still_signs_is_never_retired() -> None:
    keys = KeySet((key("old", 0.0, "RS256"), key("new", 1.0, "ES256")), algorithm="RS256")

    assert keys.retired(1000 * DAY, keep=DAY) == ()


ages = st.lists(st.floats(0, 100 * DAY), min_size=1, max_size=6, unique=True)


@given(ages, st.floats(0, 200 * DAY), st.floats(0, 40 * DAY))
def test_whatever_is_retired_the_signing_key_stays_and_nothing_recent_goes(
    created: list[float], now: float, keep: float
) -> None:
    keys = KeySet(tuple(key(f"k{place}", age) for place, age in enumerate(created)))
    retired = keys.retired(now, keep)
    left = [held for held in keys.keys if held not in retired]

    assert keys.signing(now) in left
    # Had any retired key signed at a moment within the last `keep` seconds, this would find it.
    for moment in (now, now - keep / 2, now - keep + 1e-3):
        if 0 <= now - moment < keep:
            known = [held for held in keys.keys if held.created <= moment]
            assert not known or KeySet(tuple(known)).signing(moment) in left


def test_a_key_shows_its_name_and_never_itself() -> None:
    held = key("a", 0.0)

    assert "a" in repr(held)
    assert repr(SECRET) not in repr(held)
    assert repr(SECRET) not in repr(held.verifying())
