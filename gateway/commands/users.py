"""`gateway users`: the people in the users database, and hashes for a users file.

A password is asked for or comes on stdin, never as an argument, where everybody on the machine
could read it. Whoever loses a password, or the account, loses their sessions with it.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from gateway.commands.ending import end_sessions
from gateway.commands.options import config_option, found_config, loaded
from gateway.config.secret import secret_url
from gateway.config.values import Config, UsersDatabase
from gateway.identity import password_hashes
from gateway.identity.database import Database
from gateway.identity.database_schema import BadDatabaseURL
from gateway.identity.password_hashes import Cost, secret
from gateway.identity.principal import Principal
from gateway.identity.provider import ProviderUnavailable
from gateway.identity.registration import Unfit, fit_email, fit_password, fit_username
from gateway.identity.users import User, UsernameTaken

Result = TypeVar("Result")

database_option = click.option(
    "--database",
    "url",
    metavar="URL",
    help="The users database [the first one in login].",
)
stdin_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read it from the first line of stdin."
)


@click.group()
def users() -> None:
    """Manage the people in the users database, and make hashes for a users file."""


@users.command("hash")
@stdin_option
def hash_(*, from_stdin: bool) -> None:
    """Print an argon2id hash of a password, for a users file."""
    click.echo(_hash(_password("", "", from_stdin=from_stdin)))


@users.command()
@click.argument("name")
@click.option("--email", default="", help="E-mail address.")
@click.option("--name", "full_name", default="", help="Name as people write it.")
@click.option("--group", "groups", multiple=True, help="A group; may be repeated.")
@stdin_option
@config_option
@database_option
def add(
    name: str,
    email: str,
    full_name: str,
    groups: tuple[str, ...],
    config_path: str | None,
    url: str | None,
    *,
    from_stdin: bool,
) -> None:
    """Add a user."""
    place, _ = _place(config_path, url)
    person = _person(name, email, full_name, groups)
    user = User(person, _hash(_password(person.subject, person.email, from_stdin=from_stdin)))
    try:
        _ask(place, lambda database: database.add(user))
    except UsernameTaken:
        raise click.ClickException(f"there is a user {person.subject!r} already") from None
    click.echo(f"added {person.subject}")


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@config_option
@database_option
def list_(config_path: str | None, url: str | None, *, as_json: bool) -> None:
    """List the users."""
    place, _ = _place(config_path, url)
    everyone = _ask(place, lambda database: database.everyone())
    if as_json:
        listed = [_shown(user) for user in everyone]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    rows = [("USER", "E-MAIL", "NAME", "GROUPS", "")]
    for user in everyone:
        p = user.principal
        state = "disabled" if user.disabled else ""
        rows.append((p.subject, p.email, p.name, ", ".join(p.groups), state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@users.command()
@click.argument("name")
@stdin_option
@config_option
@database_option
def passwd(name: str, config_path: str | None, url: str | None, *, from_stdin: bool) -> None:
    """Set a user's password, and end their sessions."""
    place, config = _place(config_path, url)
    subject = _canonical(name)
    password_hash = _hash(_password(subject, "", from_stdin=from_stdin))
    _change(place, subject, lambda database: database.set_password(subject, password_hash))
    click.echo(f"changed the password of {subject}{_ended(config, subject, 'password changed')}")


@users.command()
@click.argument("name")
@config_option
@database_option
def disable(name: str, config_path: str | None, url: str | None) -> None:
    """Keep a user from signing in, and end their sessions."""
    place, config = _place(config_path, url)
    subject = _canonical(name)
    _change(place, subject, lambda database: database.set_disabled(subject, disabled=True))
    click.echo(f"disabled {subject}{_ended(config, subject, 'disabled')}")


@users.command()
@click.argument("name")
@config_option
@database_option
def enable(name: str, config_path: str | None, url: str | None) -> None:
    """Let a disabled user sign in again."""
    place, _ = _place(config_path, url)
    subject = _canonical(name)
    _change(place, subject, lambda database: database.set_disabled(subject, disabled=False))
    click.echo(f"enabled {subject}")


@users.command()
@click.argument("name")
@config_option
@database_option
def remove(name: str, config_path: str | None, url: str | None) -> None:
    """Forget a user, and end their sessions."""
    place, config = _place(config_path, url)
    subject = _canonical(name)
    # Disabled first: when the sessions cannot be ended, the user is still there to try again.
    _change(place, subject, lambda database: database.set_disabled(subject, disabled=True))
    ended = _ended(config, subject, "removed")
    _change(place, subject, lambda database: database.remove(subject))
    click.echo(f"removed {subject}{ended}")


def _place(config_path: str | None, url: str | None) -> tuple[str, Config | None]:
    """Return the database to act on, and the configuration where there is one."""
    config = loaded(config_path) if url is None or _configured(config_path) else None
    if url is not None:
        return url, config
    if config is not None:
        for login in config.login:
            if isinstance(login, UsersDatabase):
                return login.url.reveal(), config
    raise click.UsageError(
        "the configuration has no users database: add database: sqlite:///data/gateway.db to "
        "login, or name one with --database"
    )


def _configured(config_path: str | None) -> bool:
    try:
        return found_config(config_path, os.environ) is not None
    except click.UsageError:
        return False


def _ask(url: str, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Do the work with the database: exit code 1 when it does not answer, 2 when it is none."""

    async def through() -> Result:
        database = Database(url, now=time.time)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(through())
    except BadDatabaseURL as bad:
        raise click.UsageError(f"--database: {bad}") from bad
    except ProviderUnavailable as failure:
        why = str(failure.__cause__ or "").partition("\n")[0] or type(failure.__cause__).__name__
        raise click.ClickException(f"{secret_url(url)}: {failure} ({why})") from failure


def _change(url: str, subject: str, work: Callable[[Database], Awaitable[bool]]) -> None:
    if not _ask(url, work):
        raise click.ClickException(f"there is no user {subject!r}")


def _ended(config: Config | None, subject: str, reason: str) -> str:
    if config is None:
        return "; sessions were not ended: without a configuration their store is not known"
    return f"; {end_sessions(config, subject, reason)}"


def _canonical(name: str) -> str:
    try:
        return fit_username(name)
    except Unfit as unfit:
        raise click.UsageError(f"user name {name!r} {unfit.message}") from unfit


def _person(name: str, email: str, full_name: str, groups: tuple[str, ...]) -> Principal:
    subject = _canonical(name)
    try:
        address = fit_email(email)
    except Unfit as unfit:
        raise click.UsageError(f"--email {email!r} {unfit.message}") from unfit
    for option, text in (("--name", full_name), *(("--group", group) for group in groups)):
        if not text.isprintable():
            raise click.UsageError(f"{option} {text!r} contains control characters")
    # The list reaches the app joined by commas.
    if any(not group.strip() or "," in group for group in groups):
        raise click.UsageError("a --group must not be empty or contain a comma; repeat the option")
    return Principal(subject, full_name, address, tuple(group.strip() for group in groups))


def _password(subject: str, email: str, *, from_stdin: bool) -> str:
    if from_stdin:
        password = _first_line()
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if secret(password) is None:
        raise click.UsageError(f"a password has between 1 and {password_hashes.LONGEST} characters")
    try:
        fit_password(password, subject, email)
    except Unfit as unfit:
        click.echo(f"warning: this password {unfit.message}", err=True)  # the operator's choice
    return password


def _first_line() -> str:
    line = sys.stdin.buffer.readline(4 * password_hashes.LONGEST + 3)
    try:
        return line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise click.UsageError("the password is not UTF-8") from None


def _hash(password: str) -> str:
    encoded = secret(password)
    assert encoded is not None  # noqa: S101 # _password has seen to that
    return password_hashes.make(encoded, Cost())


def _shown(user: User) -> dict[str, object]:
    person = user.principal
    return {
        "username": person.subject,
        "email": person.email,
        "name": person.name,
        "groups": list(person.groups),
        "disabled": user.disabled,
    }
