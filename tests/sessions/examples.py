"""Sessions that tests start from."""

from dataclasses import replace
from typing import Any

from gateway.identity.principal import Principal
from gateway.sessions.session import Device, Session

ALICE = Principal(
    subject="alice",
    name="Alice",
    email="alice@example.com",
    groups=("admins", "staff"),
    claims={"department": "ops", "level": 3},
    provider="users",
)
LAPTOP = Device("Mozilla/5.0 (X11; Linux x86_64)", "192.0.2.7")
SESSION_ID = "AAAAAAAAAAAAAAAAAAAAAA"
EPOCH = 1_800_000_000_000


def session(**changes: Any) -> Session:
    """A session that began at EPOCH, with its first token sent and never seen."""
    first = Session(
        id=SESSION_ID,
        principal=ALICE,
        device=LAPTOP,
        created=EPOCH,
        seen=EPOCH,
        head=1,
        parent=0,
        sent=EPOCH,
        confirmed=0,
        ends=EPOCH + 30 * 86_400_000,
        idle_ends=EPOCH + 7 * 86_400_000,
    )
    return replace(first, **changes)
