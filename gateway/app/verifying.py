"""Whose access tokens are believed: our own, and those of the accepted issuers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from gateway.app.shelf import Draft
from gateway.config.values import AcceptedIssuer
from gateway.tasks import Tasks
from gateway.tokens.access import AccessToken, Verifier
from gateway.tokens.foreign import (
    AnyIssuer,
    BadKeySet,
    FixedKeys,
    ForeignIssuer,
    KeySource,
    key_set,
)
from gateway.tokens.jwks_source import JwksSource

Verifying = Callable[[str, float], AccessToken]

_FIRST_KEYS_SECONDS = 1.0


async def verifying(
    own: Verifier,
    accepted: Sequence[AcceptedIssuer],
    draft: Draft,
    tasks: Tasks,
    changed: Callable[[], None],
) -> Verifying:
    """Return what verifies tokens; *changed* hears when another issuer's keys came or went.

    Raises OSError or BadKeySet for keys in a file.
    """
    if not accepted:
        return own.verify
    foreign = {
        each.issuer: ForeignIssuer(
            each.issuer, each.audience, await _source(each, draft, tasks, changed)
        )
        for each in accepted
    }
    return AnyIssuer(own, foreign).verify


async def _source(
    accepted: AcceptedIssuer, draft: Draft, tasks: Tasks, changed: Callable[[], None]
) -> KeySource:
    if "://" not in accepted.jwks:
        return keys_in_file(accepted)

    async def fetching(closing: AsyncExitStack) -> JwksSource:
        heard = asyncio.Event()

        def told() -> None:
            heard.set()
            changed()

        source = JwksSource(accepted.jwks, accepted.algorithms, clock=time.monotonic, changed=told)
        closing.callback(source.start(tasks).cancel)
        # Asked before anybody's token is judged by it; but an issuer that is down stops nobody.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_KEYS_SECONDS):
                await heard.wait()
        return source

    return await draft.take(("keys of", accepted), fetching)


def keys_in_file(accepted: AcceptedIssuer) -> FixedKeys:
    """Read the keys of an issuer whose `jwks` is a file. Raises OSError or BadKeySet."""
    document = Path(accepted.jwks).read_bytes()
    try:
        return FixedKeys(key_set(document, accepted.algorithms))
    except BadKeySet as error:
        raise BadKeySet(f"tokens.accept: {accepted.jwks}: {error}") from None
