"""What a browser holds: given, renewed, taken away. On the real sessions, tokens and directory."""

import asyncio
from dataclasses import replace

import pytest

from gateway.credentials import Ended, Issued
from gateway.sessions.session import Device
from gateway.sessions.store import StoreUnavailable
from gateway.tokens.access import UnfitPrincipal
from tests.portal.house import House

LAPTOP = Device("Firefox", "192.0.2.1")


@pytest.fixture
async def house():
    house = House()
    yield house
    await house.close()


async def signed_in(house):
    return await house.credentials.sign_in(house.principal("alice"), LAPTOP)


def refresh_token_of(issued):
    return issued.set_cookies[1].partition("=")[2].partition(";")[0]


async def renewed(house, token):
    issued = await house.credentials.renew(token, LAPTOP)
    assert isinstance(issued, Issued), issued
    return issued


async def test_signing_in_gives_both_cookies_for_their_lifetimes(house):
    issued = await signed_in(house)

    assert issued.access_lifetime == 900
    assert issued.set_cookies == (
        f"accessToken={issued.access_token}; Max-Age=895; Path=/; HttpOnly; SameSite=Lax",
        f"refreshToken={refresh_token_of(issued)}; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax",
    )


async def test_the_access_token_names_the_person_the_session_and_its_generation(house):
    issued = await signed_in(house)

    access = house.verifier.verify(issued.access_token, house.clock())
    assert access.principal.subject == "alice"
    assert access.principal.groups == ("admins",)
    assert (access.session_id, access.generation) == (issued.session_id, 1)
    assert access.expires_at == house.clock() + 900


async def test_a_secret_is_in_no_repr(house):
    issued = await signed_in(house)

    assert issued.access_token not in repr(issued)
    assert refresh_token_of(issued) not in repr(issued)


async def test_s10_signing_in_ends_what_the_browser_held_before(house):
    planted = await signed_in(house)
    access = house.verifier.verify(planted.access_token, house.clock())
    other = await signed_in(house)

    issued = await house.credentials.sign_in(
        house.principal("alice"), LAPTOP, refresh_token_of(other), access
    )

    assert [s.id for s in await house.lifecycle.list("alice")] == [issued.session_id]


async def test_a_renewal_at_expiry_gives_both_cookies_together(house):
    first = await signed_in(house)
    house.clock.advance(900)

    issued = await renewed(house, refresh_token_of(first))

    assert [value.partition("=")[0] for value in issued.set_cookies] == [
        "accessToken",
        "refreshToken",
    ]
    assert issued.session_id == first.session_id
    assert issued.generation == 2


async def test_an_early_renewal_gives_the_access_cookie_alone(house):
    first = await signed_in(house)

    issued = await renewed(house, refresh_token_of(first))

    assert [value.partition("=")[0] for value in issued.set_cookies] == ["accessToken"]


async def test_no_access_token_outlives_its_session(house):
    first = await signed_in(house)
    house.clock.advance(6 * 86_400)
    token = refresh_token_of(first)
    for _ in range(4):
        issued = await renewed(house, token)
        token = refresh_token_of(issued)
        house.clock.advance(6 * 86_400)
    house.clock.advance(-100)

    issued = await renewed(house, token)

    assert issued.expires_at == first.issued_at + 30 * 86_400
    assert issued.access_lifetime == 100
    assert "Max-Age=95;" in issued.set_cookies[0]


async def test_a_cookie_lives_a_second_at_least(house):
    first = await signed_in(house)
    house.clock.advance(6 * 86_400)
    token = refresh_token_of(first)
    for _ in range(4):
        token = refresh_token_of(await renewed(house, token))
        house.clock.advance(6 * 86_400)
    house.clock.advance(-2)

    issued = await renewed(house, token)

    assert "Max-Age=1;" in issued.set_cookies[0]


async def test_a_renewal_asks_the_provider_who_the_person_is_now(house):
    first = await signed_in(house)
    house.change("alice", groups=("staff",))

    issued = await renewed(house, refresh_token_of(first))

    access = house.verifier.verify(issued.access_token, house.clock())
    assert access.principal.groups == ("staff",)
    (kept,) = await house.lifecycle.list("alice")
    assert kept.principal.groups == ("staff",)


async def test_a_person_who_is_gone_or_disabled_has_no_session_any_more(house):
    first = await signed_in(house)
    house.disable("alice")

    ended = await house.credentials.renew(refresh_token_of(first), LAPTOP)

    assert ended == Ended(clear=True, reason="account-gone")
    assert await house.lifecycle.list("alice") == []


async def test_a_provider_that_cannot_be_asked_costs_nobody_the_session(house):
    first = await signed_in(house)
    house.users.available = False

    issued = await renewed(house, refresh_token_of(first))

    assert issued.principal == first.principal


async def test_c4_a_store_that_cannot_be_asked_is_no_answer(house):
    first = await signed_in(house)
    house.store.down = True

    with pytest.raises(StoreUnavailable):
        await house.credentials.renew(refresh_token_of(first), LAPTOP)


@pytest.mark.parametrize(
    ("token", "clear"),
    [
        ("", True),
        ("nonsense", True),
        ("gr1.key-1.AAAAAAAAAAAAAAAAAAAAAA.1.AAAAAAAAAAAAAAAAAAAAAA", True),
        ("gr1.other.AAAAAAAAAAAAAAAAAAAAAA.1.AAAAAAAAAAAAAAAAAAAAAA", False),
        ("gr2.whatever", False),
    ],
)
async def test_cookies_are_cleared_only_when_no_replica_could_honour_them(house, token, clear):
    ended = await house.credentials.renew(token, LAPTOP)

    assert isinstance(ended, Ended)
    assert ended.clear is clear


@pytest.mark.parametrize("shown", ["both", "access", "refresh"])
async def test_either_token_is_enough_to_sign_out(house, shown):
    issued = await signed_in(house)
    access = house.verifier.verify(issued.access_token, house.clock())
    await signed_in(house)

    out = await house.credentials.sign_out(
        refresh_token_of(issued) if shown != "access" else None,
        access if shown != "refresh" else None,
        everywhere=False,
    )

    assert out.complete
    assert issued.session_id not in {s.id for s in await house.lifecycle.list("alice")}
    assert len(await house.lifecycle.list("alice")) == 1


@pytest.mark.parametrize("shown", ["access", "refresh"])
async def test_signing_out_everywhere_ends_every_session_of_the_person(house, shown):
    issued = await signed_in(house)
    await signed_in(house)
    access = house.verifier.verify(issued.access_token, house.clock())

    out = await house.credentials.sign_out(
        refresh_token_of(issued) if shown == "refresh" else None,
        access if shown == "access" else None,
        everywhere=True,
    )

    assert out.complete
    assert await house.lifecycle.list("alice") == []


async def test_signing_out_with_nothing_is_done_already(house):
    out = await house.credentials.sign_out(None, None, everywhere=True)

    assert out.complete


async def test_signing_out_with_a_forged_token_ends_nothing(house):
    issued = await signed_in(house)
    forged = refresh_token_of(issued)[:-1] + "A"

    await house.credentials.sign_out(replace_last(forged), None, everywhere=False)

    assert len(await house.lifecycle.list("alice")) == 1


def replace_last(token):
    return token[:-2] + ("AA" if token[-2:] != "AA" else "BB")


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_sign_out_that_finds_the_store_down_denies_at_once_and_ends_later(
    house, everywhere
):
    issued = await signed_in(house)
    access = house.verifier.verify(issued.access_token, house.clock())
    house.clock.advance(1)
    house.store.down = True

    out = await house.credentials.sign_out(refresh_token_of(issued), access, everywhere=everywhere)

    assert not out.complete
    assert house.deny.denies(issued.session_id, "alice", access.issued_at, house.clock())
    while len(house.tasks):
        await asyncio.sleep(0)
    assert not house.store.down
    assert await house.lifecycle.list("alice") == []


async def test_a_queued_sign_out_is_queued_once_and_given_up_after_an_hour(house):
    issued = await signed_in(house)
    access = house.verifier.verify(issued.access_token, house.clock())
    house.store.down = True
    house.outage_ends_after = 10_000

    for _ in range(3):
        await house.credentials.sign_out(None, access, everywhere=False)
    while len(house.tasks):
        await asyncio.sleep(0)

    assert sum(house.sleeps) == pytest.approx(3618.5)


async def test_an_expired_access_token_still_signs_out(house):
    issued = await signed_in(house)
    access = replace(house.verifier.verify(issued.access_token, house.clock()), expires_at=0)

    await house.credentials.sign_out(None, access, everywhere=False)

    assert await house.lifecycle.list("alice") == []


def put_into_too_many_groups(house):
    house.change("alice", groups=tuple(f"department-{n:04}" for n in range(400)))


async def test_a_person_who_fits_no_token_leaves_no_session_behind(house, caplog):
    put_into_too_many_groups(house)

    with pytest.raises(UnfitPrincipal):
        await signed_in(house)

    assert await house.lifecycle.list("alice") == []
    assert len([record for record in caplog.records if "400 groups" in record.message]) == 1


async def test_a_session_ends_at_the_renewal_where_its_person_fits_no_token_any_more(house, caplog):
    issued = await signed_in(house)
    put_into_too_many_groups(house)
    house.clock.advance(900)

    ended = await house.credentials.renew(refresh_token_of(issued), LAPTOP)

    assert ended == Ended(clear=True, reason="account-unfit")
    assert await house.lifecycle.list("alice") == []
    assert len([record for record in caplog.records if "400 groups" in record.message]) == 1
