"""Password hashes as text: O12."""

import shutil
import subprocess

import argon2
import bcrypt
import pytest

from gateway.identity.password_hashes import (
    LONGEST,
    Cost,
    HashingFailed,
    decoy,
    decoy_like,
    make,
    matches,
    outdated,
    problem,
    secret,
)

CHEAP = Cost(memory_kib=8, passes=1)


def bcrypt_hash(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password[:72], bcrypt.gensalt(cost)).decode()


def test_a_new_hash_is_argon2id_with_the_parameters_of_owasp():
    made = make(b"correct horse", Cost())

    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(made, b"correct horse")
    assert not matches(made, b"correct horsf")


def test_two_hashes_of_one_password_differ():
    assert make(b"same", CHEAP) != make(b"same", CHEAP)


@pytest.mark.parametrize("variant", ["2a", "2b", "2y"])
def test_bcrypt_hashes_of_every_living_prefix_are_checked(variant):
    foreign = bcrypt_hash(b"secret").replace("$2b$", f"${variant}$")

    assert problem(foreign) is None
    assert matches(foreign, b"secret")
    assert not matches(foreign, b"Secret")


@pytest.mark.parametrize("kind", [argon2.Type.I, argon2.Type.D, argon2.Type.ID])
def test_every_argon2_variant_is_checked(kind):
    foreign = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=kind).hash("x")

    assert problem(foreign) is None
    assert matches(foreign, b"x")


def test_argon2_hashes_long_passwords_whole():
    made = make(b"x" * 1000 + b"1", CHEAP)

    assert not matches(made, b"x" * 1000 + b"2")


def test_a_foreign_bcrypt_hash_of_a_long_password_is_checked_on_its_first_72_bytes():
    long = b"p" * 72 + b"and more"

    assert matches(bcrypt_hash(long), long)
    assert not matches(bcrypt_hash(long), b"p" * 71)


@pytest.mark.skipif(not shutil.which("htpasswd"), reason="htpasswd (apache2-utils) not installed")
@pytest.mark.parametrize("password", ["secret", "é" * 60, "x" * 200])
def test_what_htpasswd_writes_is_checked(password):
    command = ["htpasswd", "-nbB", "-C", "4", "alice", password]
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    written = line.partition(":")[2]

    assert problem(written) is None
    assert matches(written, password.encode())
    assert not matches(written, b"other")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
        "$1$abc$def",
        "$5$rounds=5000$x$y",
        "$2x$10$" + "a" * 53,
        "$2$10$" + "a" * 53,
        "$2b$10$" + "a" * 52,
        "$2b$10$" + "a" * 54,
        "$2b$99$" + "a" * 53,
        "$2b$03$" + "a" * 53,
        "$2b$10$" + "a" * 53 + "\n",
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
        "$argon2id$v=19$m=19456,t=0,p=1$c2FsdHNhbHRzYWx0$" + "a" * 43,
        "$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHRzYWx0$" + "a" * 43,
        "$argon2id$v=19$m=19456,t=999,p=1$c2FsdHNhbHRzYWx0$" + "a" * 43,
        "$argon2id$v=19$m=16,t=1,p=4$c2FsdHNhbHRzYWx0$" + "a" * 43,
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$" + "a" * 41,
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$" + "a" * 43 + "\n",
        "$argon2id$v=19$m=１９,t=2,p=1$c2FsdHNhbHRzYWx0$" + "a" * 43,  # full-width
    ],
)
def test_other_text_is_no_hash_and_one_learns_why(text):
    assert problem(text)


def test_hashing_that_fails_is_not_a_mismatch():
    # More memory than there is: what libargon2 reports when an allocation fails.
    impossible = make(b"x", CHEAP).replace("m=8,", "m=4294967295,")

    with pytest.raises(HashingFailed):
        matches(impossible, b"x")
    with pytest.raises(HashingFailed):
        matches("$2b$not-a-hash", b"x")


@pytest.mark.parametrize(
    ("written", "is_outdated"),
    [
        (make(b"x", Cost(memory_kib=64, passes=2)), False),
        (make(b"x", Cost(memory_kib=128, passes=3)), False),
        (make(b"x", Cost(memory_kib=32, passes=2)), True),
        (make(b"x", Cost(memory_kib=64, passes=1)), True),
        (make(b"x", Cost(memory_kib=64, passes=2)).replace("argon2id", "argon2i"), True),
        (bcrypt_hash(b"x"), True),
    ],
)
def test_only_weaker_hashes_are_outdated(written, is_outdated):
    assert outdated(written, Cost(memory_kib=64, passes=2)) is is_outdated


@pytest.mark.parametrize("real", [make(b"x", CHEAP), make(b"x", Cost(64, 3, 2)), bcrypt_hash(b"x")])
def test_a_decoy_costs_what_its_model_costs_and_matches_nothing(real):
    twin = decoy_like(real)

    assert problem(twin) is None
    assert not matches(twin, b"x")
    assert twin.rsplit("$", 1)[0] == real.rsplit("$", 1)[0]  # every parameter, so the same work
    assert twin != real


def test_the_plain_decoy_has_the_cost_of_new_hashes():
    twin = decoy(CHEAP)

    assert problem(twin) is None
    assert twin.split("$")[:4] == make(b"x", CHEAP).split("$")[:4]
    assert not matches(twin, b"x")


@pytest.mark.parametrize(
    ("password", "encoded"),
    [
        ("é", b"\xc3\xa9"),
        ("e\u0301", b"\xc3\xa9"),  # the same key on another keyboard
        (" spaces stay ", b" spaces stay "),
        ("x" * LONGEST, b"x" * LONGEST),
        ("é" * LONGEST, "é".encode() * LONGEST),
        ("😀" * LONGEST, "😀".encode() * LONGEST),
        ("", None),
        ("x" * (LONGEST + 1), None),
        ("x" * 1_000_000, None),
        ("\ud800", None),
        ("\u1d160" * 10 + "\U0001d160" * 500, None),  # grows beyond the bytes when normalised
    ],
)
def test_passwords_are_taken_whole_or_not_at_all(password, encoded):
    assert secret(password) == encoded
