"""Gateways in front of an app that knows nothing of sign-in; each is a process of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.identity.password_hashes import Cost, make
from tests.end_to_end.client import PASSWORD, Client
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, start
from tests.sessions.servers import Postgres, Redis

Config = Mapping[str, Any]
StartGateway = Callable[..., Running]

HASH = make(PASSWORD.encode(), Cost(memory_kib=64, passes=1))
USERS: dict[str, dict[str, Any]] = {
    "alice": {
        "password": HASH,
        "email": "alice@example.com",
        "name": "Alice Liddell",
        "groups": ["admins", "staff"],
        "claims": {"department": "it"},
    },
    "bob": {"password": HASH, "email": "bob@example.com", "groups": ["staff"]},
    "zoë": {"password": HASH, "name": "Zoë Çelik", "groups": ["R&D Köln"]},
}


def write_users(folder: Path, users: Mapping[str, Any]) -> Path:
    """Replace the file as editors do, so that no reader ever sees half of it."""
    path, new = folder / "users.yaml", folder / "users.yaml.new"
    new.write_text(yaml.safe_dump({"users": dict(users)}, allow_unicode=True))
    return new.replace(path)


def smallest(app: EchoApp, **sections: Any) -> dict[str, Any]:
    """Return the smallest useful configuration, with *sections* laid over it."""
    return {
        "listen": "127.0.0.1:0",
        "upstreams": {"app": app.url},
        "routes": [{"path": "/*", "upstream": "app"}],
        "login": [{"users": "users.yaml"}],
        **sections,
    }


def shared_config(app: EchoApp, folder: Path, store: str, **sections: Any) -> dict[str, Any]:
    """Return a configuration for gateways that share *folder*, *store* and users."""
    users = write_users(folder, USERS)
    sections["sessions"] = {"store": store, **sections.get("sessions", {})}
    return smallest(app, login=[{"users": str(users)}], **sections)


@pytest.fixture(scope="session")
def store_urls() -> Iterator[Callable[[str, Path], str]]:
    """Give URLs of stores; servers are started at first use and shared by all tests."""
    with ExitStack() as servers:
        started: dict[str, str] = {}

        def url(kind: str, folder: Path) -> str:
            if kind == "sqlite":
                return f"sqlite:///{folder}/gateway.db"
            if kind not in started:
                server = {"postgresql": Postgres, "redis": Redis}[kind]
                started[kind] = servers.enter_context(server.running()).url
            return started[kind]

        yield url


@pytest.fixture(scope="session")
def app() -> Iterator[EchoApp]:
    with EchoApp().running() as running:
        yield running


@pytest.fixture(scope="session")
def starts_gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartGateway]:
    """Start a gateway that several tests share."""
    yield from _starting(lambda: tmp_path_factory.mktemp("gateway"))


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Start a gateway for one test, in the test's own folder; it ends with the test."""
    yield from _starting(lambda: tmp_path)


def _starting(folder: Callable[[], Path]) -> Iterator[StartGateway]:
    started: list[Running] = []

    def begin(config: Config, users: Config = USERS, **how: Any) -> Running:
        where = folder()
        write_users(where, users)
        started.append(start(where, config, **how))
        return started[-1]

    try:
        yield begin
    finally:
        failures = [failure for each in started if (failure := _stop(each))]
        assert not failures, failures


def _stop(running: Running) -> str:
    try:
        running.stop()
    except AssertionError as failure:
        return str(failure)
    return ""


@pytest.fixture(scope="session")
def gateway(starts_gateways: StartGateway, app: EchoApp) -> Running:
    """A gateway with a route for every kind of rule, and registration."""
    return starts_gateways(
        smallest(
            app,
            routes=[
                {"path": "/public/*", "upstream": "app", "access": "public"},
                {"path": "/optional/*", "upstream": "app", "access": "optional"},
                {"path": "/admins/*", "upstream": "app", "access": {"groups": ["admins"]}},
                {"path": "/alice", "upstream": "app", "access": {"users": ["alice"]}},
                {"path": "/it/*", "upstream": "app", "access": {"claims": {"department": ["it"]}}},
                {
                    "path": "/either/*",
                    "upstream": "app",
                    "access": [{"users": ["bob"]}, {"groups": ["admins"]}],
                },
                {"path": "/docs/*", "upstream": "app", "access": "public", "methods": ["GET"]},
                {"path": "/docs/*", "upstream": "app", "access": {"groups": ["admins"]}},
                {"path": "/cors/*", "upstream": "app", "preflight": True},
                {"path": "/*", "upstream": "app", "host": "open.example", "access": "public"},
                {"path": "/app/*", "upstream": "app"},
            ],
            auth={"registration": True},
            headers={"assertion": "X-Gateway-Assertion"},
            login=[{"users": "users.yaml"}, {"database": "sqlite:///data/gateway.db"}],
        )
    )


@pytest.fixture(scope="session")
def hasty(starts_gateways: StartGateway, app: EchoApp) -> Running:
    """A gateway whose access tokens live a second and whose refresh tokens rotate as fast."""
    return starts_gateways(
        smallest(
            app,
            tokens={"access_lifetime": "1s"},
            sessions={"grace": "500ms", "delivery": "500ms"},
        )
    )


@pytest.fixture(scope="session")
def explicit(starts_gateways: StartGateway, app: EchoApp) -> Running:
    """A gateway that renews nothing by itself."""
    return starts_gateways(smallest(app, auth={"transparent_refresh": "off"}))


@pytest.fixture
def client(gateway: Running) -> Client:
    """Somebody who has not signed in yet."""
    return Client(gateway.port)


@pytest.fixture
def alice(gateway: Running) -> Client:
    """Alice, who is in admins and staff, signed in."""
    return Client(gateway.port).signed_in()


@pytest.fixture
def bob(gateway: Running) -> Client:
    """Bob, who is in staff only, signed in."""
    return Client(gateway.port).signed_in("bob")
