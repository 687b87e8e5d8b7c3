"""What the Redis store does when servers hang, fill up, fail over or die between two steps."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis as Client

from gateway.sessions import redis as adapter
from gateway.sessions.redis import RedisStore
from gateway.sessions.redis_clients import open_clients
from gateway.sessions.revocation import Revocation
from gateway.sessions.store import LINGER, StoreUnavailable
from gateway.tasks import Tasks
from tests.sessions.examples import SESSION_ID
from tests.sessions.servers import Redis, SentinelSet, certify
from tests.sessions.test_sql import eventually
from tests.sessions.test_store import fresh, notice


@pytest.fixture
async def open_store():
    tasks, stores = Tasks(), []

    def open_one(url, deadline=0.5):
        stores.append(RedisStore.open(url, tasks=tasks, deadline=deadline))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()
    await tasks.close()


@pytest.fixture
def own_redis():
    with Redis.running() as server:
        yield server


@pytest.fixture
async def client(own_redis):
    client = Client.from_url(own_redis.url, decode_responses=True)
    yield client
    await client.aclose()


async def test_r1_a_redis_that_hangs_is_unavailable_within_the_deadline_and_comes_back(
    own_redis, open_store
):
    store = open_store(own_redis.url)
    added = await fresh(store)
    before = await store.get(SESSION_ID)
    start = await store.announced(None, 0)

    own_redis.freeze()
    for _ in range(8):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.swap(before, replace(added, head=2))
        assert time.monotonic() - began < 0.8
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.announced(start.cursor, 0.2)
    assert time.monotonic() - began < 1.2
    own_redis.thaw()

    assert (await eventually(lambda: store.get(SESSION_ID))).session.head in {1, 2}


async def test_r1_a_redis_that_restarts_needs_no_restart_of_ours(own_redis, open_store):
    store = open_store(own_redis.url)
    await fresh(store)
    own_redis.kill()
    with pytest.raises(StoreUnavailable):
        await store.get(SESSION_ID)

    own_redis.start()

    assert await eventually(lambda: store.get(SESSION_ID)) is None
    await fresh(store)


async def test_a_full_redis_is_unavailable_and_still_reads(own_redis, open_store, client):
    # It is about what Redis says, however busy the machine is.
    store = open_store(own_redis.url, deadline=10.0)
    added = await fresh(store)
    before = await store.get(SESSION_ID)
    await client.config_set("maxmemory", "1")

    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.swap(before, added.revoke(before.now, "x"), notice(before.now))
    assert (await store.get(SESSION_ID)).session == added
    await client.config_set("maxmemory", "0")

    assert (await store.announced(None, 0)).revocations == ()
    assert await store.swap(before, added.revoke(before.now, "x"), notice(before.now))


async def test_r5_everything_that_redis_keeps_has_an_end(own_redis, open_store, client):
    store = open_store(own_redis.url)
    added = await fresh(store)
    before = await store.get(SESSION_ID)
    assert await client.pexpiretime(f"gw:s:{SESSION_ID}") == added.idle_ends + LINGER
    assert await client.pexpiretime("gw:u:alice") == added.ends + LINGER

    ended = added.revoke(before.now, "x")
    assert await store.swap(before, ended, notice(before.now))

    assert await client.pexpiretime(f"gw:s:{SESSION_ID}") == ended.revoked + LINGER


async def test_r5_the_feed_drops_what_no_longer_matters(own_redis, open_store, client):
    store = open_store(own_redis.url)
    now = await store.now()
    for n in range(300):
        await store.announce(Revocation(at=now, until=now + 1, session_id=f"s{n}"))
    await asyncio.sleep(0.01)
    for n in range(200):  # a stream is trimmed by whole nodes of 100
        await store.announce(Revocation(at=now, until=now + 1, session_id=f"t{n}"))

    assert await client.xlen("{gw:feed}:log") < 400


async def test_the_list_of_a_user_forgets_sessions_that_ended_for_good(
    own_redis, open_store, client
):
    store = open_store(own_redis.url)
    now = await store.now()
    await client.zadd("gw:u:alice", {"old": now - 1})

    await fresh(store)

    assert await client.zrange("gw:u:alice", 0, -1) == [SESSION_ID]


async def test_what_is_no_announcement_is_passed_over(own_redis, open_store, client):
    store = open_store(own_redis.url)
    now = await store.now()
    for fields in ({"r": "{"}, {"x": "y"}, {"r": "[]"}, {"r": '{"at":1}'}):
        await client.xadd("{gw:feed}:log", fields)
    await store.announce(notice(now))

    batch = await store.announced(None, 0)

    assert batch.revocations == (notice(now),)
    assert (await store.announced(batch.cursor, 0)).revocations == ()


@pytest.fixture
async def clustered(redis_cluster, open_store):
    store = open_store(redis_cluster.url, deadline=2.0)
    client = await store._reach(store._clients.commands)
    await client.flushall(target_nodes=client.PRIMARIES)
    return store, client


async def owe(client, entry, since):
    await client.zadd("{gw:feed}:outbox", {entry: since})


async def test_an_announcement_whose_author_died_after_the_change_is_made_by_a_reader(clustered):
    store, client = clustered
    added = await fresh(store)
    before = await store.get(SESSION_ID)
    entry, _ = adapter._entry(notice(before.now)), await store.announced(None, 0)
    await owe(client, entry, before.now - 1001)
    assert await store.swap(before, added.revoke(before.now, "x"))

    await store.announced("0-1", 0)

    assert (await store.announced(None, 0)).revocations == (notice(before.now),)
    assert await client.zcard("{gw:feed}:outbox") == 0


async def test_an_announcement_whose_change_never_came_is_dropped_after_a_while(clustered):
    store, client = clustered
    await fresh(store)
    now = await store.now()
    await owe(client, adapter._entry(notice(now)), now - 30_000)
    await owe(client, adapter._entry(notice(now)), now - 60_001)

    await store.announced(None, 0)

    assert await client.zcard("{gw:feed}:outbox") == 1
    assert (await store.announced(None, 0)).revocations == ()


async def test_a_change_under_way_keeps_its_announcement_to_itself(clustered):
    store, client = clustered
    now = await store.now()
    await owe(client, adapter._entry(notice(now)), now)

    await store.announced(None, 0)

    assert (await store.announced(None, 0)).revocations == ()
    assert await client.zcard("{gw:feed}:outbox") == 1


async def test_after_a_swap_in_a_cluster_nothing_is_owed(clustered):
    store, client = clustered
    added = await fresh(store)
    before = await store.get(SESSION_ID)
    after = added.revoke(before.now, "x")

    assert await store.swap(before, after, notice(before.now))
    assert not await store.swap(before, after, notice(before.now))

    assert await client.zcard("{gw:feed}:outbox") == 0
    assert len((await store.announced(None, 0)).revocations) == 1


async def test_a_node_that_hangs_takes_only_its_own_sessions_along(redis_cluster, open_store):
    store = open_store(redis_cluster.url, deadline=1.0)
    ids = [f"{n:022}" for n in range(12)]
    for session_id in ids:
        await fresh(store, id=session_id)
    redis_cluster.redis[2].freeze()
    try:
        results = []
        for session_id in ids:
            try:
                results.append(await store.get(session_id))
            except StoreUnavailable:
                results.append(None)
            await asyncio.sleep(0.05)
    finally:
        redis_cluster.redis[2].thaw()

    assert any(results)
    for session_id in ids:
        kept = await eventually(lambda session_id=session_id: store.get(session_id), 15)
        assert kept.session.id == session_id


async def test_closing_while_the_way_into_a_cluster_is_sought_leaves_nothing_open(redis_cluster):
    tasks = Tasks()
    store = RedisStore.open(redis_cluster.url, tasks=tasks, deadline=2.0)
    waiting = tasks.spawn("feed", store.announced("0-1", 3.0))
    while not store._maps._under_way:
        await asyncio.sleep(0)

    await store.close()
    await asyncio.gather(waiting, return_exceptions=True)

    nodes = store._clients.feed.nodes_manager
    known = [*nodes.startup_nodes.values(), *nodes.nodes_cache.values()]
    assert not any(one.is_connected for node in known for one in node._connections)
    assert len(tasks) == 0


@pytest.fixture
def own_sentinel():
    with SentinelSet.running() as servers:
        yield servers


async def test_r3_after_a_failover_sessions_go_on_and_ended_ones_stay_ended(
    own_sentinel, open_store
):
    store = open_store(own_sentinel.url, deadline=1.0)
    living = await fresh(store)
    added = await fresh(store, id="B" * 22)
    before = await store.get("B" * 22)
    assert await store.swap(before, added.revoke(before.now, "x"), notice(before.now, "B" * 22))

    own_sentinel.primary().kill()
    with pytest.raises(StoreUnavailable):
        await store.get(SESSION_ID)

    kept = await eventually(lambda: store.get(SESSION_ID), 30)
    assert kept.session == living
    assert (await store.get("B" * 22)).session.revoked
    batch = await store.announced(None, 0)
    assert [entry.session_id for entry in batch.revocations] == ["B" * 22]
    # Reading works as soon as the new primary is known to one sentinel, writing a little later.
    swapped = await eventually(lambda: store.swap(kept, replace(living, head=2)), 15)
    assert swapped or (await store.get(SESSION_ID)).session.head == 2


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://127.0.0.1", "no way to reach Redis"),
        ("redis://127.0.0.1/0?colour=red", "unknown"),
        ("redis+sentinel://127.0.0.1:26379", "name the set"),
        ("redis+cluster://:pw@", "host"),
        ("redis+cluster://a:b:c", "[Pp]ort"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url, complaint):
    with pytest.raises(ValueError, match=complaint):
        open_clients(url, 1.0, 5.0)


def test_hosts_and_credentials_are_read_from_the_url():
    clients = open_clients(
        "redis+sentinel://us%40er:p%2Fw@[::1]:7,b/set/3?sentinel_password=q", 1.0, 5.0
    )

    pool = clients.commands.connection_pool
    asked = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"], one["password"]) for one in asked] == [
        ("::1", 7, "q"),
        ("b", 26379, "q"),
    ]
    assert pool.service_name == "set"
    options = pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("us@er", "p/w", 3)
    assert options["socket_timeout"] == 1.0
    assert clients.feed.connection_pool.connection_kwargs["socket_timeout"] == 6.0


def test_connections_over_tls_share_what_they_trust(tmp_path):
    certificate, _ = certify(tmp_path)
    options = f"?ssl_ca_certs={certificate}"
    alone = open_clients(f"rediss://127.0.0.1{options}", 1.0, 5.0).commands.connection_pool
    watched = open_clients(f"rediss+sentinel://a,b/set{options}", 1.0, 5.0).commands.connection_pool
    cluster = open_clients(f"rediss+cluster://a,b{options}", 1.0, 5.0).commands

    nodes = [node.acquire_connection() for node in cluster.startup_nodes]
    for first, second in (
        (alone.make_connection(), alone.make_connection()),
        (watched.make_connection(), watched.make_connection()),
        nodes,
    ):
        assert first.ssl_context is second.ssl_context
        assert first.ssl_context.get() is second.ssl_context.get()
        assert first.ssl_context.ca_certs == certificate


async def test_r3_a_primary_that_became_a_replica_says_nothing_of_any_session(open_store):
    """What it lacks may be alive elsewhere: empty is not over."""
    with (
        Redis.running() as primary,
        Redis.running("--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        store = open_store(replica.url)

        with pytest.raises(StoreUnavailable):
            await store.get(SESSION_ID)
