"""One canonical spelling for every user name (O12)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.usernames import LONGEST, UnfitUsername, canonical, fold


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("alice", "alice"),
        ("Alice", "alice"),
        ("  ALICE\t", "alice"),
        ("\uff41lice", "alice"),  # full-width letters
        ("ﬁona", "fiona"),  # a ligature
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ΌΣΟΣ", "όσοσ"),  # capital and both small sigmas are one letter
        ("Όσος", "όσοσ"),
        ("Zoe\u0308", "zoë"),  # combining diaeresis
        ("a.b-c_d+e@Example.COM", "a.b-c_d+e@example.com"),
        ("_service", "_service"),
        ("7of9", "7of9"),
        ("用户", "用户"),
    ],
)
def test_spellings_of_one_name_become_the_same(written, name):
    assert canonical(written) == name


@pytest.mark.parametrize(
    "written",
    [
        "",
        "   ",
        "a b",
        "a:b",
        "a,b",
        "a/b",
        "a\\b",
        "a\r\nX-Admin: 1",
        "a\0b",
        "al\u200bice",  # zero-width space
        "al\u00adice",  # soft hyphen
        "\u202ealice",  # right-to-left override
        "\ud800",  # a lone surrogate
        "-rf",
        ".",
        "..",
        "@home",
        "<b>",
        '"',
        "alice\ufe0f\u20dd;",
        "a" * (LONGEST + 1),
        "a" * 100_000,
        "\ufdfa" * 10,  # folds to eighteen characters each, spaces among them
    ],
)
def test_what_cannot_be_a_name_is_refused(written):
    with pytest.raises(UnfitUsername):
        canonical(written)


def test_the_refusal_shows_invisible_characters_by_number():
    with pytest.raises(UnfitUsername, match=r"U\+200B"):
        canonical("al\u200bice")


@settings(max_examples=200)
@given(st.text())
def test_the_canonical_form_is_a_fixed_point(text):
    try:
        name = canonical(text)
    except UnfitUsername:
        return

    assert canonical(name) == name


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_folding_is_idempotent(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("letter", ["A", "Z", "É", "Ж", "Ω", "Ա", "ẞ"])
def test_a_name_equals_its_lower_case_in_every_script(letter):
    assert canonical(letter) == canonical(letter.lower())


def test_folding_bounds_what_it_takes():
    assert len(fold("a" * 10_000_000)) <= 256
