"""Which hash an unknown name is checked against."""

from collections import Counter

import bcrypt

from gateway.identity.decoys import choose, sample
from gateway.identity.password_hashes import Cost, decoy_like, make

ARGON2 = [make(b"x", Cost(8, 1)) for _ in range(3)]
BCRYPT = [bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode() for _ in range(1)]


def test_the_sample_is_the_same_whatever_the_order():
    assert sample(ARGON2 + BCRYPT) == sample(BCRYPT + ARGON2[::-1])


def test_the_sample_is_bounded_and_holds_no_real_hash():
    many = [hash_.replace("m=8", f"m={8 + n}") for n in range(50) for hash_ in ARGON2]

    assert len(sample(many)) == 16
    assert not set(sample(many)) & set(many)


def test_a_name_always_gets_the_same_decoy():
    decoys = sample(ARGON2 + BCRYPT)

    assert {choose(decoys, "mallory") for _ in range(20)} == {choose(decoys, "mallory")}


def test_costs_are_met_as_often_as_real_users_have_them():
    decoys = sample(ARGON2 + BCRYPT)

    met = Counter(choose(decoys, f"name{n}").startswith("$2b$") for n in range(4000))

    assert 0.2 < met[True] / 4000 < 0.3


def test_which_cost_a_name_gets_cannot_be_foreseen_without_the_salts():
    here = [decoy_like(hash_) for hash_ in [ARGON2[0], BCRYPT[0]]]
    there = [
        decoy_like(hash_)
        for hash_ in [make(b"x", Cost(8, 1)), bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()]
    ]

    names = [f"name{n}" for n in range(200)]
    assert [choose(here, n)[:3] for n in names] != [choose(there, n)[:3] for n in names]


def test_any_text_can_be_asked_for():
    assert choose(sample(ARGON2), "\ud800")
