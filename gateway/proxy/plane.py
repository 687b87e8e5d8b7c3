"""What all connections of the data plane share. Replaced as a whole at a reload, never changed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from gateway.headers.cookies import OurCookies
from gateway.headers.fields import RequestFields
from gateway.headers.identity import IdentityHeaders
from gateway.observability.observer import Observer
from gateway.pipeline import Authenticated, Pipeline
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.familiar import FamiliarHeads
from gateway.proxy.heads import RequestHead
from gateway.proxy.pool import Pool
from gateway.proxy.streams import Streams
from gateway.request import Request
from gateway.tasks import Tasks

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds; None is no limit."""

    head: int = 32 * 1024
    headers: int = 100
    body: int | None = None
    head_timeout: float = 10.0
    body_timeout: float = 60.0
    idle_timeout: float = 75.0
    upstream_head: float = 60.0
    connections: int = 10_000
    connections_per_address: int | None = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a renewal gave: a new access token, or none since the session is over.

    The cookies ride on the answer whatever it is, unless it comes too late (*deliver_within*
    seconds): then neither may be sent, for the browser might by then hold newer ones.
    """

    access_token: str | None
    set_cookies: tuple[str, ...]
    outcome: str
    deliver_within: float = 60.0


class RenewalUnavailable(Exception):
    """The session store did not answer: nobody is signed out, the client should come back."""


Renewing = Callable[[str, Request], Awaitable[Renewed]]
Seen = Callable[[Authenticated], None]


@dataclass(frozen=True, slots=True)
class DataPlane:
    """Everything that a connection needs to serve a request."""

    pipeline: Pipeline
    cookies: OurCookies
    identity: IdentityHeaders
    upstreams: Mapping[str, Pool]
    limits: Limits
    scheme: str
    trusted_proxies: tuple[Network, ...]
    renew: Renewing
    seen: Seen
    now: Callable[[], float]
    monotonic: Callable[[], float]
    deadlines: Deadlines
    streams: Streams
    tasks: Tasks
    observer: Observer
    new_request_id: Callable[[], str]
    via: bytes
    request_fields: RequestFields
    familiar: FamiliarHeads = field(default_factory=FamiliarHeads)
    head: RequestHead = field(init=False)

    def __post_init__(self) -> None:
        head = RequestHead(self.request_fields, self.limits.headers)
        object.__setattr__(self, "head", head)
