"""Builds the login providers, in the order in which the configuration offers them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.config.values import Htpasswd, Login, UpstreamLogin, UsersDatabase, UsersFile
from gateway.identity import htpasswd, users_file
from gateway.identity.directory import Directory
from gateway.identity.file_source import FileSource
from gateway.identity.passwords import Passwords
from gateway.identity.provider import LoginProvider
from gateway.identity.upstream import UpstreamLogin as AppsOwnLogin
from gateway.identity.users import Registrar, User, UserSource
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
            case UsersFile(path):
                sources[f"users-{number}"] = _file(path, users_file.parse, now)
            case Htpasswd(path):
                sources[f"htpasswd-{number}"] = _file(path, htpasswd.parse, now)
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


def _file(
    path: str, parse: Callable[[str], Mapping[str, User]], now: Callable[[], float]
) -> FileSource:
    def still_the_old_one(bad: BadFile) -> None:
        _log.error("%s", bad)

    return FileSource(Path(path), parse, now=now, on_bad=still_the_old_one)
