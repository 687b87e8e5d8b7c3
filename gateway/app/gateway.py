"""The composition root: builds everything from one configuration, starts it, and sees it out."""

import asyncio
import logging
import os
import secrets
import ssl
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from gateway import __version__
from gateway.app.keys import Keys
from gateway.app.login import build_directory
from gateway.app.renewing import renewing
from gateway.app.stores import open_store
from gateway.app.upstreams import Pools
from gateway.app.verifying import verifying
from gateway.app.watching import end_streams_of_ended_sessions, recheck_streams
from gateway.config.values import Config, TcpAddress, UnixAddress
from gateway.credentials import Credentials
from gateway.headers.fields import RequestFields
from gateway.identity.usernames import fold
from gateway.observability import logs
from gateway.observability.access_log import AccessLog
from gateway.observability.line import LineFormat
from gateway.observability.loop_lag import LoopLag
from gateway.observability.metrics import Exposition, Metrics
from gateway.observability.observer import Observer
from gateway.observability.output import Output
from gateway.observability.request_id import request_ids
from gateway.operations.app import build as build_operations
from gateway.operations.listen import listen as listen_operations
from gateway.operations.operations import Component, Operations
from gateway.pipeline import FORWARD_AUTH, PORTAL, Authenticated, Pipeline
from gateway.pipeline import Settings as PipelineSettings
from gateway.policy.access import Access
from gateway.policy.routes import Route, Routes
from gateway.portal.app import build as build_portal
from gateway.portal.portal import Portal
from gateway.portal.throttle import BoundedCounters, Throttle
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.listener import Listener
from gateway.proxy.plane import DataPlane, Limits
from gateway.proxy.streams import Streams
from gateway.sessions.feed import Follower
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.lifecycle import Settings as SessionSettings
from gateway.sessions.revocation import DenySet
from gateway.sessions.rotation import Rules
from gateway.sessions.store import StoreUnavailable
from gateway.sessions.sweeping import sweep_forever
from gateway.tasks import Tasks
from gateway.tokens.access import Signer, Verifier
from gateway.tokens.assertion import AssertionSigner

_log = logging.getLogger("gateway")

_MS = 1000


class Gateway:
    """One process of the gateway. `start`, then `stop`."""

    def __init__(self, config: Config, *, shared_port: bool = False) -> None:
        self.config = config
        self.port = 0
        self._shared_port = shared_port
        self._tasks = Tasks()
        self._closing = AsyncExitStack()
        self._deadlines = Deadlines()
        self._deny = DenySet()
        self._streams = Streams()
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Build and start everything; listening comes last.

        Raises OSError for an address that cannot be had, KeyFolderError, UnfitKey, BadFile.
        """
        config = self.config
        self._observer = self._observe()
        # Below all that is closed before it: what the store has under way ends, it is not cut off.
        self._closing.push_async_callback(self._tasks.close)
        self._keys = Keys(config.tokens, time.time)
        self._store = open_store(config.sessions, tasks=self._tasks, now=time.time)
        self._closing.push_async_callback(self._store.close)
        self._lifecycle = self._build_lifecycle()
        self._directory = await build_directory(
            config.login,
            registration=config.auth.registration,
            now=time.time,
            closing=self._closing,
        )
        self._signer = Signer(
            self._keys.current,
            config.tokens.issuer,
            config.tokens.audience,
            config.tokens.access_lifetime,
        )
        self._verifier = Verifier(self._keys.current, config.tokens.issuer, config.tokens.audience)
        self._verify = verifying(
            self._verifier,
            config.tokens,
            tasks=self._tasks,
            clock=time.monotonic,
            changed=self._keys_changed,
        ).verify
        self._credentials = Credentials(
            self._lifecycle,
            self._signer,
            self._directory,
            config.cookies,
            secrets=self._keys.refresh_secrets,
            deny=self._deny,
            tasks=self._tasks,
            now=time.time,
        )
        self._follower = Follower(self._store, self._deny, time.time)
        self._deadlines.start()
        plane = await self._build_plane()
        self._listener = Listener(plane)
        self._follow()
        await self._operate()
        await self._listen(self._listener)

    async def stop(self) -> None:
        """Let requests under way end, for as long as `limits.drain`, then close everything."""
        if self._listener is not None:
            await self._listener.drain(self.config.limits.drain)
            for pool in self._listener.plane.upstreams.values():
                pool.close()
        self._deadlines.stop()
        await self._closing.aclose()

    # Building.

    def _observe(self) -> Observer:
        config = self.config
        output = Output(sys.stdout.fileno(), shared=self._shared_port)
        self._closing.callback(output.close)
        line_format = LineFormat(config.log.format)
        logs.configure(
            logging.getLevelNamesMapping()[config.log.level.upper()], line_format, output.write
        )
        self._metrics = Metrics(__version__)
        self._metrics.gauges.log_lines_dropped_total = lambda: float(output.dropped)
        access_log = None
        if config.log.access:
            loop = asyncio.get_running_loop()
            access_log = AccessLog(output.write, time.time, line_format, loop.call_later)
            self._closing.callback(access_log.flush)
        return Observer(access_log, self._metrics)

    def _build_lifecycle(self) -> Lifecycle:
        sessions = self.config.sessions
        return Lifecycle(
            self._store,
            self._keys.refresh_secrets,
            SessionSettings(
                rules=Rules(
                    grace=int(sessions.grace * _MS),
                    delivery=int(sessions.delivery * _MS),
                    idle=int(sessions.idle_lifetime * _MS),
                ),
                absolute=int(sessions.absolute_lifetime * _MS),
                access=int(self.config.tokens.access_lifetime * _MS),
            ),
            deny=self._deny,
            tasks=self._tasks,
            now=time.time,
            observe=self._observer.session,
        )

    async def _build_plane(self) -> DataPlane:
        config = self.config
        pools = Pools(self._deadlines, self._tasks)
        upstreams = pools.of(config.upstreams, config.limits)
        upstreams[PORTAL] = pools.portal(await self._serve_portal())
        return DataPlane(
            pipeline=self._build_pipeline(),
            cookies=config.cookies,
            identity=config.headers,
            upstreams=upstreams,
            limits=Limits(
                head=config.limits.head,
                headers=config.limits.headers,
                body=config.limits.body,
                head_timeout=config.limits.head_timeout,
                body_timeout=config.limits.body_timeout,
                idle_timeout=config.limits.idle_timeout,
                upstream_head=config.limits.upstream_head,
                connections=config.limits.connections,
                connections_per_address=config.limits.connections_per_address,
            ),
            scheme="https" if config.tls is not None else "http",
            trusted_proxies=config.trusted_proxies,
            renew=renewing(self._credentials, config.cookies, config.sessions.delivery),
            seen=self._seen,
            now=time.time,
            monotonic=time.monotonic,
            deadlines=self._deadlines,
            streams=self._streams,
            tasks=self._tasks,
            observer=self._observer,
            new_request_id=request_ids(secrets.token_bytes(8)),
            via=f"gateway-{secrets.token_hex(4)}".encode(),
            request_fields=RequestFields(config.headers.names()),
            response_fields=pools.fields,
        )

    def _build_pipeline(self) -> Pipeline:
        config = self.config
        prefix = config.auth.prefix
        own = (
            Route(f"{prefix}/verify", FORWARD_AUTH, Access.PUBLIC),
            Route(f"{prefix}/*", PORTAL, Access.PUBLIC),
        )
        return Pipeline(
            routes=Routes((*own, *config.routes)),
            cookies=config.cookies,
            identity=config.headers,
            verify=self._verify,
            denies=self._deny.denies,
            settings=PipelineSettings(
                prefix=prefix,
                own_origins=config.own_origins,
                protect_cross_site=config.auth.cross_site == "protect",
                transparent_refresh=config.auth.transparent_refresh,
            ),
            assertions=self._assertion(),
        )

    def _assertion(self) -> AssertionSigner | None:
        if self.config.headers.assertion is None:
            return None
        return AssertionSigner(
            self._keys.current,
            self.config.tokens.issuer,
            f"{self.config.tokens.audience}-assertion",
        )

    async def _serve_portal(self) -> web.Server:
        config = self.config
        portal = Portal(
            credentials=self._credentials,
            lifecycle=self._lifecycle,
            verifier=self._verifier,
            deny=self._deny,
            provider=self._directory,
            cookies=config.cookies,
            throttle=Throttle(BoundedCounters(time.time), now=time.time),
            jwks=lambda: self._keys.current().jwks(),
            observe=self._observer.event,
            now=time.time,
            public_url=config.public_url,
            prefix=config.auth.prefix,
            registrar=self._directory if self._directory.registers else None,
            renews=config.auth.transparent_refresh != "off",
        )
        runner = web.AppRunner(build_portal(portal), access_log=None, handle_signals=False)
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        server = runner.server
        if server is None:
            raise RuntimeError("aiohttp gave no server")
        return server

    # Running.

    def _seen(self, authenticated: Authenticated) -> None:
        token = authenticated.token
        if token.session_id:
            self._tasks.spawn(
                "confirm", self._lifecycle.confirm(token.session_id, token.generation)
            )

    def _follow(self) -> None:
        end_streams_of_ended_sessions(self._deny, self._streams)
        spawn = self._tasks.spawn
        spawn("follow revocations", self._follower.follow())
        spawn("sweep the store", sweep_forever(self._store))
        spawn("recheck streams", recheck_streams(self._streams, self._store))
        spawn("watch keys", self._keys.watch(self._keys_changed))
        lag = LoopLag(time.monotonic)
        spawn("measure loop lag", lag.run())
        gauges = self._metrics.gauges
        gauges.connections = lambda: float(len(self._listener or ()))
        gauges.tunnels = lambda: float(len(self._streams))
        gauges.signing_key_age_seconds = self._keys.age
        gauges.loop_lag_seconds = lag.worst
        gauges.revocation_feed_lag_seconds = self._follower.lag
        gauges.store_up = lambda: float(self._follower.connected)

    def _keys_changed(self) -> None:
        """What old keys had proven must be proven again: the pipeline forgets."""
        if self._listener is not None:
            from dataclasses import replace  # noqa: PLC0415

            self._listener.plane = replace(self._listener.plane, pipeline=self._build_pipeline())

    async def _operate(self) -> None:
        address = self.config.operations
        if address is None:
            return
        application = build_operations(
            Operations(
                components={
                    "store": Component(self._store_answers),
                    "revocation-feed": Component(self._feed_is_ready),
                    "upstreams": Component(self._upstreams_answer, required=False),
                },
                draining=lambda: self._listener is not None and self._listener.draining,
                metrics=Exposition(self._metrics).render,
                sessions=self._lifecycle,
                observe=self._observer.event,
                subject=fold,
            )
        )
        if isinstance(address, UnixAddress):
            runner = await listen_operations(application, path=address.path)
        else:
            runner = await listen_operations(application, host=address.host, port=address.port)
        self._closing.push_async_callback(runner.cleanup)

    async def _store_answers(self) -> str | None:
        try:
            await self._store.now()
        except StoreUnavailable as error:
            return str(error)
        return None

    async def _feed_is_ready(self) -> str | None:
        return None if self._follower.ready else "revocations have not been read yet"

    async def _upstreams_answer(self) -> str | None:
        assert self._listener is not None  # noqa: S101
        pools = self._listener.plane.upstreams.values()
        down = [pool.name for pool in pools if not pool.available()]
        return f"no target of {', '.join(down)} answers" if down else None

    async def _listen(self, listener: Listener) -> None:
        address = self.config.listen
        if isinstance(address, UnixAddress):
            Path(address.path).unlink(missing_ok=True)  # noqa: ASYNC240 - once, before serving
            await listener.listen_unix(address.path)
        else:
            self.port = await listener.listen_tcp(
                address.host, address.port, self._tls(), shared=self._shared_port
            )
        shown = address if isinstance(address, UnixAddress) else TcpAddress(address.host, self.port)
        _log.info("listening on %s as %s (process %d)", shown, self.config.public_url, os.getpid())

    def _tls(self) -> ssl.SSLContext | None:
        """TLS 1.2 or newer, HTTP/1.1 only (RFC 7301)."""
        tls = self.config.tls
        if tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(tls.certificate, tls.key)
        context.set_alpn_protocols(["http/1.1"])
        return context
