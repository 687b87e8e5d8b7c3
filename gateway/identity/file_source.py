"""Users kept in a file, whatever its format, read again when it changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.identity.decoys import sample
from gateway.identity.users import User
from gateway.identity.watched_file import BadFile, WatchedFile


@dataclass(frozen=True, slots=True)
class _Content:
    users: Mapping[str, User]
    decoys: tuple[str, ...]


class FileSource:
    """A UserSource. Opening a bad file raises BadFile; one that turns bad is reported to *on_bad*.

    *parse* is `users_file.parse` or `htpasswd.parse`.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], Mapping[str, User]],
        *,
        now: Callable[[], float],
        on_bad: Callable[[BadFile], None],
    ) -> None:
        def load(text: str) -> _Content:
            users = parse(text)
            return _Content(users, sample(user.password_hash for user in users.values()))

        self._file = WatchedFile(path, load, now=now, on_bad=on_bad)

    async def find(self, username: str) -> User | None:
        return (await self._file.content()).users.get(username)

    def decoys(self) -> Sequence[str]:
        return self._file.last().decoys
