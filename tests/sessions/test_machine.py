"""A browser with many tabs, a network that loses and reorders, replicas, failovers and a thief.

Whatever order things happen in, the invariants of the sessions hold; on one store with many
schedules, and on several in lock-step, which must give the same answers (I12). Times are tiny, so
that every edge is met: a request takes less than GRACE, an answer with cookies less than DELIVERY.
"""

import asyncio
import itertools
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.sessions.events import Kind
from gateway.sessions.lifecycle import Grant, Lifecycle, Over, Settings
from gateway.sessions.memory import MemoryStore
from gateway.sessions.redis import RedisStore
from gateway.sessions.refresh_token import mint, prove
from gateway.sessions.revocation import DenySet
from gateway.sessions.rotation import Rules
from gateway.sessions.session import decode
from gateway.sessions.sql import SqlStore
from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks
from tests.sessions.examples import ALICE, EPOCH, LAPTOP

GRACE, DELIVERY, IDLE, ABSOLUTE = 3, 6, 60, 200
SECRETS = [("k1", b"1" * 32)]
SETTINGS = Settings(
    Rules(grace=GRACE, delivery=DELIVERY, idle=IDLE, ahead=2), absolute=ABSOLUTE, access=8, skew=1
)
FAULTS = st.sampled_from(["", "", "", "", "down", "answer lost"])
numbers = itertools.count(time.time_ns())


class World:
    """One store with two replicas in front, and what can go wrong between them."""

    def __init__(self, store, clock, new_id):
        self.store = store
        self.clock = clock
        self.fault = ""
        self.earlier = []
        self.heard = []
        self.tasks = Tasks()
        self.denies = [DenySet(), DenySet()]
        self.events = []
        self.replicas = [
            Lifecycle(
                self,
                lambda: SECRETS,
                SETTINGS,
                deny=deny,
                tasks=self.tasks,
                now=lambda: clock.ms / 1000,
                observe=self.events.append,
                new_id=new_id,
            )
            for deny in self.denies
        ]

    async def now(self):
        return self.clock.ms

    async def get(self, session_id):
        if self.fault == "down":
            raise StoreUnavailable
        kept = await self.store.get(session_id)
        return kept and replace(kept, now=self.clock.ms)

    async def of_user(self, subject):
        return [replace(one, now=self.clock.ms) for one in await self.store.of_user(subject)]

    async def add(self, session):
        await self.store.add(session)

    async def swap(self, before, after, announce=None):
        swapped = await self.store.swap(before, after, announce)
        if swapped:
            self.earlier.append(before.text)
        if self.fault == "answer lost":
            raise StoreUnavailable
        return swapped

    async def announce(self, revocation):
        await self.store.announce(revocation)

    async def fail_over(self, session_id):
        """Take back the last write."""
        kept = await self.store.get(session_id)
        assert await self.store.swap(kept, decode(self.earlier.pop()))
        self.earlier.clear()


@dataclass
class Clock:
    ms: int = EPOCH


@dataclass
class Shared:
    """What the whole run of a machine uses."""

    loop: asyncio.AbstractEventLoop
    stores: list
    honest: bool  # nobody steals, nobody ends the session
    cursors: dict = field(default_factory=dict)


class Sessions(RuleBasedStateMachine):
    shared: Shared

    @initialize()
    def sign_in(self):
        self.clock = Clock()
        session_id = f"{next(numbers):022}"
        self.worlds = [World(s, self.clock, lambda: session_id) for s in self.shared.stores]
        self.elapsed = 0
        self.principal = replace(ALICE, subject=session_id)
        grant = self.everywhere(lambda w: w.replicas[0].start(self.principal, LAPTOP))
        self.id, self.started = grant.session.id, grant.now
        self.jar, self.access = grant.refresh_token, 1
        self.requests, self.answers, self.stolen = [], [], []
        self.seen = {}  # generation -> when it was first seen in use
        self.head = 1
        self.idle_ends = grant.session.idle_ends
        self.compromised = self.ended = False
        self.failovers = 0

    def everywhere(self, work):
        """Do the same in every world; all must say the same."""

        async def settle(world):
            try:
                return await work(world)
            except StoreUnavailable:
                return "unavailable"

        async def all_worlds():
            return [await settle(world) for world in self.worlds]

        first, *others = self.shared.loop.run_until_complete(all_worlds())
        assert all(other == first for other in others), "I12"
        return first

    # --- the browser, its network, the replicas

    @rule()
    def a_tab_sends_a_request(self):
        self.requests.append((self.elapsed, self.jar))

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0, 9), replica=st.integers(0, 1), fault=FAULTS)
    def a_request_arrives(self, which, replica, fault):
        _, token = self.requests.pop(which % len(self.requests))
        answer = self.show(token, replica, fault)
        if answer == "unavailable":
            return
        if isinstance(answer, Over):
            assert answer.reason != "theft" or self.compromised, "I2: an honest browser"
            assert self.over() or self.compromised, f"I2: signed out by {answer}"
            self.requests.clear()
        else:
            self.answers.append((self.elapsed, answer.refresh_token, answer.session.head))

    @precondition(lambda self: self.answers)
    @rule(which=st.integers(0, 9))
    def an_answer_is_delivered_in_any_order(self, which):
        _, token, head = self.answers.pop(which % len(self.answers))
        self.jar, self.access = token or self.jar, head

    @precondition(lambda self: self.answers)
    @rule(which=st.integers(0, 9))
    def an_answer_is_lost(self, which):
        self.answers.pop(which % len(self.answers))

    @rule(replica=st.integers(0, 1), fault=FAULTS)
    def an_access_token_is_seen(self, replica, fault):
        self.set_fault(fault)
        self.everywhere(lambda w: w.replicas[replica].confirm(self.id, self.access))
        self.set_fault("")
        kept = self.kept()
        if kept.confirmed and kept.head == self.access:
            self.seen.setdefault(self.access, kept.confirmed)

    # --- time

    @rule(passed=st.sampled_from([1, 1, 2, 3, 4, 6, 7, 10, 25]))
    def time_passes(self, passed):
        self.elapsed += passed
        self.clock.ms += passed
        # The network keeps its promises; the gateway sends no cookie after DELIVERY.
        self.requests = [one for one in self.requests if self.elapsed - one[0] < GRACE]
        self.answers = [one for one in self.answers if self.elapsed - one[0] < DELIVERY]

    @rule(steps=st.sampled_from([1, 5, 40]))
    def the_clock_of_the_store_is_set_back(self, steps):
        self.clock.ms -= steps

    # --- what goes wrong

    @precondition(lambda self: self.failovers < 2 and all(w.earlier for w in self.worlds))
    @rule()
    def the_store_fails_over_and_loses_its_last_write(self):
        self.failovers += 1
        self.requests.clear()
        self.answers.clear()
        self.everywhere(lambda w: w.fail_over(self.id))
        self.head = self.kept().head
        self.idle_ends = self.kept().idle_ends
        self.seen.clear()

    @precondition(lambda self: not self.shared.honest)
    @rule()
    def a_thief_copies_the_jar(self):
        self.stolen.append(self.jar)

    @precondition(lambda self: self.stolen)
    @rule(which=st.integers(0, 9), replica=st.integers(0, 1))
    def a_thief_shows_what_he_has(self, which, replica):
        self.compromised = True
        answer = self.show(self.stolen[which % len(self.stolen)], replica, "")
        if isinstance(answer, Grant) and answer.refresh_token:
            self.stolen.append(answer.refresh_token)

    @rule(replica=st.integers(0, 1), everywhere=st.booleans())
    @precondition(lambda self: self.elapsed > 20 and not self.shared.honest)
    def the_session_is_ended(self, replica, everywhere):
        self.everywhere(
            lambda w: (
                w.replicas[replica].end_all(self.id, "x")
                if everywhere
                else w.replicas[replica].end(self.id, "x")
            )
        )
        self.ended = True
        self.pump()

    # --- what must hold

    def show(self, token, replica, fault):
        generation = prove(token, SECRETS).generation
        now = self.clock.ms
        was_over = self.over()
        spent = any(later > generation and now - t > GRACE for later, t in self.seen.items())
        self.set_fault(fault)
        answer = self.everywhere(lambda w: w.replicas[replica].refresh(token, LAPTOP))
        self.set_fault("")
        kept = self.kept()
        if isinstance(answer, Grant):
            assert not spent, "I3: a spent token was honoured"
            assert not was_over, "I7, I9: a session that is over was renewed"
            assert answer.session.head == kept.head, "I5"
            right = mint(SECRETS, self.id, kept.head)
            assert answer.refresh_token in {None, right}, "I5"
            assert answer.refresh_token or generation == kept.head, "I5: KEEP is for the head"
            if generation == kept.head or answer.refresh_token:
                self.seen.setdefault(generation, now)
        elif isinstance(answer, Over) and spent and not was_over:
            assert answer.reason == "theft", "I3"
        if kept.revoked:
            self.ended = True
            self.pump()
        return answer

    def over(self):
        return (
            self.ended
            or self.clock.ms >= self.started + ABSOLUTE
            or self.clock.ms >= self.idle_ends
        )

    def kept(self):
        async def session(world):
            return (await world.store.get(self.id)).session

        return self.everywhere(session)

    def set_fault(self, fault):
        for world in self.worlds:
            world.fault = fault

    def pump(self):
        """Let every replica hear the feed, as the follower does."""

        async def hear(world):
            complete = False
            while not complete:
                batch = await world.store.announced(self.shared.cursors.get(world.store), 0)
                self.shared.cursors[world.store] = batch.cursor
                complete = batch.complete
                world.heard += batch.revocations
            for one in world.heard:
                for deny in world.denies:
                    deny.add(one, self.clock.ms / 1000)

        self.everywhere(hear)

    @invariant()
    def the_head_never_goes_back(self):
        if hasattr(self, "id"):
            kept = self.kept()
            assert kept.head >= self.head, "I1"
            assert kept.ends == self.started + ABSOLUTE, "I7"
            assert kept.idle_ends <= kept.ends, "I7"
            self.head, self.idle_ends = kept.head, kept.idle_ends

    @invariant()
    def an_end_is_final_and_told(self):
        if hasattr(self, "id") and self.ended:
            for world in self.worlds:
                assert all(deny.ended(self.id) for deny in world.denies), "W4"

    def teardown(self):
        if not hasattr(self, "id"):
            return

        self.pump()

        async def check(world):
            kept = await world.store.get(self.id)
            for generation in range(1, self.head + 4):
                mac = mint(SECRETS, self.id, generation).rpartition(".")[2]
                assert mac not in kept.text, "I11"
            mine = [one for one in world.heard if one.session_id == self.id]
            assert all(one.until - one.at == SETTINGS.access + SETTINGS.skew for one in mine), "I10"
            kinds = [event.kind for event in world.events]
            assert kinds.count(Kind.THEFT) <= 1 + self.failovers
            assert self.compromised or Kind.THEFT not in kinds, "I2"
            await world.tasks.close()

        self.everywhere(check)


@contextmanager
def machine(open_stores, *, honest=False):
    loop = asyncio.new_event_loop()
    tasks = Tasks()
    shared = Shared(loop, open_stores(tasks), honest)
    try:
        yield type("Run", (Sessions,), {"shared": shared})
    finally:
        for store in shared.stores:
            loop.run_until_complete(store.close())
        loop.run_until_complete(tasks.close())
        loop.close()


def run(kind, examples, steps):
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def memory(now=lambda: EPOCH / 1000):
    return MemoryStore(now)


def test_i2_an_honest_browser_is_never_signed_out():
    with machine(lambda _tasks: [memory()], honest=True) as kind:
        run(kind, 150, 50)


def test_i1_to_i11_hold_with_a_thief_about():
    with machine(lambda _tasks: [memory()]) as kind:
        run(kind, 150, 50)


def test_i12_every_store_gives_the_same_answers(tmp_path, redis_alone, postgres):
    def stores(tasks):
        file = f"sqlite:///{tmp_path}/machine.db"
        return [
            memory(),
            SqlStore.open(file, tasks=tasks, now=lambda: EPOCH / 1000, deadline=5.0),
            SqlStore.open(postgres.url, tasks=tasks, now=lambda: 0.0, deadline=5.0),
            RedisStore.open(redis_alone.url, tasks=tasks, deadline=5.0),
        ]

    with machine(stores) as kind:
        run(kind, 25, 30)
