import asyncio
from dataclasses import replace

import pytest

from gateway.sessions.events import Kind
from gateway.sessions.lifecycle import Grant, Lifecycle, Over, Settings
from gateway.sessions.memory import MemoryStore
from gateway.sessions.refresh_token import mint, prove
from gateway.sessions.revocation import DenySet
from gateway.sessions.rotation import Renewal, Rules
from gateway.sessions.session import Device, session_hash
from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks
from tests.fakes import FakeClock, FlakyStore
from tests.sessions.examples import ALICE, LAPTOP

SECRETS = [("k1", b"1" * 32)]
SETTINGS = Settings(
    Rules(grace=30_000, delivery=60_000, idle=3_600_000), absolute=7_200_000, per_user=3
)


class Replica:
    """One gateway process, as far as sessions go."""

    def __init__(self, store, clock, settings=SETTINGS):
        self.deny = DenySet()
        self.events = []
        self.secrets = list(SECRETS)
        self.tasks = Tasks()
        self.lifecycle = Lifecycle(
            store,
            lambda: self.secrets,
            settings,
            deny=self.deny,
            tasks=self.tasks,
            now=clock,
            observe=self.events.append,
        )

    def kinds(self):
        return [event.kind for event in self.events]


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(clock):
    return FlakyStore(MemoryStore(clock))


@pytest.fixture
def replica(store, clock):
    return Replica(store, clock)


async def granted(awaitable):
    grant = await awaitable
    assert isinstance(grant, Grant), grant
    return grant


async def test_signing_in_grants_the_first_token_of_a_new_session(replica, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)

    assert grant.refresh_token == mint(SECRETS, grant.session.id, 1)
    assert grant.session.principal == ALICE
    assert grant.now == clock.seconds * 1000
    assert grant.refresh_lifetime == 3_600_000
    assert grant.session.ends == grant.now + 7_200_000
    assert replica.kinds() == [Kind.STARTED]


async def test_session_ids_are_16_random_bytes(replica):
    ids = {(await replica.lifecycle.start(ALICE, LAPTOP)).session.id for _ in range(5)}

    assert len(ids) == 5
    assert {len(session_id) for session_id in ids} == {22}


async def test_signing_in_ends_the_session_whose_cookie_came_along(replica):
    old = await replica.lifecycle.start(ALICE, LAPTOP)
    new = await replica.lifecycle.start(ALICE, LAPTOP, replaces=old.refresh_token)

    assert new.session.id != old.session.id
    assert replica.deny.ended(old.session.id)
    assert await replica.lifecycle.refresh(old.refresh_token) == Over(
        "revoked", clear_cookies=True, session_id=old.session.id
    )
    assert [s.id for s in await replica.lifecycle.list("alice")] == [new.session.id]


@pytest.mark.parametrize("rubbish", ["rubbish", "gr1.zz.AAAAAAAAAAAAAAAAAAAAAA.1." + "A" * 22])
async def test_signing_in_with_a_cookie_that_proves_nothing_just_signs_in(replica, rubbish):
    grant = await replica.lifecycle.start(ALICE, LAPTOP, replaces=rubbish)

    assert grant.refresh_token


async def test_a_subject_has_at_most_so_many_sessions_and_the_longest_unseen_ends(replica, clock):
    grants = []
    for _ in range(4):
        grants.append(await replica.lifecycle.start(ALICE, LAPTOP))
        clock.advance(1)

    living = {session.id for session in await replica.lifecycle.list("alice")}
    assert living == {grant.session.id for grant in grants[1:]}
    assert replica.deny.ended(grants[0].session.id)
    assert replica.events[-2].reason == "too many sessions"


async def test_renewal_rotates_and_notes_device_and_time(replica, clock):
    first = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)

    second = await granted(replica.lifecycle.refresh(first.refresh_token, Device("phone", "::1")))

    assert second.renewal is Renewal.ROTATE
    assert second.refresh_token == mint(SECRETS, first.session.id, 2)
    assert second.session.device == Device("phone", "::1")
    assert second.session.seen == clock.seconds * 1000
    event = replica.events[-1]
    assert (event.kind, event.distance, event.same_agent) == (Kind.ROTATE, 0, False)


async def test_an_early_renewal_keeps_the_token_and_sends_none(replica, clock):
    first = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(1)

    kept = await granted(replica.lifecycle.refresh(first.refresh_token, LAPTOP))

    assert kept.refresh_token is None
    assert kept.renewal is Renewal.KEEP


async def test_a_lost_answer_is_given_again_however_late(replica, clock):
    first = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    lost = await granted(replica.lifecycle.refresh(first.refresh_token))
    clock.advance(2000)

    again = await granted(replica.lifecycle.refresh(first.refresh_token))

    assert again.renewal is Renewal.REDELIVER
    assert again.refresh_token == lost.refresh_token


async def test_s3_fifty_requests_on_three_replicas_get_one_successor(store, clock):
    replicas = [Replica(store, clock) for _ in range(3)]
    first = await replicas[0].lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)

    grants = await asyncio.gather(
        *(granted(replicas[n % 3].lifecycle.refresh(first.refresh_token)) for n in range(50))
    )

    assert {grant.refresh_token for grant in grants} == {mint(SECRETS, first.session.id, 2)}
    assert sum(replica.kinds().count(Kind.ROTATE) for replica in replicas) == 1


async def test_s6_a_spent_token_after_the_grace_ends_the_session_for_both_holders(replica, clock):
    other = await replica.lifecycle.start(ALICE, LAPTOP)
    first = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    second = await granted(replica.lifecycle.refresh(first.refresh_token))
    await replica.lifecycle.confirm(first.session.id, 2)
    clock.advance(31)

    stolen = await replica.lifecycle.refresh(first.refresh_token, Device("curl", "203.0.113.9"))
    victim = await replica.lifecycle.refresh(second.refresh_token)

    assert stolen == Over("theft", clear_cookies=True, session_id=first.session.id)
    assert victim == Over("revoked", clear_cookies=True, session_id=first.session.id)
    assert replica.deny.denies(first.session.id, "alice", clock(), clock())
    event = next(event for event in replica.events if event.kind is Kind.THEFT)
    assert event.session == session_hash(first.session.id)
    assert event.subject == "alice"
    assert event.reason == "theft:parent"
    assert event.distance == 1
    assert event.since_confirmed == 31_000
    assert event.same_agent is False
    assert (event.address, event.last_address) == ("203.0.113.9", LAPTOP.address)
    assert await granted(replica.lifecycle.refresh(other.refresh_token))


async def test_the_grace_runs_from_the_first_use_of_the_successor(replica, clock):
    first = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    await granted(replica.lifecycle.refresh(first.refresh_token))
    clock.advance(300)
    await replica.lifecycle.confirm(first.session.id, 2)
    clock.advance(30)

    late = await granted(replica.lifecycle.refresh(first.refresh_token))

    assert late.renewal is Renewal.GRACE


async def test_confirming_asks_the_store_once_per_generation(replica, store):
    first = await replica.lifecycle.start(ALICE, LAPTOP)
    await replica.lifecycle.confirm(first.session.id, 1)
    store.calls.clear()

    await replica.lifecycle.confirm(first.session.id, 1)

    assert store.calls == []


async def test_a_confirmation_that_the_store_misses_is_dropped_and_tried_at_the_next_sight(
    replica, store, clock
):
    first = await replica.lifecycle.start(ALICE, LAPTOP)
    store.down = True
    await replica.lifecycle.confirm(first.session.id, 1)
    store.down = False

    await replica.lifecycle.confirm(first.session.id, 1)

    assert (await store.get(first.session.id)).session.confirmed == clock.seconds * 1000


async def test_confirmations_are_remembered_in_bounded_memory_the_oldest_forgotten_first(replica):
    for number in range(10_050):
        await replica.lifecycle.confirm("nobody", number)

    assert list(replica.lifecycle._confirmed) == [("nobody", n) for n in range(50, 10_050)]


@pytest.mark.parametrize(
    ("token", "over"),
    [
        ("rubbish", Over("bad-token", clear_cookies=True)),
        (mint(SECRETS, "A" * 22, 1)[:-1] + "!", Over("bad-token", clear_cookies=True)),
        (mint([("k1", b"2" * 32)], "A" * 22, 1), Over("bad-token", clear_cookies=True)),
        (mint([("k2", b"2" * 32)], "A" * 22, 1), Over("unknown-key", clear_cookies=False)),
    ],
)
async def test_i8_a_token_that_proves_nothing_never_reaches_the_store(replica, store, token, over):
    assert await replica.lifecycle.refresh(token) == over
    assert store.calls == []


async def test_a_session_nobody_knows_is_over(replica):
    assert await replica.lifecycle.refresh(mint(SECRETS, "A" * 22, 1)) == Over(
        "unknown", clear_cookies=True, session_id="A" * 22
    )


async def test_a_session_is_over_after_its_idle_life(replica, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(3600)

    over = await replica.lifecycle.refresh(grant.refresh_token)

    assert over == Over("expired", clear_cookies=True, session_id=grant.session.id)
    assert await replica.lifecycle.list("alice") == []


async def test_a_session_is_over_after_its_absolute_life_however_busy(replica, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    for _ in range(7):
        clock.advance(900)
        renewed = await granted(replica.lifecycle.refresh(grant.refresh_token))
        grant = replace(renewed, refresh_token=renewed.refresh_token or grant.refresh_token)
    assert grant.refresh_lifetime == 900_000
    clock.advance(900)

    assert (await replica.lifecycle.refresh(grant.refresh_token)).reason == "expired"


async def test_a_token_too_far_ahead_neither_ends_the_session_nor_clears_cookies(replica):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)

    over = await replica.lifecycle.refresh(mint(SECRETS, grant.session.id, 4))

    assert over == Over("ahead", clear_cookies=False, session_id=grant.session.id)
    assert replica.kinds()[-1] is Kind.AHEAD
    assert replica.events[-1].distance == -3
    assert await granted(replica.lifecycle.refresh(grant.refresh_token))


async def test_r3_a_store_that_lost_its_last_writes_is_put_right_by_the_token(replica):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)

    healed = await granted(replica.lifecycle.refresh(mint(SECRETS, grant.session.id, 3)))

    assert healed.renewal is Renewal.FAST_FORWARD
    assert healed.session.head == 3
    assert healed.refresh_token is None, "the client holds the head"


async def test_r3_an_end_that_the_store_forgot_is_said_again(replica, store):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    before = await store.get(grant.session.id)
    await replica.lifecycle.end(grant.session.id, "logout")
    ended = await store.get(grant.session.id)
    await store.swap(ended, before.session)

    over = await replica.lifecycle.refresh(grant.refresh_token)

    assert over.reason == "revoked"
    assert (await store.get(grant.session.id)).session.revoked


async def test_ending_a_session_that_the_store_lost_still_denies_its_access_tokens(replica, store):
    assert not await replica.lifecycle.end("A" * 22, "logout")

    assert replica.deny.ended("A" * 22)
    batch = await store.announced(None, 0)
    assert [entry.session_id for entry in batch.revocations] == ["A" * 22]


async def test_an_end_is_final_and_announced_once(replica, store):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)

    assert await replica.lifecycle.end(grant.session.id, "logout")
    assert not await replica.lifecycle.end(grant.session.id, "admin")

    assert (await store.get(grant.session.id)).session.why == "logout"
    batch = await store.announced(None, 0)
    (entry,) = batch.revocations
    assert entry.until - entry.at == SETTINGS.access + SETTINGS.skew
    assert replica.kinds() == [Kind.STARTED, Kind.ENDED]


async def test_everything_of_a_subject_ends_but_the_session_to_keep(replica, clock):
    kept = await replica.lifecycle.start(ALICE, LAPTOP)
    gone = await replica.lifecycle.start(ALICE, LAPTOP)
    bob = await replica.lifecycle.start(replace(ALICE, subject="bob"), LAPTOP)

    assert await replica.lifecycle.end_all("alice", "password", keep=kept.session.id) == 1

    assert [s.id for s in await replica.lifecycle.list("alice")] == [kept.session.id]
    assert replica.deny.ended(gone.session.id)
    assert replica.deny.denies("lost", "alice", clock() - 1, clock())
    assert await granted(replica.lifecycle.refresh(bob.refresh_token))


async def test_the_principal_is_kept_as_the_provider_now_knows_it(replica, store):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    promoted = replace(ALICE, groups=("owners",))

    session = await replica.lifecycle.remember(grant.session.id, promoted)

    assert session.principal == promoted
    assert (await store.get(grant.session.id)).session.principal == promoted
    await replica.lifecycle.end(grant.session.id, "logout")
    assert await replica.lifecycle.remember(grant.session.id, ALICE) is None
    assert await replica.lifecycle.remember("nobody", ALICE) is None


async def test_s7_an_end_beats_a_rotation_in_flight(replica, store, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    store.hold("swap")
    rotation = replica.tasks.spawn("rotation", replica.lifecycle.refresh(grant.refresh_token))
    await store.held.wait()

    assert await replica.lifecycle.end(grant.session.id, "logout")
    store.release()

    assert (await rotation).reason == "revoked"
    assert (await store.get(grant.session.id)).session.why == "logout"


async def test_s8_a_rotation_goes_on_when_its_client_hangs_up(replica, store, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    store.hold("swap")
    client = replica.tasks.spawn("client", replica.lifecycle.refresh(grant.refresh_token))
    await store.held.wait()
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    other = replica.tasks.spawn("other", replica.lifecycle.refresh(grant.refresh_token))
    await asyncio.sleep(0)

    store.release()

    assert (await other).renewal is Renewal.ROTATE
    assert (await store.get(grant.session.id)).session.head == 2
    assert client.cancelled()


async def test_s8_different_tokens_of_one_session_are_different_questions(replica, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    second = await granted(replica.lifecycle.refresh(grant.refresh_token))

    parent, head = await asyncio.gather(
        granted(replica.lifecycle.refresh(grant.refresh_token)),
        granted(replica.lifecycle.refresh(second.refresh_token)),
    )

    assert parent.renewal in {Renewal.REDELIVER, Renewal.GRACE}
    assert head.renewal is Renewal.KEEP


async def test_r1_an_unavailable_store_is_never_a_no(replica, store):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    store.down = True

    for attempt in (
        replica.lifecycle.refresh(grant.refresh_token),
        replica.lifecycle.end(grant.session.id, "logout"),
        replica.lifecycle.start(ALICE, LAPTOP),
        replica.lifecycle.list("alice"),
    ):
        with pytest.raises(StoreUnavailable):
            await attempt
    store.down = False

    assert await granted(replica.lifecycle.refresh(grant.refresh_token))


async def test_s9_a_write_whose_answer_was_lost_is_no_theft(replica, store, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    store.lose_next_answer = True
    with pytest.raises(StoreUnavailable):
        await replica.lifecycle.refresh(grant.refresh_token)
    clock.advance(500)

    again = await granted(replica.lifecycle.refresh(grant.refresh_token))

    assert again.renewal is Renewal.REDELIVER


async def test_s6_a_theft_is_told_of_even_if_the_answer_to_the_write_is_lost(replica, store, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    await granted(replica.lifecycle.refresh(grant.refresh_token))
    await replica.lifecycle.confirm(grant.session.id, 2)
    clock.advance(31)
    store.lose_next_answer = True
    with pytest.raises(StoreUnavailable):
        await replica.lifecycle.refresh(grant.refresh_token)

    again = await replica.lifecycle.refresh(grant.refresh_token)

    assert again == Over("revoked", clear_cookies=True, session_id=grant.session.id)
    assert replica.kinds().count(Kind.THEFT) == 1


async def test_a_record_that_can_not_be_read_is_unavailable_not_over(replica, store):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    store.inner._texts[grant.session.id] = "{"

    with pytest.raises(StoreUnavailable):
        await replica.lifecycle.refresh(grant.refresh_token)


async def test_endless_rivalry_ends_as_unavailable(replica, store, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    clock.advance(900)
    store.always_lose = True

    for attempt in (
        replica.lifecycle.refresh(grant.refresh_token),
        replica.lifecycle.end(grant.session.id, "x"),
        replica.lifecycle.remember(grant.session.id, replace(ALICE, name="A")),
    ):
        with pytest.raises(StoreUnavailable):
            await attempt


async def test_a_key_rotation_signs_nobody_out_and_the_successor_uses_the_new_key(replica, clock):
    grant = await replica.lifecycle.start(ALICE, LAPTOP)
    replica.secrets.insert(0, ("k2", b"2" * 32))
    clock.advance(900)

    renewed = await granted(replica.lifecycle.refresh(grant.refresh_token))

    assert prove(renewed.refresh_token, replica.secrets).key_id == "k2"
