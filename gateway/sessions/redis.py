"""Sessions in Redis 6.2 or newer: every atomic step is a short script on the keys of one slot.

    gw:s:<session>    the record, kept by Redis until it may be forgotten
    gw:u:<subject>    the subject's sessions, by when they end at the latest
    {gw:feed}:log     the announcements, a stream that trims itself
    {gw:feed}:outbox  in a Cluster: announcements that may still be owed

Where record and feed live in different slots the announcement is put down in the outbox first, then
the record changes, then the announcement moves from outbox to feed. Whoever reads the feed also
looks after what others left in the outbox, so no death in between loses an announcement.
"""

import json
from collections.abc import Callable, Coroutine
from secrets import token_urlsafe
from typing import Any, TypeVar

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from gateway.sessions.deadline import Deadline
from gateway.sessions.flights import Flights
from gateway.sessions.redis_clients import Client, Clients, open_clients
from gateway.sessions.revocation import Revocation
from gateway.sessions.session import Session, encode
from gateway.sessions.store import (
    LINGER,
    Announcements,
    Stored,
    StoreUnavailable,
    stored,
    subject_key,
)
from gateway.tasks import Tasks

_Result = TypeVar("_Result")

_FEED = "{gw:feed}:log"
_OUTBOX = "{gw:feed}:outbox"
_REHEARSAL = "{gw:feed}:rehearsal"
_FEED_PAGE = 1000
_LONGEST_WAIT = 5.0
_REPLICATION_WAIT = 50
# How long an announcement may wait in the outbox before others look after it, and how long they
# give the change it belongs to. A change takes at most a deadline.
_OWED_AFTER = 1_000
_ABANDONED_AFTER = 60_000

_LUA = """
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
-- Drops what no longer matters: entries twice as old as the longest-lived token they concern.
local function append(key, entry, span)
  redis.call('XADD', key, 'MINID', '~', math.max(0, clock() - 2 * span), '*', 'r', entry)
end
"""
_NOW = _LUA + "return clock()"
# GETEX reads like GET, but counts as a write: a primary that was made a replica refuses it, instead
# of saying that there is no session where it has not copied it yet.
_READ = _LUA + "return {redis.call('GETEX', KEYS[1]), clock()}"
_SWAP = (
    _LUA
    + """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
if KEYS[2] then append(KEYS[2], ARGV[4], ARGV[5]) end
return 1
"""
)
_APPEND = (
    _LUA
    + """
append(KEYS[1], ARGV[1], ARGV[2])
return redis.call('ZREM', KEYS[2], ARGV[1])
"""
)
_OWE = _LUA + "return redis.call('ZADD', KEYS[1], clock(), ARGV[1])"
_OWED = (
    _LUA
    + """
local old = clock() - ARGV[1]
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', old, 'WITHSCORES', 'LIMIT', 0, 100)
return {clock(), found}
"""
)
_LIST = (
    _LUA
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', clock())
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
return redis.call('PEXPIREAT', KEYS[1], last[2])
"""
)


class RedisStore:
    """`open` makes one; nothing is asked of Redis before the first call."""

    def __init__(self, clients: Clients, deadline: Deadline, tasks: Tasks) -> None:
        self._clients = clients
        self._deadline = deadline
        self._maps = Flights(tasks)

    @classmethod
    def open(cls, url: str, *, tasks: Tasks, deadline: float = 0.2) -> "RedisStore":
        """Use the Redis at *url*. Raises ValueError when that makes no sense."""
        clients = open_clients(url, deadline, _LONGEST_WAIT)
        # uvloop says RuntimeError where asyncio says ConnectionResetError: the connection broke
        # between two writes, and redis-py passes it on as it is.
        failures = (RedisError, RedisClusterException, RuntimeError)
        return cls(clients, Deadline(tasks, deadline, failures), tasks)

    async def now(self) -> int:
        # In a Cluster each node has its own clock; this is the one of the feed's.
        return await self._run(lambda redis: _script(redis, _NOW, [_FEED]))

    async def get(self, session_id: str) -> Stored | None:
        return await self._run(lambda redis: _read(redis, session_id))

    async def add(self, session: Session) -> None:
        key, forget_at = _key(session.id), session.over_at + LINGER
        listed, latest = _listed(session.principal.subject), session.ends + LINGER

        async def work(redis: Client) -> None:
            # Listed first: a session that is not listed could not be ended with all the others.
            await _script(redis, _LIST, [listed], session.id, latest)
            if self._clients.replicated:
                await _on_a_replica_too(redis, "SET", key, encode(session), "PXAT", forget_at)
            else:
                await redis.set(key, encode(session), pxat=forget_at)

        await self._run(work)

    async def swap(
        self, before: Stored, after: Session, announce: Revocation | None = None
    ) -> bool:
        key = _key(after.id)
        args = (before.text, encode(after), after.over_at + LINGER)

        async def plain(redis: Client) -> bool:
            return bool(await _script(redis, _SWAP, [key], *args))

        if announce is None:
            return await self._run(plain)
        entry, span = _entry(announce), announce.until - announce.at

        async def together(redis: Client) -> bool:
            return bool(await _script(redis, _SWAP, [key, _FEED], *args, entry, span))

        async def replicated(redis: Client) -> bool:
            return bool(
                await _on_a_replica_too(redis, "EVAL", _SWAP, 2, key, _FEED, *args, entry, span)
            )

        async def one_by_one(redis: Client) -> bool:
            await _script(redis, _OWE, [_OUTBOX], entry)
            swapped = await plain(redis)
            if swapped:
                await _script(redis, _APPEND, [_FEED, _OUTBOX], entry, span)
            else:
                await redis.zrem(_OUTBOX, entry)
            return swapped

        if self._clients.clustered:
            return await self._run(one_by_one)
        return await self._run(replicated if self._clients.replicated else together)

    async def announce(self, revocation: Revocation) -> None:
        entry, span = _entry(revocation), revocation.until - revocation.at
        await self._run(lambda redis: _script(redis, _APPEND, [_FEED, _OUTBOX], entry, span))

    async def of_user(self, subject: str) -> list[Stored]:
        async def work(redis: Client) -> list[Stored]:
            ids: Any = await redis.zrange(_listed(subject), 0, -1)
            if not ids:
                return []
            pipeline = redis.pipeline(transaction=False)
            for session_id in ids:
                pipeline.eval(_READ, 1, _key(session_id))
            answers = await pipeline.execute()
            return [stored(text, int(now)) for text, now in answers if text is not None]

        return await self._run(work)

    async def announced(self, after: str | None, wait: float) -> Announcements:
        cursor = after or "0-0"
        wait = min(wait, _LONGEST_WAIT) if after else 0.0
        block = int(wait * 1000) or None  # 0 would mean for ever

        async def work() -> Announcements:
            redis = await self._reach(self._clients.feed)
            answer: Any = await redis.xread({_FEED: cursor}, count=_FEED_PAGE, block=block)
            entries = answer[0][1] if answer else []
            known = [_revocation(fields.get("r", "")) for _, fields in entries]
            return Announcements(
                tuple(one for one in known if one is not None),
                entries[-1][0] if entries else cursor,
                complete=len(entries) < _FEED_PAGE,
            )

        batch = await self._deadline.once(work, extra=wait)
        if self._clients.clustered and not batch.revocations:
            await self._run(_settle_outbox)
        return batch

    async def rehearse(self) -> None:
        async def work(redis: Client) -> None:
            await redis.set(_REHEARSAL, "", px=1000)

        await self._run(work)

    async def sweep(self, limit: int) -> int:  # noqa: ARG002 - Redis forgets by itself
        """Nothing to do: records and lists expire, the feed trims itself."""
        return 0

    async def close(self) -> None:
        async def work() -> None:
            # A map that is drawn after the closing would open connections that nobody closes.
            await self._maps.settle()
            await self._clients.close()

        await self._deadline.close(work)

    async def _run(self, work: Callable[[Client], Coroutine[Any, Any, _Result]]) -> _Result:
        async def call() -> _Result:
            return await work(await self._reach(self._clients.commands))

        return await self._deadline.run(call)

    async def _reach(self, client: Client) -> Client:
        """Let a Cluster's map be drawn in its own time; cut off at a deadline, it never would."""
        if isinstance(client, RedisCluster):
            await self._maps.join(id(client), lambda: _draw_map(client))
        return client


async def _draw_map(client: RedisCluster) -> None:
    try:
        await client.initialize()
    except (RedisError, RedisClusterException, OSError) as error:
        raise StoreUnavailable(f"no way into the Cluster: {error}") from error


async def _settle_outbox(redis: Client) -> None:
    """Announce what somebody meant to and did not live to."""
    now, found = await _script(redis, _OWED, [_OUTBOX], _OWED_AFTER)
    for entry, since in zip(found[::2], found[1::2], strict=True):
        revocation = _revocation(entry)
        kept = await _read(redis, revocation.session_id or "") if revocation else None
        if revocation and (kept is None or kept.session.revoked):
            span = revocation.until - revocation.at
            await _script(redis, _APPEND, [_FEED, _OUTBOX], entry, span)
        elif now - float(since) > _ABANDONED_AFTER:
            await redis.zrem(_OUTBOX, entry)


async def _on_a_replica_too(redis: Client, *command: str | int) -> Any:
    """Write what no token could put right: a failover must not lose a sign-in or undo an end.

    Waits a moment for one replica, and goes on without; on one connection, as WAIT is about the
    writes of its own.
    """
    pipeline = redis.pipeline(transaction=False)
    pipeline.execute_command(*command)
    pipeline.execute_command("WAIT", 1, _REPLICATION_WAIT)
    answer, _ = await pipeline.execute()
    return answer


async def _read(redis: Client, session_id: str) -> Stored | None:
    text, now = await _script(redis, _READ, [_key(session_id)])
    return None if text is None else stored(text, now)


async def _script(redis: Client, script: str, keys: list[str], *args: str | int) -> Any:
    # EVAL, not EVALSHA: a few hundred bytes more, and no script is ever missing after a failover.
    return await redis.eval(script, len(keys), *keys, *args)


def _key(session_id: str) -> str:
    return f"gw:s:{session_id}"


def _listed(subject: str) -> str:
    return f"gw:u:{subject_key(subject)}"


def _entry(revocation: Revocation) -> str:
    """Spell an announcement, each one differently: the outbox must not take two for one."""
    members = {
        "at": revocation.at,
        "until": revocation.until,
        "s": revocation.session_id,
        "u": revocation.subject,
        "n": token_urlsafe(6),
    }
    return json.dumps(members, separators=(",", ":"))


def _revocation(entry: str) -> Revocation | None:
    """Read an announcement; None for what is none."""
    try:
        members = json.loads(entry)
        return Revocation(
            at=int(members["at"]),
            until=int(members["until"]),
            session_id=members["s"],
            subject=members["u"],
        )
    except (ValueError, KeyError, TypeError):
        return None
