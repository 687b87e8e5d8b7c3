"""`gateway sessions`: who is signed in where, and an end to it on every replica."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import click

from gateway.commands.lifecycle import with_lifecycle
from gateway.commands.options import config_option, loaded
from gateway.config.values import Config
from gateway.identity.usernames import fold
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.session import Session
from gateway.sessions.store import StoreUnavailable

Result = TypeVar("Result")
BY_OPERATOR = "operator"


@click.group()
def sessions() -> None:
    """List sessions, or end them."""


@sessions.command("list")
@config_option
@click.option("--user", required=True, help="Whose sessions.")
def list_sessions(config_path: str | None, user: str) -> None:
    """List the living sessions of a user, the one seen last first."""
    found = _asked(loaded(config_path), lambda lifecycle: lifecycle.list(fold(user)))
    for session in found:
        click.echo(_line(session))
    if not found:
        click.echo(f"{user} has no session", err=True)


@sessions.command()
@config_option
@click.argument("session_id", required=False)
@click.option("--user", help="End every session of this user.")
def revoke(config_path: str | None, session_id: str | None, user: str | None) -> None:
    """End one session (by its id in the list), or every session of a user, everywhere."""
    if (session_id is None) == (user is None):
        raise click.UsageError("name either one session by its id, or a user with --user")
    config = loaded(config_path)
    if user is not None:
        subject = fold(user)
        ended = _asked(config, lambda life: life.end_all(subject, BY_OPERATOR))
        click.echo(f"ended {ended} session{'' if ended == 1 else 's'} of {user}")
        return
    known = session_id or ""
    if not _asked(config, lambda life: life.end(known, BY_OPERATOR)):
        click.echo("no such session is alive", err=True)
        sys.exit(1)
    click.echo("ended 1 session")


def _line(session: Session) -> str:
    seen, created = _time(session.seen), _time(session.created)
    device = session.device
    # Both come from clients: nothing in them may steer a terminal.
    agent, address = _printable(device.user_agent), _printable(device.address)
    return f"{session.id}  seen {seen}  since {created}  {address or '-'}  {agent or '-'}"


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _asked(config: Config, work: Callable[[Lifecycle], Awaitable[Result]]) -> Result:
    """Run *work* on the configured store; one that does not answer ends with exit code 1."""
    if config.sessions.store_kind == "memory":
        raise click.UsageError(
            "sessions in memory: are seen by the running gateway alone; ask its operations port"
        )
    try:
        return with_lifecycle(config, work)
    except StoreUnavailable as error:
        click.echo(f"the session store does not answer: {error}", err=True)
        sys.exit(1)
