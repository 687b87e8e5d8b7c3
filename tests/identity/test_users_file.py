"""The YAML users file: what it may say, and where it is wrong."""

import pytest

from gateway.identity.principal import Principal
from gateway.identity.users import User
from gateway.identity.users_file import parse
from gateway.identity.watched_file import BadText

ARGON2 = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$" + "a" * 43
BCRYPT = "$2y$10$" + "b" * 53
NO_HASH = "neither an argon2 ($argon2id$…) nor a bcrypt ($2b$…, $2y$…, $2a$…) hash"


def problems(text: str) -> list[str]:
    with pytest.raises(BadText) as bad:
        parse(text)
    return [f"{p.line}:{p.column}: {p.message}" for p in bad.value.problems]


def test_every_field_is_read():
    text = f"""
users:
  Alice:
    password: "{ARGON2}"
    email: alice@example.com
    name: Alice Liddell
    groups: [admins, staff, admins]
    claims: {{level: 3, tags: [a, b], on: true, nested: {{x: null}}}}
  bob: {{password: {BCRYPT}, disabled: true}}
"""

    assert parse(text) == {
        "alice": User(
            Principal(
                "alice",
                "Alice Liddell",
                "alice@example.com",
                ("admins", "staff"),
                {"level": 3, "tags": ["a", "b"], "on": True, "nested": {"x": None}},
            ),
            ARGON2,
        ),
        "bob": User(Principal("bob"), BCRYPT, disabled=True),
    }


def test_json_is_yaml():
    assert list(parse('{"users": {"carol": {"password": "%s"}}}' % BCRYPT)) == ["carol"]  # noqa: UP031


def test_a_name_is_taken_as_it_is_written_even_if_yaml_sees_something_else_in_it():
    text = f"users: {{0123: {{password: {BCRYPT}, name: 42}}, on: {{password: {BCRYPT}}}}}"

    assert list(parse(text)) == ["0123", "on"]
    assert parse(text)["0123"].principal.name == "42"


@pytest.mark.parametrize("text", ["users: {}", "users:", "# nobody yet\nusers: {}\n"])
def test_a_file_may_have_no_users(text):
    assert parse(text) == {}


def test_every_problem_is_found_with_its_place():
    text = f"""\
users:
  alice:
    password: hunter2
    groups: admins
    emial: a@example.com
  a b: {{password: "{ARGON2}"}}
  carol: {{}}
  dave: nobody
  ALICE: {{password: "{ARGON2}"}}
  erin: {{password: "{ARGON2}", disabled: perhaps, name: [x], groups: ["a,b", ""]}}
version: 1
"""

    erin = text.splitlines()[9]
    at = [f"10:{erin.index(part) + 1}" for part in ("perhaps", "[x]", '"a,b"', '""]')]

    assert problems(text) == [
        f"3:15: {NO_HASH}; `gateway users hash` makes one",
        "4:13: groups must be a list, as in [admins, staff]",
        "5:5: unknown key 'emial'; did you mean 'email'?",
        "6:3: user name 'a b': ' ' is not allowed; letters, digits and . _ - @ + are",
        "7:10: user 'carol' has no `password:`",
        "8:9: user 'dave' must be a map",
        "9:3: the user 'alice' is in this file twice",
        f"{at[0]}: disabled must be true or false",
        f"{at[1]}: name must be text; put it in quotes",
        f"{at[2]}: a group name must not be empty or contain a comma",
        f"{at[3]}: a group name must not be empty or contain a comma",
        "11:1: unknown key 'version'; known: users",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: empty; expected `users:`"),
        ("[]", "1:1: the file must be a map"),
        ("user: {}", "1:1: unknown key 'user'; did you mean 'users'?"),
        ("{}", "1:1: `users:` is missing"),
        ("users: [alice]", "1:8: users must be a map"),
        ("users: {}\nusers: {}", "2:1: 'users' is here twice"),
        ("users: {\n  alice: {", "2:11: "),
        ("users: {alice: {password: *nowhere}}", "1:27: "),
        ("users: {}\n---\nusers: {}", "2:1: "),
        ("users: {alice: \0}", "1:16: YAML does not allow this control character"),
        ("users: {}\n\x07", "2:1: YAML does not allow this control character"),
        ("[" * 10_000, ""),
        ("users: {[a]: {}}", "1:9: a user name must be text"),
        ("users: {~: {}}", "1:9: user name '~': '~' is not allowed"),
    ],
)
def test_what_is_no_users_file_is_refused_with_a_place(text, problem):
    assert any(found.startswith(problem) for found in problems(text))


@pytest.mark.parametrize(
    "fields",
    [
        'name: "a\\r\\nX-Admin: 1"',
        'email: "a\\0"',
        'groups: ["a\\nb"]',
        "claims: [a]",
        "claims: {since: 2020-01-01}",
        "claims: {n: .nan}",
        "claims: {n: -.inf}",
        "claims: {n: !!python/object/apply:os.system [ls]}",
        "claims: {n: !!binary aGk=}",
        "claims: &c {again: *c}",
        f"claims: {{a: &a [1,1,1,1,1], b: &b [{'*a,' * 300}]}}",
        "claims: {n: !!int x}",
        f"claims: {{n: {'1' * 5000}}}",
        "password: again",
    ],
)
def test_unfit_values_are_refused(fields):
    assert problems(f"users: {{alice: {{password: {BCRYPT}, {fields}}}}}")


def test_a_hash_without_the_quotes_that_it_needs_is_told_so_and_not_shown():
    found = problems(f"users: {{alice: {{password: {ARGON2}}}}}")

    assert found == [
        "1:27: in {…} a hash needs quotes, for its commas",
        "1:50: unknown key 't=2'; known: password, email, name, groups, claims, disabled",
        "1:54: unknown key; in {…} a hash needs quotes, for its commas",
    ]


def test_a_password_hash_never_shows_in_a_representation():
    user = parse(f"users: {{alice: {{password: {BCRYPT}}}}}")["alice"]

    assert BCRYPT not in repr(user)
