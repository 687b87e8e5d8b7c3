"""The composition root: starts the gateway from a configuration, renews it, and sees it out."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from gateway.app.certificate import Certificate
from gateway.app.descriptors import make_room
from gateway.app.foundation import Foundation
from gateway.app.generation import Generation, build
from gateway.app.libraries import check_libraries
from gateway.app.operating import Operating
from gateway.app.reloading import Reloading
from gateway.app.seat import Seat
from gateway.app.sockets import Sockets, open_sockets
from gateway.app.source import Source
from gateway.config.values import Config, TcpAddress
from gateway.observability.upstream_metrics import UpstreamState
from gateway.proxy.listener import Listener

_log = logging.getLogger("gateway")


class Gateway:
    """One process of the gateway, as it runs. See `running`."""

    def __init__(
        self,
        foundation: Foundation,
        generation: Generation,
        source: Source | None,
        seat: Seat | None,
    ) -> None:
        self.foundation = foundation
        self.generation = generation
        self.draining = False
        self._in_force_since = time.time()
        self._cut_off = asyncio.Event()
        self.port = 0
        self.reloading = None if source is None else Reloading(self, source)
        self._neighbours = None if seat is None else seat.neighbours
        self.operating = Operating(
            foundation, lambda: self.generation, lambda: self.draining, self._neighbours
        )
        self._listener = Listener(
            generation.plane,
            proxy_protocol=generation.config.proxy_protocol,
            counts=None if seat is None else seat.connections,
        )
        self._certificate: Certificate | None = None
        if generation.certificate is not None:
            self._certificate = Certificate(generation.certificate)
            foundation.tasks.spawn("watch the certificate", self._certificate.watch())
        foundation.pipeline = generation.plane.pipeline
        _make_room(generation.config)
        gauges = foundation.observation.metrics.gauges
        gauges.connections = lambda: float(len(self._listener))
        gauges.tunnels = lambda: float(self._listener.tunnels())
        gauges.signing_key_age_seconds = self._key_age
        gauges.config_last_reload_success_timestamp_seconds = lambda: self._in_force_since
        foundation.observation.metrics.upstreams = self._upstreams

    async def listen(self, sockets: Sockets) -> None:
        """Take connections from here on."""
        tls = None if self._certificate is None else self._certificate.context
        for each in sockets:
            await self._listener.listen_on(each, tls)
        config = self.generation.config
        shown = config.listen
        if isinstance(shown, TcpAddress):
            self.port = sockets[0].getsockname()[1]
            shown = TcpAddress(shown.host, self.port)
        _log.info("listening on %s as %s (process %d)", shown, config.public_url, os.getpid())

    async def reload(self) -> Sequence[str]:
        """Read the configuration again, in every process; return why the old one stays."""
        if self.reloading is None:
            return ["there is no file to read again"]
        problems = await self.reloading.reload()
        if not problems and self._neighbours is not None:
            self._neighbours.reload()
        return problems

    def put_in_force(self, generation: Generation) -> None:
        """Serve every request from the next one on as *generation* says."""
        generation.inherit(self.generation)
        self.generation = generation
        self._in_force_since = time.time()
        _make_room(generation.config)
        self.foundation.pipeline = generation.plane.pipeline
        self._listener.plane = generation.plane
        self.foundation.observation.follow(generation.config.log)
        if self._certificate is not None and generation.certificate is not None:
            self._certificate.use(generation.certificate)

    def _upstreams(self) -> list[UpstreamState]:
        pools = self.generation.plane.upstreams.values()
        return [pool.state() for pool in pools if not pool.internal]

    def _key_age(self) -> float | None:
        return self.generation.sign_in.keys.age()

    async def drain(self) -> None:
        """Be no longer ready, for `limits.drain_delay`; then take no more connections, and let
        requests under way end, for as long as `limits.drain`.
        """
        limits = self.generation.config.limits
        self.draining = True
        if limits.drain_delay:
            self._listener.send_elsewhere()
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.drain_delay):
                    await self._cut_off.wait()
        await self._listener.drain(limits.drain)

    async def cut_off(self) -> None:
        """Wait for nobody any longer."""
        self.draining = True
        self._cut_off.set()
        await self._listener.drain(0.0)


def _make_room(config: Config) -> None:
    warning = make_room(config.limits, len(config.upstreams))
    if warning is not None:
        _log.warning("%s", warning)


@asynccontextmanager
async def running(
    config: Config, *, source: Source | None = None, seat: Seat | None = None
) -> AsyncIterator[Gateway]:
    """Build and start everything, listening last; at the end, drain and close everything.

    *source* is where a reload reads. With a *seat*, other processes share the port, and somebody
    else watches the source. Raises one of BAD_FILES, OSError for another file that cannot be read,
    CannotListen, UnfitLibraries.
    """
    check_libraries()
    async with AsyncExitStack() as closing:
        foundation = Foundation(config, seat)
        closing.push_async_callback(foundation.stop)
        draft = foundation.shelf.draft()
        try:
            generation = await build(config, foundation, draft)
        finally:
            # What was built before something failed is closed with the rest.
            foundation.shelf.commit(draft)
        gateway = Gateway(foundation, generation, source, seat)
        foundation.start()
        if config.operations is not None and (seat is None or seat.number == 0):
            reload = None if source is None else gateway.reload
            await gateway.operating.listen(config.operations, reload, closing)
        closing.push_async_callback(gateway.drain)
        await gateway.listen(seat.sockets if seat else open_sockets(config.listen)[0])
        if gateway.reloading is not None and seat is None:
            watching = gateway.reloading.watch()
            foundation.tasks.spawn("watch the configuration", watching)
        yield gateway
