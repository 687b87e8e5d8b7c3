"""`gateway sessions` shows and ends what the store keeps, while gateways run on it."""

import asyncio
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.commands.sessions import sessions
from gateway.identity.principal import Principal
from gateway.sessions.lifecycle import Lifecycle, Settings
from gateway.sessions.revocation import DenySet
from gateway.sessions.session import Device
from gateway.sessions.sql import SqlStore
from gateway.tasks import Tasks
from tests.config.written import SMALLEST, written


def called(folder: Path, *arguments: str, store: str = "") -> Result:
    store = store or f"sqlite:///{folder}/sessions.db"
    path = written(folder, f"{SMALLEST}sessions: {{store: '{store}'}}\n")
    return CliRunner().invoke(sessions, [arguments[0], "-c", str(path), *arguments[1:]])


def signed_in(folder: Path, *subjects: str) -> list[str]:
    """Start a session for each subject and return the ids."""

    async def run() -> list[str]:
        tasks = Tasks()
        url = f"sqlite:///{folder}/sessions.db"
        store = SqlStore.open(url, tasks=tasks, now=time.time)
        life = Lifecycle(
            store,
            lambda: (("k", b"s" * 32),),
            Settings(),
            deny=DenySet(),
            tasks=tasks,
            now=time.time,
        )
        device = Device("Browser\x1b[31m", "192.0.2.1")
        grants = [await life.start(Principal(subject), device) for subject in subjects]
        await store.close()
        await tasks.close()
        return [grant.session.id for grant in grants]

    return asyncio.run(run())


def test_the_living_sessions_of_a_user_are_listed_with_their_device(tmp_path: Path) -> None:
    first, second, _ = signed_in(tmp_path, "alice", "alice", "bob")

    result = called(tmp_path, "list", "--user", "Alice")

    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stdout.splitlines()} == {first, second}
    assert "192.0.2.1  Browser?[31m" in result.stdout


def test_one_session_ends_by_its_id_and_once(tmp_path: Path) -> None:
    first, second = signed_in(tmp_path, "alice", "alice")

    assert called(tmp_path, "revoke", first).exit_code == 0
    assert called(tmp_path, "revoke", first).exit_code == 1

    assert called(tmp_path, "list", "--user", "alice").stdout.startswith(second)


def test_every_session_of_a_user_ends_and_no_other(tmp_path: Path) -> None:
    _, _, other = signed_in(tmp_path, "alice", "alice", "bob")

    result = called(tmp_path, "revoke", "--user", "alice")

    assert result.stdout == "ended 2 sessions of alice\n"
    assert called(tmp_path, "list", "--user", "alice").stdout == ""
    assert called(tmp_path, "list", "--user", "bob").stdout.startswith(other)


@pytest.mark.parametrize("arguments", [(), ("someid", "--user", "alice")])
def test_what_to_end_is_named_in_exactly_one_way(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    result = called(tmp_path, "revoke", *arguments)

    assert result.exit_code == 2
    assert "name either one session by its id, or a user" in result.stderr


def test_sessions_in_memory_cannot_be_seen_from_outside(tmp_path: Path) -> None:
    result = called(tmp_path, "list", "--user", "alice", store="memory:")

    assert result.exit_code == 2
    assert "ask its operations port" in result.stderr


def test_a_store_that_does_not_answer_is_said_so(tmp_path: Path) -> None:
    store = "postgresql://localhost:1/none"

    result = called(tmp_path, "list", "--user", "alice", store=store)

    assert result.exit_code == 1
    assert "the session store does not answer" in result.stderr
