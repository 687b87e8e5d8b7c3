"""Users in a SQL database, on SQLite and on PostgreSQL."""

import asyncio
import contextlib
import sqlite3
import stat
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.database import Database
from gateway.identity.database_schema import BadDatabaseURL, database_url
from gateway.identity.principal import Principal
from gateway.identity.provider import ProviderUnavailable
from gateway.identity.users import User, UsernameTaken
from tests.fakes import FakeClock

ALICE = User(
    Principal("alice", "Alice Liddell", "alice@example.com", ("admins", "staff"), {"level": 3}),
    "$2b$04$alice",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/gateway.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def database(url):
    opened = Database(url, now=FakeClock())
    yield opened
    await opened.close()


async def test_a_kept_user_is_found_as_it_was(database):
    await database.add(ALICE)

    assert await database.find("alice") == ALICE
    assert await database.find("bob") is None


async def test_a_name_is_taken_once(database):
    await database.add(ALICE)

    with pytest.raises(UsernameTaken):
        await database.add(User(Principal("alice"), "other"))
    assert await database.find("alice") == ALICE


async def test_of_many_who_register_one_name_at_once_one_gets_it(database):
    outcomes = await asyncio.gather(
        *(database.add(User(Principal("alice"), f"hash {n}")) for n in range(8)),
        return_exceptions=True,
    )

    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, UsernameTaken) for outcome in outcomes) == 7


async def test_users_are_listed_by_name(database):
    await database.add(User(Principal("bob"), "x", disabled=True))
    await database.add(ALICE)

    assert await database.everyone() == [ALICE, User(Principal("bob"), "x", disabled=True)]


async def test_changes_reach_their_user_and_say_whether_there_was_one(database):
    await database.add(ALICE)

    assert await database.set_password("alice", "new")
    assert await database.set_disabled("alice", disabled=True)
    assert await database.find("alice") == User(ALICE.principal, "new", disabled=True)
    assert await database.set_disabled("alice", disabled=False)
    assert await database.remove("alice")

    assert await database.find("alice") is None
    assert not await database.set_password("alice", "new")
    assert not await database.set_disabled("alice", disabled=True)
    assert not await database.remove("alice")


async def test_a_stronger_hash_never_undoes_a_new_password(database):
    await database.add(ALICE)
    await database.rehash("alice", ALICE.password_hash, "stronger")
    assert (await database.find("alice")).password_hash == "stronger"

    await database.set_password("alice", "new")
    await database.rehash("alice", "stronger", "stronger still")

    assert (await database.find("alice")).password_hash == "new"


async def test_no_name_is_read_as_a_statement(database):
    await database.add(ALICE)

    for name in ["' OR 1=1 --", "alice'; DROP TABLE gateway_users; --", "%", "ali_e"]:
        assert await database.find(name) is None
        assert not await database.remove(name)
    assert await database.find("alice") == ALICE


async def test_several_may_open_an_empty_database_at_once(url, database):
    others = [Database(url, now=FakeClock()) for _ in range(4)]

    await asyncio.gather(*(other.open() for other in [database, *others]))
    await asyncio.gather(*(other.close() for other in others))

    await database.add(ALICE)


async def test_a_call_given_up_halfway_does_not_disturb_the_next(database):
    await database.add(ALICE)
    for _ in range(30):
        call = asyncio.ensure_future(database.find("alice"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await database.find("nobody") is None
    assert await database.find("alice") == ALICE


def test_the_file_and_its_companions_are_readable_by_us_alone(tmp_path):
    async def use():
        database = Database(f"sqlite:///{tmp_path}/new/deep/gateway.db", now=FakeClock())
        await database.add(ALICE)
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new/deep").iterdir()}
        await database.close()
        return modes

    modes = asyncio.run(use())

    assert {"gateway.db", "gateway.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "new/deep").stat().st_mode) == 0o700


def test_a_user_added_just_before_a_kill_is_there_afterwards(tmp_path):
    program = f"""
import asyncio, os, signal
from gateway.identity.database import Database
from gateway.identity.users import User
from gateway.identity.principal import Principal
async def main():
    database = Database("sqlite:///{tmp_path}/gateway.db", now=lambda: 1)
    await database.add(User(Principal("alice"), "hash"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9

    async def look():
        database = Database(f"sqlite:///{tmp_path}/gateway.db", now=FakeClock())
        found = await database.find("alice")
        await database.close()
        return found

    assert asyncio.run(look()) == User(Principal("alice"), "hash")


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    file = tmp_path / "gateway.db"
    file.touch(mode=0o644)
    database = Database(f"sqlite:///{file}", now=FakeClock())
    await database.open()
    await database.close()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_other_tables_in_the_same_file_are_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "gateway.db") as other:
        other.execute("CREATE TABLE sessions (id TEXT)")
        other.execute("CREATE TABLE users (id TEXT)")  # the app's own
        other.execute("PRAGMA user_version = 7")
    other.close()
    database = Database(f"sqlite:///{tmp_path}/gateway.db", now=FakeClock())
    await database.add(ALICE)
    await database.close()

    with sqlite3.connect(tmp_path / "gateway.db") as other:
        assert other.execute("PRAGMA user_version").fetchone() == (7,)
        assert other.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
        assert other.execute("SELECT version FROM gateway_users_schema").fetchall() == [(1,)]
    other.close()


async def test_a_schema_of_a_later_release_is_read(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/gateway.db", now=FakeClock())
    await database.add(ALICE)
    await database.close()
    with sqlite3.connect(tmp_path / "gateway.db") as later:
        later.execute("ALTER TABLE gateway_users ADD COLUMN later TEXT DEFAULT 'x'")
        later.execute("INSERT INTO gateway_users_schema VALUES (2)")
    later.close()

    database = Database(f"sqlite:///{tmp_path}/gateway.db", now=FakeClock())
    assert await database.find("alice") == ALICE
    await database.add(User(Principal("bob"), "x"))
    await database.close()


async def test_a_locked_file_is_unavailable_by_the_deadline_and_recovers(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/gateway.db", now=FakeClock(), deadline=0.2)
    await database.add(ALICE)
    lock = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")

    with pytest.raises(ProviderUnavailable):
        await database.set_password("alice", "new")
    lock.execute("ROLLBACK")
    lock.close()

    assert await database.set_password("alice", "new")
    await database.close()


async def test_a_database_that_is_down_at_the_start_is_found_once_it_is_up(tmp_path):
    (tmp_path / "data").write_text("in the way of the folder")
    database = Database(f"sqlite:///{tmp_path}/data/gateway.db", now=FakeClock())
    with pytest.raises(ProviderUnavailable):
        await database.find("alice")

    (tmp_path / "data").unlink()

    assert await database.find("alice") is None
    await database.close()


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"\0" * 4096])
async def test_a_file_that_is_no_database_is_unavailable(tmp_path, content):
    (tmp_path / "gateway.db").write_bytes(content)
    database = Database(f"sqlite:///{tmp_path}/gateway.db", now=FakeClock())

    with pytest.raises(ProviderUnavailable):
        await database.find("alice")
    await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@127.0.0.1:1/users",
        "postgresql://u:secret@no-such-host.invalid/users",
    ],
)
async def test_a_server_that_is_not_there_is_unavailable_and_no_secret_is_told(url):
    database = Database(url, now=FakeClock(), deadline=2)

    with pytest.raises(ProviderUnavailable) as unavailable:
        await database.find("alice")
    assert "secret" not in str(unavailable.value)
    await database.close()


async def test_a_server_that_never_answers_is_unavailable_by_the_deadline():
    gone = asyncio.Event()

    async def silent(reader, writer):
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(f"postgresql://u@127.0.0.1:{port}/users", now=FakeClock(), deadline=0.2)

    with pytest.raises(ProviderUnavailable):
        await database.find("alice")
    await asyncio.wait_for(gone.wait(), 10)  # nothing keeps asking
    await database.close()
    server.close()


async def test_a_server_without_our_database_is_unavailable(postgres_url):
    url = postgres_url.rpartition("/")[0] + "/no_such_database"
    database = Database(url, now=FakeClock())

    with pytest.raises(ProviderUnavailable):
        await database.find("alice")
    await database.close()


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///data/gateway.db", "sqlite+aiosqlite"),
        ("sqlite:////var/lib/gateway.db", "sqlite+aiosqlite"),
        ("postgresql://u:p@host/db", "postgresql+asyncpg"),
        ("postgres://host/db", "postgresql+asyncpg"),
        ("postgresql+psycopg2://host/db", "postgresql+asyncpg"),
    ],
)
def test_database_urls_get_the_driver_that_we_bring(text, driver):
    assert database_url(text).drivername == driver


@pytest.mark.parametrize("text", ["", "gateway.db", "mysql://u:secret@h/d", "redis://h", "sqlite:"])
def test_other_urls_are_refused_without_telling_their_secrets(text):
    with pytest.raises(BadDatabaseURL) as bad:
        database_url(text)

    assert "secret" not in str(bad.value)


@settings(max_examples=100)
@given(st.text(max_size=40))
def test_any_text_is_a_url_or_refused(text):
    with contextlib.suppress(BadDatabaseURL):
        assert database_url(text).drivername
