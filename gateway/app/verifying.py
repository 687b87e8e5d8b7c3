"""Whose access tokens are believed: our own, and those of the accepted issuers."""

from collections.abc import Callable
from pathlib import Path

from gateway.config.values import AcceptedIssuer, Tokens
from gateway.tasks import Tasks
from gateway.tokens.access import Verifier
from gateway.tokens.foreign import AnyIssuer, FixedKeys, ForeignIssuer, KeySource, key_set
from gateway.tokens.jwks_source import JwksSource


def verifying(
    own: Verifier,
    tokens: Tokens,
    *,
    tasks: Tasks,
    clock: Callable[[], float],
    changed: Callable[[], None],
) -> Verifier | AnyIssuer:
    """Return what verifies tokens; *changed* hears when another issuer's keys came or went."""
    if not tokens.accept:
        return own
    return AnyIssuer(
        own,
        {
            each.issuer: ForeignIssuer(
                each.issuer, each.audience, _source(each, tasks, clock, changed)
            )
            for each in tokens.accept
        },
    )


def _source(
    accepted: AcceptedIssuer,
    tasks: Tasks,
    clock: Callable[[], float],
    changed: Callable[[], None],
) -> KeySource:
    if "://" not in accepted.jwks:
        return FixedKeys(key_set(Path(accepted.jwks).read_bytes(), accepted.algorithms))
    source = JwksSource(accepted.jwks, accepted.algorithms, clock=clock, changed=changed)
    source.start(tasks)
    return source
