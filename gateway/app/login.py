"""Builds the login providers, in the order in which the configuration offers them."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.config.values import Htpasswd, Login, UpstreamLogin, UsersDatabase, UsersFile
from gateway.identity import htpasswd, users_file
from gateway.identity.directory import Directory
from gateway.identity.file_source import FileSource
from gateway.identity.passwords import Passwords
from gateway.identity.provider import LoginProvider
from gateway.identity.upstream import UpstreamLogin as AppsOwnLogin
from gateway.identity.users import Registrar, UserSource
from gateway.identity.watched_file import BadFile

_log = logging.getLogger("gateway.login")


async def build_directory(
    login: Sequence[Login],
    *,
    registration: bool,
    threads: int,
    now: Callable[[], float],
    closing: AsyncExitStack,
) -> Directory:
    """Return the directory of everybody who may sign in; *threads* hash passwords for it.

    Raises BadFile for a bad users file.
    """
    passwords = Passwords(threads=threads)
    closing.callback(passwords.close)
    sources: dict[str, UserSource] = {}
    providers: dict[str, LoginProvider] = {}
    registrar: tuple[str, Registrar] | None = None
    for number, each in enumerate(login, start=1):
        match each:
            case UsersFile():
                sources[f"users-{number}"] = users_in_file(each, now)
            case Htpasswd():
                sources[f"htpasswd-{number}"] = users_in_file(each, now)
            case UsersDatabase(url):
                from gateway.identity.database import Database  # noqa: PLC0415 - only where it is used

                database = Database(url.reveal(), now=now)
                closing.push_async_callback(database.close)
                await database.open()
                name = f"database-{number}"
                sources[name] = database
                registrar = registrar or (name, database)
            case UpstreamLogin(url, send, username_field, password_field, timeout):
                fields = (username_field, password_field)
                provider = AppsOwnLogin(url, send=send, fields=fields, timeout=timeout)
                closing.push_async_callback(provider.close)
                providers[f"upstream-{number}"] = provider
    return Directory(passwords, sources, providers, registrar=registrar if registration else None)


def users_in_file(source: UsersFile | Htpasswd, now: Callable[[], float]) -> FileSource:
    """Read a users file, now and whenever it changes. Raises BadFile."""
    parse = users_file.parse if isinstance(source, UsersFile) else htpasswd.parse

    def still_the_old_one(bad: BadFile) -> None:
        _log.error("%s", bad)

    return FileSource(Path(source.path), parse, now=now, on_bad=still_the_old_one)
