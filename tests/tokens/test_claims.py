"""A person written into a token and read back is the same person."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Principal
from gateway.tokens import claims

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
people = st.builds(
    Principal,
    subject=texts.filter(bool),
    name=texts,
    email=texts,
    groups=st.lists(texts, max_size=5).map(tuple),
    claims=st.dictionaries(
        texts | st.sampled_from(sorted(claims.STANDARD)), texts | st.integers(), max_size=5
    ),
)


@given(people)
def test_a_person_is_read_back_as_written(person: Principal) -> None:
    read = claims.to_principal(claims.of_principal(person))

    assert (read.subject, read.name, read.email, read.groups) == (
        person.subject,
        person.name,
        person.email,
        person.groups,
    )
    assert read.claims == {
        name: value for name, value in person.claims.items() if name not in claims.STANDARD
    }


def test_empty_claims_are_left_out() -> None:
    assert claims.of_principal(Principal("alice")) == {"sub": "alice"}


def test_what_a_provider_says_never_overrides_a_standard_claim() -> None:
    said = dict.fromkeys(claims.STANDARD, "forged") | {"hd": "example.com"}

    assert claims.of_principal(Principal("alice", claims=said)) == {
        "sub": "alice",
        "hd": "example.com",
    }
