"""The portal as a server without a port: its connections begin and end in this process."""

import time
from contextlib import AsyncExitStack

from aiohttp import web

from gateway.app.foundation import Foundation
from gateway.app.shelf import Draft
from gateway.app.sign_in import SignIn
from gateway.config.values import Config
from gateway.portal.app import build
from gateway.portal.portal import Portal

_SECONDS_TO_FINISH = 2.0


async def serve_portal(
    config: Config, foundation: Foundation, draft: Draft, sign_in: SignIn
) -> web.Server:
    """Return the server of the portal that *config* describes."""

    async def make(closing: AsyncExitStack) -> web.Server:
        runner = web.AppRunner(
            build(_portal(config, foundation, sign_in)),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_SECONDS_TO_FINISH,
        )
        await runner.setup()
        closing.push_async_callback(runner.cleanup)
        server = runner.server
        if server is None:
            raise RuntimeError("aiohttp gave no server")
        return server

    key = ("portal", sign_in.credentials, sign_in.verifier, config.public_url, config.auth)
    return await draft.take(key, make)


def _portal(config: Config, foundation: Foundation, sign_in: SignIn) -> Portal:
    directory, keys = sign_in.directory, sign_in.keys
    return Portal(
        credentials=sign_in.credentials,
        lifecycle=sign_in.lifecycle,
        verifier=sign_in.verifier,
        deny=foundation.deny,
        provider=directory,
        cookies=config.cookies,
        throttle=foundation.throttle,
        jwks=lambda: keys.current().jwks(),
        observe=foundation.observation.observer.event,
        now=time.time,
        public_url=config.public_url,
        prefix=config.auth.prefix,
        registrar=directory if directory.registers else None,
        renews=config.auth.transparent_refresh != "off",
    )
