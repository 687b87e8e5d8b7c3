"""The start: what a configuration does not use is not loaded, since loading takes the time."""

from collections.abc import Callable

import pytest

from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp

Loaded = Callable[..., set[str]]

SERVERS = {"redis", "asyncpg"}
DATABASES = {"sqlalchemy", "aiosqlite"}


@pytest.fixture
def loaded(start_gateway: StartGateway, app: EchoApp) -> Loaded:
    """Start a gateway; return the modules that it had imported when it listened."""

    def modules(**sections: object) -> set[str]:
        running = start_gateway(smallest(app, **sections), environ={"PYTHONPROFILEIMPORTTIME": "1"})
        told = [line for line in running.lines if line.startswith("import time:")]
        return {line.rpartition("|")[2].strip() for line in told}

    return modules


def test_users_in_a_file_and_sessions_in_memory_load_no_database(loaded: Loaded) -> None:
    modules = loaded(sessions={"store": "memory:"})

    assert "gateway.sessions.memory" in modules
    assert modules & (DATABASES | SERVERS) == set()


def test_sessions_in_sqlite_load_no_server_and_no_users_database(loaded: Loaded) -> None:
    modules = loaded()

    assert modules >= DATABASES
    assert modules & (SERVERS | {"gateway.identity.database"}) == set()


def test_users_in_a_database_load_it(loaded: Loaded) -> None:
    modules = loaded(
        sessions={"store": "memory:"}, login=[{"database": "sqlite:///data/gateway.db"}]
    )

    assert "gateway.identity.database" in modules
