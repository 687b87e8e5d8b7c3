"""What the operations port is given: it knows nobody by itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from gateway.observability.audit import AuditEvent
from gateway.sessions.lifecycle import Lifecycle

Check = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Component:
    """Something the gateway needs. *check* answers None when it is fine, else what is wrong.

    A component that is not *required* is shown and does not make the gateway unready.
    """

    check: Check
    required: bool = True


@dataclass(frozen=True, slots=True)
class Operations:
    """Everything the endpoints ask.

    *metrics* renders for an Accept header: the text and its content type. *sessions* returns the
    sessions' lifecycle in force. *reload* answers with the
    problems that kept the old configuration, none when the new one is in force; *config* answers
    with the configuration in effect, secrets hidden. Without them their endpoints do not exist.
    """

    components: Mapping[str, Component]
    draining: Callable[[], bool]
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]]
    sessions: Callable[[], Lifecycle]
    observe: Callable[[AuditEvent], None]
    reload: Callable[[], Awaitable[Sequence[str]]] | None = None
    config: Callable[[], Mapping[str, object]] | None = None
    # The canonical spelling of a user name that somebody typed.
    subject: Callable[[str], str] = field(default=str)


OPERATIONS = web.AppKey("operations", Operations)
