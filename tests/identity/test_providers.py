"""What every login provider keeps: *refused* is never *unavailable*, and the present counts."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest
import yaml

from gateway.identity import htpasswd, users_file
from gateway.identity.database import Database
from gateway.identity.directory import Directory
from gateway.identity.file_source import FileSource
from gateway.identity.password_hashes import Cost, make
from gateway.identity.passwords import Passwords
from gateway.identity.principal import Principal
from gateway.identity.provider import LoginProvider, LoginRefused, ProviderUnavailable
from gateway.identity.users import User
from tests.fakes import FakeClock, FakeProvider

HASH = make(b"correct horse", Cost(memory_kib=8, passes=1))


class Place(Protocol):
    """Where a provider's people are kept, as an operator handles it."""

    provider: LoginProvider
    stays_up: bool  # goes on with what it last knew when the place is out of reach

    async def keep(self, groups: list[str], *, disabled: bool = False) -> None:
        """Let there be alice, with the password `correct horse`."""

    async def remove(self) -> None: ...

    async def out_of_reach(self) -> None: ...

    async def close(self) -> None: ...


class FilePlace:
    """A file of either format, behind a directory."""

    stays_up = True

    def __init__(self, folder: Path, parse: Any, write: Callable[..., str]) -> None:
        self.path, self._write = folder / "users", write
        self.path.write_text(write([], None))
        self.clock = FakeClock()
        self.reports: list[object] = []
        source = FileSource(self.path, parse, now=self.clock, on_bad=self.reports.append)
        self._passwords = Passwords(threads=1, cost=Cost(8, 1))
        self.provider = Directory(self._passwords, {"file": source})

    async def keep(self, groups: list[str], *, disabled: bool = False) -> None:
        self._change(self._write(groups, disabled))

    async def remove(self) -> None:
        self._change(self._write([], None))

    async def out_of_reach(self) -> None:
        self.path.unlink()
        self.clock.advance(1)

    async def close(self) -> None:
        self._passwords.close()

    def _change(self, text: str) -> None:
        self.path.write_text(text)
        self.clock.advance(1)


def as_yaml(groups: list[str], disabled: bool | None) -> str:
    alice = {"password": HASH, "groups": groups, "disabled": disabled}
    return yaml.safe_dump({"users": {} if disabled is None else {"alice": alice}})


def as_htpasswd(groups: list[str], disabled: bool | None) -> str:
    assert not groups
    assert not disabled
    return "# nobody\n" if disabled is None else f"alice:{HASH}\n"


class DatabasePlace:
    """A database, behind a directory."""

    stays_up = False

    def __init__(self, url: str, destroy: Callable[[], Awaitable[None]]) -> None:
        self._database = Database(url, now=FakeClock(), deadline=1)
        self._destroy = destroy
        self._passwords = Passwords(threads=1, cost=Cost(8, 1))
        self.provider = Directory(self._passwords, {"db": self._database})

    async def keep(self, groups: list[str], *, disabled: bool = False) -> None:
        await self._database.remove("alice")
        await self._database.add(User(Principal("alice", groups=tuple(groups)), HASH, disabled))

    async def remove(self) -> None:
        await self._database.remove("alice")

    async def out_of_reach(self) -> None:
        await self._destroy()

    async def close(self) -> None:
        await self._database.close()
        self._passwords.close()


class ProviderPlace:
    """A further login provider, behind a directory; with `bare`, itself."""

    stays_up = False

    def __init__(self, *, bare: bool) -> None:
        self._fake = FakeProvider({})
        self._passwords = Passwords(threads=1, cost=Cost(8, 1))
        behind = Directory(self._passwords, {}, {"fake": self._fake})
        self.provider: LoginProvider = self._fake if bare else behind

    async def keep(self, groups: list[str], *, disabled: bool = False) -> None:
        alice = Principal("alice", groups=tuple(groups))
        self._fake.people["alice"] = ("correct horse", alice)
        self._fake.disabled = {"alice"} if disabled else set()

    async def remove(self) -> None:
        self._fake.people.clear()

    async def out_of_reach(self) -> None:
        self._fake.available = False

    async def close(self) -> None:
        self._passwords.close()


async def drop_database(url: str) -> None:
    server, _, name = url.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def spoil(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("DROP TABLE gateway_users")
    other.close()


PLACES = ["users file", "htpasswd", "sqlite", "postgresql", "provider", "bare provider"]
# An htpasswd file has neither groups nor disabled users.
FULL_PLACES = [place for place in PLACES if place != "htpasswd"]


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    def build(kind: str) -> Place:
        match kind:
            case "users file":
                return FilePlace(tmp_path, users_file.parse, as_yaml)
            case "htpasswd":
                return FilePlace(tmp_path, htpasswd.parse, as_htpasswd)
            case "sqlite":
                file = tmp_path / "users.db"
                return DatabasePlace(f"sqlite:///{file}", lambda: spoil(file))
            case "postgresql":
                url = request.getfixturevalue("postgres_url")
                return DatabasePlace(url, lambda: drop_database(url))
            case _:
                return ProviderPlace(bare=kind.startswith("bare"))

    return build


@pytest.fixture
async def place(built: Place) -> AsyncIterator[Place]:
    yield built
    await built.close()


@pytest.fixture
def built(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    return make_place(request.param)


everywhere = pytest.mark.parametrize("built", PLACES, indirect=True)
everywhere_full = pytest.mark.parametrize("built", FULL_PLACES, indirect=True)


@everywhere
async def test_the_right_password_says_who_it_is(place):
    await place.keep([])

    person = await place.provider.authenticate("alice", "correct horse")

    assert person.subject == "alice"
    assert await place.provider.current(person) == person


@everywhere
@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", "wrong horse"),
        ("alice", ""),
        ("alice", "x" * 100_000),
        ("alice", "correct horse\0"),
        ("alice", "correct horse "),
        ("bob", "correct horse"),
        ("", "correct horse"),
        ("alice\0", "correct horse"),
        ("\ud800", "\ud800"),
    ],
)
async def test_everything_else_is_refused(place, username, password):
    await place.keep([])

    with pytest.raises(LoginRefused):
        await place.provider.authenticate(username, password)


@everywhere
async def test_who_was_removed_is_refused_and_no_longer_current(place):
    await place.keep([])
    person = await place.provider.authenticate("alice", "correct horse")
    await place.remove()

    assert await place.provider.current(person) is None
    with pytest.raises(LoginRefused):
        await place.provider.authenticate("alice", "correct horse")


@everywhere_full
async def test_s7_who_was_disabled_is_refused_and_no_longer_current(place):
    await place.keep([])
    person = await place.provider.authenticate("alice", "correct horse")
    await place.keep([], disabled=True)

    assert await place.provider.current(person) is None
    with pytest.raises(LoginRefused):
        await place.provider.authenticate("alice", "correct horse")


@everywhere_full
async def test_new_groups_count_at_the_next_renewal(place):
    await place.keep(["staff"])
    person = await place.provider.authenticate("alice", "correct horse")
    assert person.groups == ("staff",)
    await place.keep(["admins"])

    now = await place.provider.current(person)

    assert now is not None
    assert now.groups == ("admins",)


@everywhere
async def test_out_of_reach_is_never_a_refusal(place):
    await place.keep([])
    person = await place.provider.authenticate("alice", "correct horse")
    await place.out_of_reach()

    if place.stays_up:
        assert await place.provider.authenticate("alice", "correct horse") == person
        assert await place.provider.current(person) == person
        return
    for username, password in [("alice", "correct horse"), ("alice", "wrong"), ("bob", "any")]:
        with pytest.raises(ProviderUnavailable):
            await place.provider.authenticate(username, password)
    with pytest.raises(ProviderUnavailable):
        await place.provider.current(person)
