"""Reaches a Redis in each way one can be set up: alone, over TLS, with Sentinel, as a Cluster.

`redis://`, `rediss://` and `unix://` as redis-py reads them; `redis+sentinel://host,host/name/db`
and `redis+cluster://host,host`, each with `rediss+` for TLS. Nothing is retried below us: what the
outcome of a lost answer means is decided by the session's rules, not by a library.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

_REDIS_PORT = 6379
_SENTINEL_PORT = 26379
_CONNECTIONS = 32
_CONNECTIONS_PER_NODE = 256  # here redis-py refuses what is beyond instead of queueing it
# Seconds that a TLS connection which we close waits for the other side's goodbye, which nobody
# needs (RFC 8446 §6.1): whatever is cut off would stay open half a minute where none comes.
_FAREWELL: Final = 0.001

Client = Redis | RedisCluster


@dataclass(frozen=True, slots=True)
class Clients:
    """`feed` may wait longer than a command may take. `also_close` are helpers of theirs."""

    commands: Client
    feed: Client
    clustered: bool = False
    replicated: bool = False
    also_close: tuple[Redis, ...] = ()

    async def close(self) -> None:
        for client in (self.commands, self.feed, *self.also_close):
            await client.aclose()
        # What was cut off is in no pool any more, and may be closing still.
        await asyncio.sleep(2 * _FAREWELL)


def open_clients(url: str, deadline: float, feed_wait: float) -> Clients:
    """Tell from *url* how this Redis is set up. Raises ValueError for one that makes no sense."""
    scheme = urlsplit(url).scheme
    match scheme:
        case "redis" | "rediss" | "unix":
            return _alone(url, deadline, feed_wait)
        case "redis+sentinel" | "rediss+sentinel":
            return _with_sentinel(url, deadline, feed_wait)
        case "redis+cluster" | "rediss+cluster":
            return _cluster(url, deadline, feed_wait)
        case _:
            raise ValueError(f"{scheme!r} is no way to reach Redis that we know")


def _alone(url: str, deadline: float, feed_wait: float) -> Clients:
    def client(answer_within: float) -> Redis:
        options = _connecting(deadline, answer_within)
        if url.startswith("unix:"):
            del options["socket_keepalive"]
        pool = BlockingConnectionPool.from_url(
            url, max_connections=_CONNECTIONS, timeout=deadline, **options
        )
        try:
            # Tells what it thinks of the options, without connecting.
            pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no type here
        except TypeError as error:
            raise ValueError(f"an option of the Redis URL is unknown: {error}") from error
        _share_tls(pool)
        return Redis.from_pool(pool)

    return Clients(client(deadline), client(deadline + feed_wait))


def _with_sentinel(url: str, deadline: float, feed_wait: float) -> Clients:
    place = _Place.read(url, _SENTINEL_PORT)
    name, _, database = place.path.partition("/")
    if not name:
        raise ValueError("name the set that Sentinel watches: redis+sentinel://host:port/NAME")
    options = dict(place.options)
    # A sentinel that is down must leave time to ask the next one.
    asking = {**_connecting(deadline / 4, deadline / 4), "password": None}
    if "sentinel_password" in options:
        asking["password"] = options.pop("sentinel_password")
    if "sentinel_username" in options:
        asking["username"] = options.pop("sentinel_username")
    if place.tls:
        asking |= {"ssl": True, **options}

    def client(answer_within: float) -> tuple[Redis, Sentinel]:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types here
            place.hosts,
            sentinel_kwargs=asking,
            db=int(database or 0),
            **place.connecting(deadline, answer_within, options),
        )
        redis = sentinel.master_for(name, redis_class=Redis)
        _share_tls(redis.connection_pool, *(one.connection_pool for one in sentinel.sentinels))
        return redis, sentinel

    (commands, first), (feed, second) = client(deadline), client(deadline + feed_wait)
    helpers = (*first.sentinels, *second.sentinels)
    return Clients(commands, feed, replicated=True, also_close=helpers)


def _cluster(url: str, deadline: float, feed_wait: float) -> Clients:
    place = _Place.read(url, _REDIS_PORT)

    def client(answer_within: float) -> RedisCluster:
        redis = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in place.hosts],
            max_connections=_CONNECTIONS_PER_NODE,
            # One that is down must leave time to ask the next one for the way.
            **place.connecting(deadline / 2, answer_within, place.options),
        )

        _share_tls(*redis.startup_nodes)
        later = redis.nodes_manager.connection_kwargs
        if "connection_class" in later:
            later["connection_class"] = redis.startup_nodes[0].connection_class
        return redis

    return Clients(client(deadline), client(deadline + feed_wait), clustered=True)


def _share_tls(*makers: Any) -> None:
    """Let connections share what they trust.

    redis-py reads every certificate authority of the system anew for each connection, 80 ms on the
    event loop; a burst of renewals after a restart would spend its whole deadline on that.
    """
    sharing: dict[type, type] = {}
    for maker in makers:
        kind = maker.connection_class
        if issubclass(kind, SSLConnection):
            maker.connection_class = sharing.setdefault(kind, _sharing(kind))


def _sharing(kind: type[SSLConnection]) -> type[SSLConnection]:
    shared: list[Any] = []

    class Sharing(kind):  # type: ignore[misc, valid-type]  # redis-py offers no other way in
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            shared.append(self.ssl_context)
            del shared[1:]
            self.ssl_context: Any = shared[0]

        def _connection_arguments(self) -> Mapping[str, Any]:
            return {**super()._connection_arguments(), "ssl_shutdown_timeout": _FAREWELL}

    return Sharing


def _connecting(connect_within: float, answer_within: float) -> dict[str, Any]:
    return {
        "socket_connect_timeout": connect_within,
        "socket_timeout": answer_within,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": True,
        "client_name": "gateway",
    }


@dataclass(frozen=True, slots=True)
class _Place:
    """What a URL with several hosts says."""

    hosts: list[tuple[str, int]]
    path: str
    tls: bool
    credentials: dict[str, str]
    options: dict[str, str]

    @classmethod
    def read(cls, url: str, default_port: int) -> "_Place":
        parts = urlsplit(url)
        user_info, _, hosts = parts.netloc.rpartition("@")
        username, _, password = (unquote(part) for part in user_info.partition(":"))
        credentials = {"username": username, "password": password}
        return cls(
            hosts=[_host_and_port(host, default_port) for host in hosts.split(",")],
            path=parts.path.strip("/"),
            tls=parts.scheme.startswith("rediss"),
            credentials={name: value for name, value in credentials.items() if value},
            options=dict(parse_qsl(parts.query, strict_parsing=bool(parts.query))),
        )

    def connecting(
        self, connect_within: float, answer_within: float, options: dict[str, str]
    ) -> dict[str, Any]:
        own = _connecting(connect_within, answer_within)
        return {**own, **self.credentials, **options, **({"ssl": True} if self.tls else {})}


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is no host")
    return parts.hostname, parts.port or default_port
