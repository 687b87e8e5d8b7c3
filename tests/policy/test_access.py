"""The access rules: who passes, and that a rule written wrong lets nobody in."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.principal import Principal
from gateway.policy.access import Access, AccessRule, Allow, Verdict, describe, permits

ALICE = Principal(
    subject="alice",
    name="Alice",
    email="alice@example.com",
    groups=("staff", "admins"),
    claims={
        "department": "sales",
        "roles": ["editor", "author"],
        "level": 3,
        "verified": True,
        "weight": 1.5,
        "nothing": None,
        "email": "ceo@example.com",
        "https://example.com/plan": "gold",
        "realm_access": {"roles": ["operator"], "deep": {"x": "y"}},
    },
)


def users(*names: str) -> Allow:
    return Allow(users=frozenset(names))


def groups(*names: str) -> Allow:
    return Allow(groups=frozenset(names))


def claim(name: str, *values: str) -> Allow:
    return Allow(claims={name: frozenset(values)})


@pytest.mark.parametrize(
    ("rule", "nobody", "alice"),
    [
        (Access.PUBLIC, Verdict.ALLOW, Verdict.ALLOW),
        (Access.OPTIONAL, Verdict.ALLOW, Verdict.ALLOW),
        (Access.SIGNED_IN, Verdict.SIGN_IN, Verdict.ALLOW),
        ((users("alice"),), Verdict.SIGN_IN, Verdict.ALLOW),
        ((users("bob"),), Verdict.SIGN_IN, Verdict.FORBID),
        ((), Verdict.SIGN_IN, Verdict.FORBID),
    ],
)
def test_each_kind_of_rule_gives_its_verdict(
    rule: AccessRule, nobody: Verdict, alice: Verdict
) -> None:
    assert permits(rule, None) is nobody
    assert permits(rule, ALICE) is alice


@pytest.mark.parametrize(
    ("allow", "passes"),
    [
        (users("bob", "alice"), True),
        (users("Alice"), False),
        (users("alice@example.com"), False),
        (groups("admins"), True),
        (groups("admins", "owners"), True),
        (groups("owners"), False),
        (groups("alice"), False),
        (claim("department", "sales", "support"), True),
        (claim("department", "support"), False),
        (claim("roles", "author"), True),
        (claim("roles", "owner"), False),
        (claim("level", "3"), True),
        (claim("verified", "true"), True),
        (claim("verified", "1"), False),
        (claim("verified", "True"), False),
        (claim("weight", "1.5"), False),
        (claim("nothing", "None", "null", ""), False),
        (claim("missing", ""), False),
        (claim("https://example.com/plan", "gold"), True),
        (claim("realm_access.roles", "operator"), True),
        (claim("realm_access.deep.x", "y"), True),
        (claim("realm_access", "roles"), False),
        (claim("department.x", "sales"), False),
        (claim("realm_access.missing.x", "y"), False),
    ],
)
def test_any_value_within_a_kind_suffices(allow: Allow, passes: bool) -> None:
    verdict = permits((allow,), ALICE)

    assert verdict is (Verdict.ALLOW if passes else Verdict.FORBID)


@pytest.mark.parametrize(
    ("name", "value"),
    [("sub", "alice"), ("name", "Alice"), ("email", "alice@example.com"), ("groups", "staff")],
)
def test_standard_claims_are_the_checked_fields(name: str, value: str) -> None:
    assert permits((claim(name, value),), ALICE) is Verdict.ALLOW


def test_a_raw_claim_cannot_stand_in_for_a_checked_field() -> None:
    assert permits((claim("email", "ceo@example.com"),), ALICE) is Verdict.FORBID


def test_every_kind_that_is_named_must_hold() -> None:
    for user, group, department in itertools.product(
        ("alice", "bob"), ("staff", "owners"), ("sales", "support")
    ):
        allow = Allow(
            frozenset({user}), frozenset({group}), {"department": frozenset({department})}
        )

        expected = (user, group, department) == ("alice", "staff", "sales")
        assert (permits((allow,), ALICE) is Verdict.ALLOW) is expected


def test_every_claim_that_is_named_must_hold() -> None:
    both = Allow(claims={"department": frozenset({"sales"}), "level": frozenset({"4"})})

    assert permits((both,), ALICE) is Verdict.FORBID


def test_any_of_several_allows_suffices() -> None:
    assert permits((users("bob"), groups("staff")), ALICE) is Verdict.ALLOW
    assert permits((users("bob"), groups("owners")), ALICE) is Verdict.FORBID


@pytest.mark.parametrize("allow", [Allow(), claim("department")])
def test_an_allow_that_names_nothing_lets_nobody_in(allow: Allow) -> None:
    assert permits((allow,), ALICE) is Verdict.FORBID


def test_what_is_no_rule_never_permits_i9() -> None:
    with pytest.raises(TypeError):
        permits(None, ALICE)  # type: ignore[arg-type]  # what a faulty loader might pass


names = st.sampled_from(["a", "b", "c"])
allows = st.builds(
    Allow,
    users=st.frozensets(names, max_size=2),
    groups=st.frozensets(names, max_size=2),
    claims=st.dictionaries(names, st.frozensets(names, max_size=2), max_size=2),
)
principals = st.builds(
    Principal,
    subject=names,
    groups=st.lists(names, max_size=2).map(tuple),
    claims=st.dictionaries(names, st.one_of(names, st.lists(names, max_size=2)), max_size=2),
)


@given(st.lists(allows, max_size=3), st.none() | principals)
def test_nobody_never_passes_a_rule_for_certain_people(
    rule: list[Allow], principal: Principal | None
) -> None:
    verdict = permits(tuple(rule), principal)

    assert (verdict is Verdict.SIGN_IN) is (principal is None)


@given(allows, principals, names)
def test_naming_a_user_as_well_never_lets_more_people_in(
    allow: Allow, principal: Principal, user: str
) -> None:
    narrower = Allow(frozenset({user}), allow.groups, allow.claims)

    if permits((narrower,), principal) is Verdict.ALLOW:
        assert principal.subject == user
        assert allow.groups.isdisjoint(principal.groups) is (not allow.groups)


@given(st.lists(allows, max_size=3), allows, principals)
def test_one_more_alternative_never_locks_anybody_out(
    rule: list[Allow], more: Allow, principal: Principal
) -> None:
    if permits(tuple(rule), principal) is Verdict.ALLOW:
        assert permits((*rule, more), principal) is Verdict.ALLOW


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Access.PUBLIC, "public"),
        (Access.SIGNED_IN, "signed-in"),
        ((), "nobody"),
        ((Allow(),), "nobody"),
        ((users("bob", "alice"),), "users alice|bob"),
        (
            (Allow(frozenset({"a"}), frozenset({"g"}), {"k": frozenset({"v"})}), groups("h")),
            "users a and groups g and claim k = v or groups h",
        ),
        ((claim("k"),), "claim k = (no value)"),
    ],
)
def test_a_rule_is_described_in_one_line(rule: AccessRule, text: str) -> None:
    assert describe(rule) == text
