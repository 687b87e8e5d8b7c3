"""What the demo app makes of the headers that reach it."""

import pytest
from multidict import CIMultiDict

from gateway.demo.arrivals import Arrival, Kind, arrivals, person


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("X-Forwarded-User", Kind.IDENTITY),
        ("X-Forwarded-Preferred-Username", Kind.IDENTITY),
        ("Remote-Groups", Kind.IDENTITY),
        ("X-Auth-Request-Email", Kind.IDENTITY),
        ("X-Gateway-Assertion", Kind.IDENTITY),
        ("X-Forwarded-For", Kind.ROUTE),
        ("X-Request-Id", Kind.ROUTE),
        ("Via", Kind.ROUTE),
        ("cookie", Kind.COOKIE),
        ("Accept", Kind.OTHER),
    ],
)
def test_a_header_is_shown_for_what_it_is(name: str, kind: Kind) -> None:
    assert arrivals({name: "x"}) == [Arrival(name, "x", kind)]


def test_who_comes_first_and_the_browsers_own_words_last() -> None:
    headers = CIMultiDict(
        [("Accept", "a"), ("Cookie", "b"), ("Via", "c"), ("Host", "d"), ("Remote-User", "e")]
    )

    assert [each.value for each in arrivals(headers)] == ["e", "c", "b", "a", "d"]


def test_a_repeated_header_is_shown_as_often_as_it_came() -> None:
    headers = CIMultiDict([("X-Forwarded-User", "alice"), ("X-Forwarded-User", "mallory")])

    assert [each.value for each in arrivals(headers)] == ["alice", "mallory"]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, ""),
        ({"X-Forwarded-User": ""}, ""),
        ({"X-Forwarded-User": "", "Remote-User": "bob"}, "bob"),
        ({"x-auth-request-user": "carol"}, "carol"),
        ({"X_Forwarded_User": "mallory"}, ""),
        (
            {"X-Forwarded-User": b"\xff".decode("utf-8", "surrogateescape")},
            "\N{REPLACEMENT CHARACTER}",
        ),
    ],
)
def test_the_person_is_whom_an_identity_header_names(headers: dict[str, str], name: str) -> None:
    assert person(CIMultiDict(headers)) == name
