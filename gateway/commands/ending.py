"""Ends a user's sessions from the command line; the running gateways hear of it from the store."""

import click

from gateway.commands.lifecycle import with_lifecycle
from gateway.config.values import Config
from gateway.sessions.store import StoreUnavailable


def end_sessions(config: Config, subject: str, reason: str) -> str:
    """Return what became of the sessions, in words. Raises ClickException when some may live."""
    if config.sessions.store_kind == "memory":
        return "sessions are in the memory of the running gateway: restart it to end them"
    try:
        ended = with_lifecycle(config, lambda lifecycle: lifecycle.end_all(subject, reason))
    except StoreUnavailable as failure:
        raise click.ClickException(
            f"the user is changed, but sessions may live on: {config.sessions.store}: {failure}; "
            "run this again"
        ) from failure
    return f"ended {ended} session{'' if ended == 1 else 's'}"
