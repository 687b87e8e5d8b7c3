"""What every session store promises, whatever it is made of."""

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.identity.principal import Principal
from gateway.sessions.events import Kind
from gateway.sessions.lifecycle import Grant, Lifecycle, Over, Settings
from gateway.sessions.refresh_token import mint
from gateway.sessions.revocation import DenySet, Revocation
from gateway.sessions.rotation import Rules
from gateway.sessions.session import Device, encode
from gateway.sessions.store import LINGER, StoreUnavailable
from gateway.tasks import Tasks
from tests.sessions.examples import ALICE, LAPTOP, SESSION_ID, session

SECRETS = [("k1", b"1" * 32)]


async def fresh(store, **changes):
    """A session that lives now, by the store's clock, in the store."""
    now = await store.now()
    times = {
        "created": now,
        "seen": now,
        "sent": now,
        "ends": now + 90_000,
        "idle_ends": now + 60_000,
    }
    living = session(**{**times, **changes})
    await store.add(living)
    return living


def notice(now, session_id=SESSION_ID):
    return Revocation(at=now, until=now + 60_000, session_id=session_id)


async def test_an_unknown_session_is_none(store):
    assert await store.get("nobody") is None
    assert await store.of_user("nobody") == []


async def test_what_is_added_comes_back_with_the_time_of_the_store(store):
    added = await fresh(store)

    kept = await store.get(SESSION_ID)

    assert kept.session == added
    assert kept.text == encode(added)
    assert abs(kept.now - time.time() * 1000) < 5000
    assert kept.now <= await store.now() <= (await store.get(SESSION_ID)).now


async def test_r1_a_rehearsal_leaves_nothing_behind(store):
    added = await fresh(store)

    await store.rehearse()

    assert [each.session for each in await store.of_user(ALICE.subject)] == [added]
    assert await store.of_user("") == []
    assert (await store.announced(None, 0.0)).revocations == ()


async def test_every_replica_reads_what_one_wrote(backend):
    first, second = backend.open(), backend.open()
    added = await fresh(first)

    assert (await second.get(SESSION_ID)).session == added


@pytest.mark.parametrize(
    "odd",
    [
        {"device": Device("nul\0 quote' surrogate\ud800 \r\n", "::1")},
        {"principal": Principal("zoë\0\ud800%41 {tag}", claims={"π": [1, None, {"x": "😀"}]})},
        {"principal": Principal("alice", groups=tuple(f"group-{n}" for n in range(5000)))},
        {"unknown": {"key": {"kty": "EC"}, "later": None}},
    ],
)
async def test_no_text_is_too_odd_to_keep(store, odd):
    added = await fresh(store, **odd)
    before = await store.get(SESSION_ID)
    assert before.session == added

    assert await store.swap(before, replace(added, seen=added.seen + 1))

    assert (await store.get(SESSION_ID)).session.seen == added.seen + 1
    assert len(await store.of_user(added.principal.subject)) == 1


async def test_a_swap_replaces_what_it_read(store):
    added = await fresh(store)
    before = await store.get(SESSION_ID)
    after = replace(added, head=2, parent=1)

    assert await store.swap(before, after)

    assert (await store.get(SESSION_ID)).session == after


async def test_a_swap_of_what_is_no_more_changes_and_announces_nothing(store):
    added = await fresh(store)
    stale = await store.get(SESSION_ID)
    assert await store.swap(stale, replace(added, head=2, parent=1))
    now = await store.now()

    assert not await store.swap(stale, added.revoke(now, "late"), notice(now))

    assert (await store.get(SESSION_ID)).session.head == 2
    assert (await store.announced(None, 0)).revocations == ()


async def test_a_swap_of_a_session_that_is_gone_brings_nothing_back(backend):
    store = backend.open()
    gone = await fresh(store)
    before = await store.get(SESSION_ID)
    absent = replace(before, session=replace(gone, id="B" * 22))

    assert not await store.swap(absent, replace(gone, id="B" * 22, head=2))

    assert await store.get("B" * 22) is None


async def test_s2_of_eight_swaps_at_once_exactly_one_happens(backend):
    replicas = [backend.open(), backend.open()]
    added = await fresh(replicas[0])
    before = [await replicas[n % 2].get(SESSION_ID) for n in range(8)]

    swapped = await asyncio.gather(
        *(replicas[n % 2].swap(before[n], replace(added, head=n + 2)) for n in range(8))
    )

    assert swapped.count(True) == 1
    assert (await replicas[1].get(SESSION_ID)).session.head == swapped.index(True) + 2


async def test_the_sessions_of_a_user_are_those_and_no_others(store):
    now = await store.now()
    await fresh(store)
    await fresh(store, id="B" * 22)
    await fresh(store, id="C" * 22, principal=Principal("bob"))
    await fresh(store, id="D" * 22, revoked=now, why="logout")

    kept = await store.of_user("alice")

    assert {one.session.id for one in kept} == {SESSION_ID, "B" * 22, "D" * 22}
    assert all(abs(one.now - now) < 5000 for one in kept)
    assert kept[0].text == encode(kept[0].session)


async def test_a_swap_announces_to_every_replica(backend):
    first, second = backend.open(), backend.open()
    added = await fresh(first)
    start = await second.announced(None, 0)
    now = await first.now()

    assert await first.swap(await first.get(SESSION_ID), added.revoke(now, "x"), notice(now))

    batch = await second.announced(start.cursor, 1.0)
    assert batch.revocations == (notice(now),)
    assert (await second.announced(batch.cursor, 0)).revocations == ()
    assert (await first.announced(None, 0)).revocations == (notice(now),)


async def test_an_announcement_for_a_subject_arrives_as_it_was_made(store):
    now = await store.now()
    announcement = Revocation(at=now, until=now + 5000, subject="zoë %41\0")

    await store.announce(announcement)

    assert (await store.announced(None, 0)).revocations == (announcement,)


async def test_whoever_waits_for_announcements_is_woken_within_a_second(backend):
    first, second = backend.open(), backend.open()
    now = await first.now()
    start = await second.announced(None, 0)
    waiting = backend.tasks.spawn("waiting", second.announced(start.cursor, 5.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    began = time.monotonic()
    await first.announce(notice(now))

    assert (await waiting).revocations == (notice(now),)
    assert time.monotonic() - began < 1.0


async def test_waiting_for_announcements_ends(store):
    start = await store.announced(None, 5.0)  # the first reading never waits

    began = time.monotonic()
    batch = await store.announced(start.cursor, 0.3)

    assert batch.revocations == ()
    assert 0.2 < time.monotonic() - began < 1.5
    assert batch.complete


async def test_a_long_feed_is_read_in_order_without_a_gap(backend):
    first, second = backend.open(), backend.open()
    now = await first.now()
    expected = [notice(now, f"s{n}") for n in range(60)]
    for one in expected[:30]:
        await first.announce(one)
    batch = await second.announced(None, 0)
    read = list(batch.revocations)

    async def announce_rest():
        for one in expected[30:]:
            await first.announce(one)

    writing = backend.tasks.spawn("writing", announce_rest())
    async with asyncio.timeout(10):
        while len(read) < 60:
            batch = await second.announced(batch.cursor, 1.0)
            read += batch.revocations
    await writing

    assert read == expected


async def test_announcements_made_at_once_on_two_replicas_all_arrive(backend):
    """A number that is given earlier and committed later must not be skipped."""
    first, second, third = backend.open(), backend.open(), backend.open()
    now = await first.now()
    batch = await third.announced(None, 0)
    seen = set()
    writers = [
        backend.tasks.spawn("w", (first, second)[n % 2].announce(notice(now, f"s{n}")))
        for n in range(40)
    ]

    async with asyncio.timeout(10):
        while len(seen) < 40:
            batch = await third.announced(batch.cursor, 1.0)
            seen.update(entry.session_id for entry in batch.revocations)
    await asyncio.gather(*writers)


async def test_what_is_over_for_long_is_forgotten_a_bounded_number_at_a_time(store):
    now = await store.now()
    long_ago = now - LINGER - 1000
    await fresh(store)
    for n in range(5):
        await fresh(store, id=f"{n}" * 22, ends=long_ago, idle_ends=long_ago)
        await store.announce(Revocation(at=long_ago, until=now - 1, session_id=f"{n}" * 22))

    swept = []
    while count := await store.sweep(3):
        swept.append(count)

    assert all(count <= 3 for count in swept)
    assert (await store.get(SESSION_ID)).session.id == SESSION_ID
    assert [await store.get(f"{n}" * 22) for n in range(5)] == [None] * 5
    assert [one.session.id for one in await store.of_user("alice")] == [SESSION_ID]


async def test_a_session_that_lived_on_is_not_swept_by_its_first_end(store):
    now = await store.now()
    almost = now - LINGER + 300
    added = await fresh(store, ends=now + 60_000, idle_ends=almost)
    before = await store.get(SESSION_ID)
    assert await store.swap(before, replace(added, idle_ends=now + 60_000))
    await asyncio.sleep(0.4)

    await store.sweep(100)

    assert await store.get(SESSION_ID)


async def test_a_record_that_can_not_be_read_is_unavailable(store):
    await fresh(store, version=99)

    with pytest.raises(StoreUnavailable):
        await store.get(SESSION_ID)


async def test_s1_i11_nothing_that_yields_a_token_is_stored(store):
    lifecycle, _ = replica(store)
    grant = await lifecycle.start(ALICE, LAPTOP)
    grant = await lifecycle.refresh(grant.refresh_token, LAPTOP)

    text = (await store.get(grant.session.id)).text

    for generation in (1, 2, 3):
        assert mint(SECRETS, grant.session.id, generation).rpartition(".")[2] not in text


def replica(store, tasks=None, **rules):
    events = []
    lifecycle = Lifecycle(
        store,
        lambda: SECRETS,
        Settings(Rules(**{"grace": 0, "delivery": 0, "idle": 60_000, **rules}), absolute=90_000),
        deny=DenySet(),
        tasks=tasks or Tasks(),
        now=time.time,
        observe=events.append,
    )
    return lifecycle, events


async def test_s3_i6_fifty_presentations_on_three_replicas_rotate_once(backend):
    replicas = [replica(backend.open(), backend.tasks, grace=60_000) for _ in range(3)]
    grant = await replicas[0][0].start(ALICE, LAPTOP)
    before = await backend.open().get(grant.session.id)
    aged = replace(grant.session, sent=grant.session.sent - 60_000)
    assert await backend.open().swap(before, aged)

    answers = await asyncio.gather(
        *(replicas[n % 3][0].refresh(grant.refresh_token) for n in range(50))
    )

    assert {type(answer) for answer in answers} == {Grant}
    assert {answer.refresh_token for answer in answers} == {mint(SECRETS, grant.session.id, 2)}
    kinds = [event.kind for _, events in replicas for event in events]
    assert kinds.count(Kind.ROTATE) == 1
    assert set(kinds) <= {Kind.STARTED, Kind.ROTATE, Kind.REDELIVER}


async def test_s6_theft_ends_the_session_on_every_replica(backend):
    (first, _), (second, events) = (replica(backend.open(), backend.tasks) for _ in range(2))
    grant = await first.start(ALICE, LAPTOP)
    renewed = await second.refresh(grant.refresh_token)
    await first.confirm(grant.session.id, 2)
    await asyncio.sleep(0.01)

    thief = await second.refresh(grant.refresh_token)
    victim = await first.refresh(renewed.refresh_token)

    assert thief == Over("theft", clear_cookies=True, session_id=grant.session.id)
    assert victim.reason == "revoked"
    assert events[-1].kind is Kind.THEFT
    batch = await backend.open().announced(None, 0)
    assert [entry.session_id for entry in batch.revocations] == [grant.session.id]


async def test_s7_ends_and_rotations_at_once_leave_no_session_alive(backend):
    replicas = [replica(backend.open(), backend.tasks)[0] for _ in range(2)]
    grants = [await replicas[0].start(ALICE, LAPTOP) for _ in range(5)]

    await asyncio.gather(
        *(replicas[n % 2].refresh(grant.refresh_token) for n, grant in enumerate(grants)),
        replicas[1].end_all("alice", "disabled"),
        *(replicas[n % 2].refresh(grant.refresh_token) for n, grant in enumerate(grants)),
    )

    assert await replicas[0].list("alice") == []
    for grant in grants:
        for generation in (1, 2, 3):
            token = mint(SECRETS, grant.session.id, generation)
            assert (await replicas[0].refresh(token)).reason == "revoked"


async def storm(store, ids):
    """Ask for sessions and give up at random points; every answer must be to its own question."""
    tasks = Tasks()

    async def ask(session_id):
        assert (await store.get(session_id)).session.id == session_id

    for round_ in range(12):
        asked = [tasks.spawn("ask", ask(session_id)) for session_id in ids * 2]
        await asyncio.sleep(0.0005 * (round_ % 6))
        for task in asked[:: 2 + round_ % 2]:
            task.cancel()
        results = await asyncio.gather(*asked, return_exceptions=True)
        wrong = [
            r for r in results if r and not isinstance(r, asyncio.CancelledError | StoreUnavailable)
        ]
        assert wrong == []
        assert results.count(None) > 0


async def test_r2_calls_that_are_given_up_never_mix_up_answers(backend):
    store = backend.open()
    ids = [f"{n:022}" for n in range(10)]
    for session_id in ids:
        await fresh(store, id=session_id)

    await storm(store, ids)

    assert (await store.get(ids[3])).session.id == ids[3]
