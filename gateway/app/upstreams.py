"""Makes the pools of connections to the configured upstreams, and to the portal in this process."""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from gateway.app.dialling import connecting, is_name, upstream_tls
from gateway.app.foundation import Foundation
from gateway.app.moving import follow_name
from gateway.app.shelf import Draft
from gateway.config.values import Health, Limits, Target, UnixAddress, Upstream
from gateway.proxy import balancing
from gateway.proxy.balancing import Balance, Connect
from gateway.proxy.health import Check, watch_health
from gateway.proxy.pool import Pool, PoolLimits

_PORTAL_CONNECTIONS = 1024

_Factory = Callable[[], asyncio.Protocol]


class Pools:
    """Builds pools, and keeps those whose upstream stays as it was, connections and all."""

    def __init__(self, foundation: Foundation, draft: Draft) -> None:
        self._foundation = foundation
        self._draft = draft

    async def of(self, upstreams: Mapping[str, Upstream], limits: Limits) -> dict[str, Pool]:
        """Return a pool for each configured upstream. Raises BadCertificate."""
        allowed = PoolLimits(
            limits.upstream_connections, limits.upstream_queue, limits.upstream_connect
        )
        return {name: await self._kept(each, allowed) for name, each in upstreams.items()}

    async def portal(self, server: web.Server) -> Pool:
        """Return a pool whose connections end in *server*, without leaving the process."""

        async def make(closing: AsyncExitStack) -> Pool:
            pool = self._pool(
                "portal",
                [balancing.Target("portal", _in_process(server))],
                PoolLimits(connections=_PORTAL_CONNECTIONS),
                internal=True,
            )
            closing.callback(pool.close)
            return pool

        return await self._draft.take(("portal pool", server), make)

    async def _kept(self, upstream: Upstream, limits: PoolLimits) -> Pool:
        async def make(closing: AsyncExitStack) -> Pool:
            tls = upstream_tls(upstream)
            pool = self._pool(
                upstream.name,
                [
                    balancing.Target(
                        _name_of(each),
                        connecting(each, tls, self._foundation.names),
                        host,
                        each.authority.encode("latin-1"),
                    )
                    for each, host in zip(upstream.targets, _own_hosts(upstream), strict=True)
                ],
                limits,
                balance=upstream.balance,
                host=_host_of(upstream),
            )
            closing.callback(pool.close)
            self._watch(pool, upstream)
            return pool

        return await self._draft.take(("pool", upstream, limits, _files_of(upstream)), make)

    def _watch(self, pool: Pool, upstream: Upstream) -> None:
        spawn, names = self._foundation.tasks.spawn, self._foundation.names
        if upstream.health is not None:
            watching = watch_health(pool, _check(upstream.health))
            pool.keep(spawn(f"health of {upstream.name}", watching))
        for target, configured in zip(pool.targets, upstream.targets, strict=True):
            address = configured.address
            if is_name(address):
                following = follow_name(pool, target, names, address.host, address.port)
                pool.keep(spawn(f"name of {target.name}", following))

    def _pool(
        self,
        name: str,
        targets: Sequence[balancing.Target],
        limits: PoolLimits,
        *,
        balance: Balance = "round-robin",
        host: bytes | None = None,
        internal: bool = False,
    ) -> Pool:
        return Pool(
            name,
            targets,
            limits,
            deadlines=self._foundation.deadlines,
            tasks=self._foundation.tasks,
            fields=self._foundation.response_fields,
            balance=balance,
            host=host,
            internal=internal,
        )


def _check(health: Health) -> Check:
    return Check(
        health.path,
        health.interval,
        health.timeout,
        health.unhealthy_after,
        health.healthy_after,
    )


def _name_of(target: Target) -> str:
    """What logs and metrics call it; every unix socket is the same host to HTTP."""
    return str(target.address) if isinstance(target.address, UnixAddress) else target.authority


def _own_hosts(upstream: Upstream) -> list[bytes | None]:
    """Return the Host of each target, None where all get the same."""
    hosts = [target.authority.encode("latin-1") for target in upstream.targets]
    if upstream.host == "preserve" or len(set(hosts)) == 1:
        return [None] * len(hosts)
    return list(hosts)


def _host_of(upstream: Upstream) -> bytes | None:
    """Return what Host says, None for what the browser sent."""
    if upstream.host == "preserve":
        return None
    return upstream.targets[0].authority.encode("latin-1")


def _files_of(upstream: Upstream) -> tuple[tuple[str, int, int], ...]:
    """Tell the certificates of *upstream* apart from those that lay there at the last reload."""
    stats = (
        (name, Path(name).stat())
        for name in (upstream.ca, upstream.certificate, upstream.key)
        if name is not None
    )
    return tuple((name, stat.st_ino, stat.st_mtime_ns) for name, stat in stats)


def _in_process(server: web.Server) -> Connect:
    async def connect(factory: _Factory) -> object:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        theirs.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await loop.connect_accepted_socket(server, theirs)
        return await loop.create_unix_connection(factory, sock=ours)

    return connect
