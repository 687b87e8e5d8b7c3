"""Everything that one configuration is made into, up to the data plane that serves it.

A reload builds the next generation beside the one in force. What a configuration does not change is
the very same object in both: keys, sessions, directory, pools with their warm connections.
"""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gateway.app.certificate import BadCertificate, Pair
from gateway.app.certificate import read as read_certificate
from gateway.app.confirming import Confirming
from gateway.app.foundation import Foundation
from gateway.app.portal_server import serve_portal
from gateway.app.renewing import renewing
from gateway.app.shelf import Draft
from gateway.app.sign_in import SignIn, build_sign_in
from gateway.app.upstreams import Pools
from gateway.config import values
from gateway.config.values import Config
from gateway.headers.fields import RequestFields
from gateway.identity.watched_file import BadFile
from gateway.observability.observer import Observer
from gateway.observability.rejections import counting
from gateway.pipeline import FORWARD_AUTH, PORTAL, Pipeline, Settings
from gateway.policy.access import Access
from gateway.policy.routes import Route, Routes
from gateway.proxy.plane import DataPlane, Limits
from gateway.tokens.algorithms import UnfitKey
from gateway.tokens.assertion import AssertionSigner
from gateway.tokens.foreign import BadKeySet
from gateway.tokens.key_folder import KeyFolderError

# What is raised where a file that the configuration names turns out to be bad.
BAD_FILES = (KeyFolderError, UnfitKey, BadKeySet, BadFile, BadCertificate)


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A configuration, and what was built of it."""

    config: Config
    sign_in: SignIn
    plane: DataPlane
    certificate: Pair | None

    def inherit(self, earlier: "Generation") -> None:
        """Let pools that were built anew know what is known of the servers that they share."""
        for name, upstream in self.config.upstreams.items():
            pool, before = self.plane.upstreams[name], earlier.plane.upstreams.get(name)
            if before is None or before is pool:
                continue
            known = {target.name: target for target in before.targets}
            for target in pool.targets:
                if target.name in known:
                    target.inherit(known[target.name], checked=upstream.health is not None)


async def build(config: Config, foundation: Foundation, draft: Draft) -> Generation:
    """Raises one of BAD_FILES, or OSError for another file that cannot be read."""
    certificate = None if config.tls is None else read_certificate(config.tls)
    sign_in = await build_sign_in(config, foundation, draft)
    plane = await _plane(config, foundation, draft, sign_in)
    return Generation(config, sign_in, plane, certificate)


async def _plane(
    config: Config, foundation: Foundation, draft: Draft, sign_in: SignIn
) -> DataPlane:
    pools = Pools(foundation, draft)
    upstreams = await pools.of(config.upstreams, config.limits)
    server = await serve_portal(config, foundation, draft, sign_in)
    upstreams[PORTAL] = await pools.portal(server)
    return DataPlane(
        pipeline=_pipeline(config, foundation, sign_in),
        cookies=config.cookies,
        identity=config.headers,
        upstreams=upstreams,
        limits=_limits(config.limits),
        scheme="https" if config.tls is not None else "http",
        trusted_proxies=config.trusted_proxies,
        renew=renewing(
            sign_in.credentials, config.cookies, config.sessions.delivery, time.monotonic
        ),
        seen=Confirming(sign_in.lifecycle.confirm, foundation.tasks),
        now=time.time,
        monotonic=time.monotonic,
        deadlines=foundation.deadlines,
        streams=foundation.streams,
        tasks=foundation.tasks,
        observer=await _observer(config, foundation, draft),
        new_request_id=foundation.new_request_id,
        via=foundation.via,
        request_fields=RequestFields(config.headers.names()),
    )


def _limits(limits: values.Limits) -> Limits:
    return Limits(
        head=limits.head,
        headers=limits.headers,
        body=limits.body,
        head_timeout=limits.head_timeout,
        body_timeout=limits.body_timeout,
        idle_timeout=limits.idle_timeout,
        upstream_head=limits.upstream_head,
        connections=limits.connections,
        connections_per_address=limits.connections_per_address,
    )


async def _observer(config: Config, foundation: Foundation, draft: Draft) -> Observer:
    async def make(closing: AsyncExitStack) -> Observer:
        return foundation.observation.of_requests(config.log, closing)

    return await draft.take(("log", config.log), make)


def _pipeline(config: Config, foundation: Foundation, sign_in: SignIn) -> Pipeline:
    prefix = config.auth.prefix
    own = (
        Route(f"{prefix}/verify", FORWARD_AUTH, Access.PUBLIC),
        Route(f"{prefix}/*", PORTAL, Access.PUBLIC),
    )
    return Pipeline(
        routes=Routes(config.routes, own=own),
        cookies=config.cookies,
        identity=config.headers,
        verify=counting(sign_in.verify, foundation.observation.metrics.token_rejected),
        denies=foundation.deny.denies,
        settings=Settings(
            prefix=prefix,
            own_origins=config.own_origins,
            protect_cross_site=config.auth.cross_site == "protect",
            transparent_refresh=config.auth.transparent_refresh,
        ),
        assertions=_assertions(config, sign_in),
    )


def _assertions(config: Config, sign_in: SignIn) -> AssertionSigner | None:
    if config.headers.assertion is None:
        return None
    return AssertionSigner(
        sign_in.keys.current, config.tokens.issuer, f"{config.tokens.audience}-assertion"
    )
