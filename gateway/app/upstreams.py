"""Makes the pools of connections to the configured upstreams, and to the portal in this process."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping

from aiohttp import web

from gateway.config.values import Limits, Target, UnixAddress, Upstream
from gateway.headers.fields import ResponseFields
from gateway.proxy import pool
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.health import watch_health
from gateway.proxy.pool import Connect, Pool, PoolLimits
from gateway.tasks import Tasks

_Factory = Callable[[], asyncio.Protocol]


class Pools:
    """Builds pools that share deadlines, tasks and what is known of header names."""

    def __init__(self, deadlines: Deadlines, tasks: Tasks) -> None:
        self._deadlines = deadlines
        self._tasks = tasks
        self.fields = ResponseFields()

    def of(self, upstreams: Mapping[str, Upstream], limits: Limits) -> dict[str, Pool]:
        """Return a pool for each configured upstream."""
        return {name: self._pool(upstream, limits) for name, upstream in upstreams.items()}

    def portal(self, server: web.Server) -> Pool:
        """Return a pool whose connections end in *server*, without leaving the process."""
        return Pool(
            "portal",
            [pool.Target("portal", _in_process(server))],
            PoolLimits(connections=1024),
            deadlines=self._deadlines,
            tasks=self._tasks,
            fields=self.fields,
            internal=True,
        )

    def _pool(self, upstream: Upstream, limits: Limits) -> Pool:
        tls = _upstream_tls(upstream)
        targets = [pool.Target(each.authority, _connect(each, tls)) for each in upstream.targets]
        host = None
        if upstream.host == "upstream":
            host = upstream.targets[0].authority.encode("latin-1")
        made = Pool(
            upstream.name,
            targets,
            PoolLimits(limits.upstream_connections, limits.upstream_queue, limits.upstream_connect),
            deadlines=self._deadlines,
            tasks=self._tasks,
            fields=self.fields,
            balance=upstream.balance,
            host=host,
        )
        if upstream.health is not None:
            made.keep(
                self._tasks.spawn(
                    f"health of {upstream.name}",
                    watch_health(made, upstream.health.path, upstream.health.interval),
                )
            )
        return made


def _connect(target: Target, tls: ssl.SSLContext | None) -> Connect:
    address = target.address
    context = tls if target.tls else None
    if isinstance(address, UnixAddress):
        path = address.path

        async def connect_unix(factory: _Factory) -> object:
            return await asyncio.get_running_loop().create_unix_connection(factory, path)

        return connect_unix
    host, port = address.host, address.port
    name = host if context is not None else None

    async def connect_tcp(factory: _Factory) -> object:
        return await asyncio.get_running_loop().create_connection(
            factory, host, port, ssl=context, server_hostname=name
        )

    return connect_tcp


def _in_process(server: web.Server) -> Connect:
    async def connect(factory: _Factory) -> object:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        theirs.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await loop.connect_accepted_socket(server, theirs)
        return await loop.create_unix_connection(factory, sock=ours)

    return connect


def _upstream_tls(upstream: Upstream) -> ssl.SSLContext | None:
    """Verify the upstream's certificate, always; show ours where one is configured."""
    if not any(target.tls for target in upstream.targets):
        return None
    context = ssl.create_default_context(cafile=upstream.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if upstream.certificate is not None:
        context.load_cert_chain(upstream.certificate, upstream.key)
    return context
