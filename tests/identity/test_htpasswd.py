"""Users from an htpasswd file."""

import pytest

from gateway.identity.htpasswd import parse
from gateway.identity.principal import Principal
from gateway.identity.users import User
from gateway.identity.watched_file import BadText

BCRYPT = "$2y$05$" + "b" * 53


def test_names_and_hashes_are_read_and_comments_and_blank_lines_skipped():
    text = f"# staff\r\n\r\nAlice:{BCRYPT}\r\n  bob:{BCRYPT}  \n"

    assert parse(text) == {
        "alice": User(Principal("alice"), BCRYPT),
        "bob": User(Principal("bob"), BCRYPT),
    }


def test_an_empty_file_has_no_users():
    assert parse("") == {}


def test_every_problem_is_found_with_its_line():
    text = "\n".join(
        [
            "alice",
            "bob:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
            f"carol:{BCRYPT}",
            f"CAROL:{BCRYPT}",
            f"a b:{BCRYPT}",
            f":{BCRYPT}",
            f"dave:{BCRYPT}:extra",
            "erin:",
        ]
    )

    with pytest.raises(BadText) as bad:
        parse(text)
    found = [(p.line, p.message.partition(";")[0]) for p in bad.value.problems]
    no_hash = "neither an argon2 ($argon2id$…) nor a bcrypt ($2b$…, $2y$…, $2a$…) hash"
    assert found == [
        (1, "expected name:hash"),
        (2, f"'bob': {no_hash}"),
        (4, "'carol' is already on line 3"),
        (5, "user name 'a b': ' ' is not allowed"),
        (6, "user name '': empty"),
        (7, f"'dave': {no_hash}"),
        (8, f"'erin': {no_hash}"),
    ]


def test_a_problem_never_shows_the_hash():
    with pytest.raises(BadText) as bad:
        parse("bob:plain-text-password")

    assert "plain-text-password" not in str(bad.value.problems)
