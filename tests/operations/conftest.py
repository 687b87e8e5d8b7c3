"""An operations application over a real session room, and a client on a real socket."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.observability.audit import AuditEvent
from gateway.observability.metrics import Exposition, Metrics
from gateway.operations.app import build
from gateway.operations.operations import Component, Operations
from gateway.sessions.lifecycle import Lifecycle, Settings
from gateway.sessions.memory import MemoryStore
from gateway.sessions.revocation import DenySet
from gateway.tasks import Tasks
from tests.fakes import FakeClock, FlakyStore


@dataclass
class Running:
    """What a test turns to make the gateway behave."""

    store: FlakyStore
    lifecycle: Lifecycle
    wrongs: dict[str, str | None] = field(default_factory=lambda: {"store": None, "keys": None})
    draining: bool = False
    events: list[AuditEvent] = field(default_factory=list)
    components: dict[str, Component] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=lambda: Metrics("1.2.3"))

    def component(self, name: str, *, required: bool = True) -> Component:
        async def check() -> str | None:
            return self.wrongs[name]

        return Component(check, required)

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        return Exposition(self.metrics).render(accept)

    def operations(self, **changes: Any) -> Operations:
        given: dict[str, Any] = {
            "components": self.components or {name: self.component(name) for name in self.wrongs},
            "draining": lambda: self.draining,
            "metrics": self.exposition,
            "sessions": lambda: self.lifecycle,
            "observe": self.events.append,
        }
        return Operations(**(given | changes))


@pytest.fixture
async def running():
    clock = FakeClock()
    store = FlakyStore(MemoryStore(clock))
    tasks = Tasks()
    lifecycle = Lifecycle(
        store, lambda: [("k1", b"1" * 32)], Settings(), deny=DenySet(), tasks=tasks, now=clock
    )
    yield Running(store, lifecycle)
    await tasks.close()


@pytest.fixture
def serve(running, aiohttp_client):
    """Start the application, with changes, on a free port of 127.0.0.1."""

    async def start(**changes: Any):
        return await aiohttp_client(build(running.operations(**changes)))

    return start
