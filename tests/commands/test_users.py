"""`gateway users`: people in the database, hashes for a file, and sessions that end with both."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.commands.users import users
from gateway.identity.database import Database
from gateway.identity.password_hashes import matches, problem
from gateway.identity.principal import Principal
from gateway.identity.users import User
from gateway.identity.users_file import parse
from gateway.sessions.lifecycle import Lifecycle, Settings
from gateway.sessions.revocation import DenySet
from gateway.sessions.session import Device
from gateway.sessions.sql import SqlStore
from gateway.tasks import Tasks
from tests.config.written import written
from tests.fakes import FakeClock

CONFIG = """\
upstreams:
  app: http://127.0.0.1:3000
routes:
  - path: /*
    upstream: app
login:
  - users: users.yaml
  - database: sqlite:///data/gateway.db
sessions: {store: "sqlite:///data/gateway.db"}
"""
IN_MEMORY = CONFIG.replace('"sqlite:///data/gateway.db"', '"memory:"')
ONLY_A_FILE = CONFIG.replace("  - database: sqlite:///data/gateway.db\n", "")
PASSWORD = "correct horse battery"


class Operator:
    """Somebody at a command line, in a folder with a configuration."""

    def __init__(self, folder: Path, text: str = CONFIG) -> None:
        self.url = f"sqlite:///{folder}/data/gateway.db"
        self.config = written(folder, text.replace("sqlite:///data/gateway.db", self.url))

    def does(self, command: str, *arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(users, [command, "-c", str(self.config), *arguments], input=stdin)

    def adds(self, name: str, *arguments: str) -> Result:
        return self.does("add", name, "--password-stdin", *arguments, stdin=f"{PASSWORD}\n")

    def user(self, name: str) -> User | None:
        async def find() -> User | None:
            database = Database(self.url, now=FakeClock())
            found = await database.find(name)
            await database.close()
            return found

        return asyncio.run(find())


@pytest.fixture
def operator(tmp_path):
    return Operator(tmp_path)


async def with_sessions(operator, work):
    tasks = Tasks()
    store = SqlStore.open(operator.url, tasks=tasks, now=FakeClock())
    secrets = (("key-1", b"x" * 32),)
    lifecycle = Lifecycle(
        store, lambda: secrets, Settings(), deny=DenySet(), tasks=tasks, now=FakeClock()
    )
    try:
        return await work(lifecycle)
    finally:
        await store.close()
        await tasks.close()


def sign_in(operator, name):
    device = Device(user_agent="test", address="127.0.0.1")
    asyncio.run(with_sessions(operator, lambda life: life.start(Principal(name), device)))


def sessions(operator, name):
    return len(asyncio.run(with_sessions(operator, lambda life: life.list(name))))


def test_a_user_is_added_with_everything_that_is_said_of_them(operator):
    result = operator.adds(
        "Alice", "--email", "a@example.com", "--name", "Alice L", "--group", "admins",
        "--group", "staff",
    )  # fmt: skip

    assert (result.exit_code, result.stdout, result.stderr) == (0, "added alice\n", "")
    alice = operator.user("alice")
    assert alice is not None
    assert alice.principal == Principal("alice", "Alice L", "a@example.com", ("admins", "staff"))
    assert matches(alice.password_hash, PASSWORD.encode())
    assert not alice.disabled


def test_the_password_is_asked_for_twice_and_never_shown(operator):
    result = operator.does("add", "alice", stdin=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert matches(operator.user("alice").password_hash, PASSWORD.encode())


def test_a_name_is_added_once_in_whatever_spelling(operator):
    operator.adds("alice")

    result = operator.adds("ALICE")

    assert (result.exit_code, result.stderr) == (1, "Error: there is a user 'alice' already\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["a b"],
        ["alice", "--email", "nowhere"],
        ["alice", "--name", "a\r\nX-Admin: 1"],
        ["alice", "--group", "a,b"],
        ["alice", "--group", " "],
        ["alice", "--password", "on the command line"],
    ],
)
def test_what_is_unfit_is_bad_usage_and_adds_nobody(operator, arguments):
    result = operator.adds(*arguments)

    assert result.exit_code == 2
    assert operator.user("alice") is None


@pytest.mark.parametrize("stdin", ["\n", "", "x" * 1025 + "\n", b"\xff\xfe password\n"])
def test_an_impossible_password_is_bad_usage(operator, stdin):
    result = operator.does("add", "alice", "--password-stdin", stdin=stdin)

    assert result.exit_code == 2
    assert operator.user("alice") is None


def test_a_weak_password_is_the_operators_choice_and_is_warned_of(operator):
    result = operator.does("add", "alice", "--password-stdin", stdin="demo\n")

    assert result.exit_code == 0
    assert result.stderr == "warning: this password must have at least 8 characters\n"


def test_only_the_line_break_is_taken_off_the_password(operator):
    operator.does("add", "alice", "--password-stdin", stdin="  spaces stay \r\n")

    assert matches(operator.user("alice").password_hash, b"  spaces stay ")


def test_users_are_listed_for_people_and_for_programs(operator):
    assert operator.does("list").stdout == "USER  E-MAIL  NAME  GROUPS\n"
    operator.adds("bob", "--group", "staff", "--group", "ops")
    operator.adds("zoë", "--email", "zoe@example.com", "--name", "Zoë")
    operator.does("disable", "bob")

    assert operator.does("list").stdout.splitlines() == [
        "USER  E-MAIL           NAME  GROUPS",
        "bob                          staff, ops  disabled",
        "zoë   zoe@example.com  Zoë",
    ]
    assert json.loads(operator.does("list", "--json").stdout) == [
        {"username": "bob", "email": "", "name": "", "groups": ["staff", "ops"], "disabled": True},
        {
            "username": "zoë",
            "email": "zoe@example.com",
            "name": "Zoë",
            "groups": [],
            "disabled": False,
        },
    ]


def test_no_hash_is_ever_listed(operator):
    operator.adds("alice")

    for result in [operator.does("list"), operator.does("list", "--json")]:
        assert "argon2" not in result.output


def test_disabling_and_enabling(operator):
    operator.adds("alice")

    assert operator.does("disable", "Alice").stdout == "disabled alice; ended 0 sessions\n"
    assert operator.user("alice").disabled
    assert operator.does("enable", "alice").stdout == "enabled alice\n"
    assert not operator.user("alice").disabled


def test_a_new_password_replaces_the_old_one(operator):
    operator.adds("alice")

    result = operator.does("passwd", "alice", "--password-stdin", stdin="another horse\n")

    assert result.stdout == "changed the password of alice; ended 0 sessions\n"
    assert matches(operator.user("alice").password_hash, b"another horse")
    assert not matches(operator.user("alice").password_hash, PASSWORD.encode())


@pytest.mark.parametrize(
    ("command", "stdin"), [("passwd", f"{PASSWORD}\n"), ("disable", ""), ("remove", "")]
)
def test_s7_who_loses_password_or_account_loses_their_sessions(operator, command, stdin):
    operator.adds("alice")
    sign_in(operator, "alice")
    sign_in(operator, "alice")
    sign_in(operator, "bob")
    flags = ["--password-stdin"] if command == "passwd" else []

    result = operator.does(command, "alice", *flags, stdin=stdin)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("; ended 2 sessions\n")
    assert sessions(operator, "alice") == 0
    assert sessions(operator, "bob") == 1


def test_s7_the_running_gateways_are_told(operator):
    operator.adds("alice")
    operator.does("disable", "alice")

    async def news(_lifecycle):
        tasks = Tasks()
        store = SqlStore.open(operator.url, tasks=tasks, now=FakeClock())
        told = await store.announced(None, 0)
        await store.close()
        await tasks.close()
        return told

    told = asyncio.run(with_sessions(operator, news))
    assert [revocation.subject for revocation in told.revocations] == ["alice"]


def test_where_sessions_are_in_memory_one_is_told_what_to_do(tmp_path):
    operator = Operator(tmp_path, IN_MEMORY)
    operator.adds("alice")

    result = operator.does("disable", "alice")

    assert result.exit_code == 0
    assert "restart it" in result.stdout


@pytest.mark.parametrize("command", ["passwd", "disable", "remove"])
def test_a_session_store_that_is_down_fails_the_command_which_can_be_repeated(tmp_path, command):
    (tmp_path / "in-the-way").write_text("")
    store = f"sqlite:///{tmp_path}/in-the-way/sessions.db"
    operator = Operator(tmp_path, IN_MEMORY.replace("memory:", store))
    operator.adds("alice")
    arguments = ["alice", "--password-stdin"] if command == "passwd" else ["alice"]

    result = operator.does(command, *arguments, stdin="another horse\n")
    assert result.exit_code == 1
    assert "sessions may live on" in result.stderr
    (tmp_path / "in-the-way").unlink()

    assert operator.does(command, *arguments, stdin="another horse\n").exit_code == 0


@pytest.mark.parametrize("command", ["passwd", "disable", "enable", "remove"])
def test_a_user_who_is_not_there_is_told(operator, command):
    arguments = ["bob", "--password-stdin"] if command == "passwd" else ["bob"]

    result = operator.does(command, *arguments, stdin=f"{PASSWORD}\n")

    assert (result.exit_code, result.stderr) == (1, "Error: there is no user 'bob'\n")


@pytest.mark.parametrize(
    "command", [["add", "alice"], ["list"], ["passwd", "a"], ["disable", "a"], ["remove", "a"]]
)
def test_a_configuration_without_a_database_is_bad_usage_before_any_question(tmp_path, command):
    operator = Operator(tmp_path, ONLY_A_FILE)

    result = operator.does(*command)

    assert result.exit_code == 2
    assert "the configuration has no users database" in result.stderr
    assert "Password" not in result.output


def test_a_bad_configuration_is_told_with_its_place(tmp_path):
    operator = Operator(tmp_path, CONFIG + "listne: x\n")

    result = operator.does("list")

    assert result.exit_code == 2
    assert ":10:1: listne" in result.stderr


def test_a_database_may_be_named_without_any_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/other.db"
    add = ["add", "alice", "--database", url, "--password-stdin"]

    added = CliRunner().invoke(users, add, input=f"{PASSWORD}\n")
    disabled = CliRunner().invoke(users, ["disable", "alice", "--database", url])

    assert added.exit_code == disabled.exit_code == 0
    assert "sessions were not ended" in disabled.stdout


def test_with_a_named_database_sessions_end_in_the_store_of_the_configuration(operator):
    operator.adds("alice")
    sign_in(operator, "alice")

    result = operator.does("disable", "alice", "--database", operator.url)

    assert result.stdout == "disabled alice; ended 1 session\n"


@pytest.mark.parametrize("url", ["mysql://u:hush@h/d", "nonsense"])
def test_a_url_of_no_database_is_bad_usage(operator, url):
    result = operator.does("list", "--database", url)

    assert result.exit_code == 2
    assert "hush" not in result.output


def test_a_database_that_does_not_answer_is_a_failure_that_tells_no_secret(operator):
    result = operator.does("list", "--database", "postgresql://u:hush@127.0.0.1:1/d")

    assert result.exit_code == 1
    assert "postgresql://u:********@127.0.0.1:1/d: " in result.stderr
    assert "Connect call failed" in result.stderr
    assert "hush" not in result.output


def test_a_hash_is_good_for_a_users_file():
    result = CliRunner().invoke(users, ["hash", "--password-stdin"], input=f"{PASSWORD}\n")
    made = result.stdout.strip()

    assert result.exit_code == 0
    assert problem(made) is None
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    user = parse(f"users:\n  alice:\n    password: {made}\n")["alice"]
    assert matches(user.password_hash, PASSWORD.encode())


def test_a_hash_asks_for_the_password_on_stderr_so_that_stdout_is_the_hash_alone():
    result = CliRunner().invoke(users, ["hash"], input=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0
    assert problem(result.stdout.strip()) is None
    assert "Password" in result.stderr
