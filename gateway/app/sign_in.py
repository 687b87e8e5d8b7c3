"""What sign-in stands on: keys, tokens, sessions and people, as one configuration wants them."""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from gateway.app.foundation import Foundation
from gateway.app.keys import Keys
from gateway.app.login import build_directory
from gateway.app.shelf import Draft
from gateway.app.verifying import Verifying, verifying
from gateway.config.cores import usable_cores
from gateway.config.values import Config
from gateway.credentials import Credentials
from gateway.identity.directory import Directory
from gateway.identity.passwords import threads_for
from gateway.sessions.lifecycle import Lifecycle, Settings
from gateway.sessions.rotation import Rules
from gateway.tokens.access import Signer, Verifier

_MS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class SignIn:
    """*verifier* believes our own tokens, *verify* those of accepted issuers as well."""

    keys: Keys
    verifier: Verifier
    verify: Verifying
    lifecycle: Lifecycle
    directory: Directory
    credentials: Credentials


async def build_sign_in(config: Config, foundation: Foundation, draft: Draft) -> SignIn:
    """Raises OSError, KeyFolderError, UnfitKey, BadKeySet or BadFile."""
    tokens, tasks = config.tokens, foundation.tasks

    async def make_keys(closing: AsyncExitStack) -> Keys:
        keys = Keys(tokens, time.time)
        closing.callback(tasks.spawn("watch keys", keys.watch(foundation.keys_changed)).cancel)
        return keys

    keys = await draft.take(
        ("keys", tokens.key_folder, tokens.algorithm, tokens.secrets), make_keys
    )
    verifier = Verifier(keys.current, tokens.issuer, tokens.audience)
    lifecycle = await _lifecycle(config, foundation, draft, keys)
    directory = await _directory(config, draft)
    signer = Signer(keys.current, tokens.issuer, tokens.audience, tokens.access_lifetime)

    async def make_credentials(_closing: AsyncExitStack) -> Credentials:
        return Credentials(
            lifecycle,
            signer,
            directory,
            config.cookies,
            secrets=keys.refresh_secrets,
            deny=foundation.deny,
            tasks=tasks,
            now=time.time,
        )

    return SignIn(
        keys=keys,
        verifier=verifier,
        verify=await verifying(verifier, tokens.accept, draft, tasks, foundation.keys_changed),
        lifecycle=lifecycle,
        directory=directory,
        credentials=await draft.take(
            ("credentials", lifecycle, signer, directory, config.cookies), make_credentials
        ),
    )


async def _lifecycle(config: Config, foundation: Foundation, draft: Draft, keys: Keys) -> Lifecycle:
    sessions = config.sessions
    foundation.longest_access = max(foundation.longest_access, config.tokens.access_lifetime)
    access = foundation.longest_access

    async def make(_closing: AsyncExitStack) -> Lifecycle:
        return Lifecycle(
            foundation.store,
            keys.refresh_secrets,
            Settings(
                rules=Rules(
                    grace=int(sessions.grace * _MS),
                    delivery=int(sessions.delivery * _MS),
                    idle=int(sessions.idle_lifetime * _MS),
                ),
                absolute=int(sessions.absolute_lifetime * _MS),
                access=int(access * _MS),
            ),
            deny=foundation.deny,
            tasks=foundation.tasks,
            now=time.time,
            observe=foundation.observation.observer.session,
        )

    return await draft.take(("lifecycle", sessions, access, keys), make)


async def _directory(config: Config, draft: Draft) -> Directory:
    registration = config.auth.registration

    async def make(closing: AsyncExitStack) -> Directory:
        return await build_directory(
            config.login,
            registration=registration,
            threads=threads_for(usable_cores(), config.workers),
            now=time.time,
            closing=closing,
        )

    return await draft.take(("directory", config.login, registration), make)
