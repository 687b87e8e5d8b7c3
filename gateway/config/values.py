"""The checked configuration as frozen values: seconds are floats, sizes are bytes, paths absolute.

Nothing here can contradict itself any more: `load` has refused what would.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeAlias

from gateway.config.problem import Problem
from gateway.config.secret import Secret
from gateway.headers.cookies import OurCookies
from gateway.headers.identity import IdentityHeaders
from gateway.policy.routes import Route


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """`host` has no brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


StoreKind: TypeAlias = Literal["memory", "sqlite", "postgresql", "redis"]
Address: TypeAlias = TcpAddress | UnixAddress
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Tls:
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Target:
    """One server of an upstream. `authority` is what Host says when it names the upstream."""

    address: Address
    tls: bool
    authority: str


@dataclass(frozen=True, slots=True)
class Health:
    path: str
    interval: float
    timeout: float
    unhealthy_after: int
    healthy_after: int


@dataclass(frozen=True, slots=True)
class Upstream:
    """`host` preserve: the app sees the Host that the browser sent."""

    name: str
    targets: tuple[Target, ...]
    health: Health | None
    host: Literal["preserve", "upstream"]
    balance: Literal["round-robin", "least-connections"]
    ca: str | None
    certificate: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class Auth:
    prefix: str
    registration: bool
    transparent_refresh: Literal["inline", "redirect", "off"]
    cross_site: Literal["protect", "allow"]


@dataclass(frozen=True, slots=True)
class AcceptedIssuer:
    """Another issuer; `jwks` is an http(s) URL or the absolute path of a file."""

    issuer: str
    jwks: str
    audience: str
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Either `key_folder` is set, or `secrets` (HS256: the first signs, all verify)."""

    issuer: str
    audience: str
    algorithm: Literal["ES256", "EdDSA", "RS256", "HS256"]
    key_folder: str | None
    secrets: tuple[Secret, ...]
    access_lifetime: float
    accept: tuple[AcceptedIssuer, ...]


@dataclass(frozen=True, slots=True)
class Sessions:
    store: Secret
    store_kind: StoreKind
    idle_lifetime: float
    absolute_lifetime: float
    grace: float
    delivery: float


@dataclass(frozen=True, slots=True)
class UsersFile:
    path: str


@dataclass(frozen=True, slots=True)
class UsersDatabase:
    url: Secret


@dataclass(frozen=True, slots=True)
class Htpasswd:
    path: str


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """The app's own login form or API decides who may sign in."""

    url: str
    send: Literal["form", "json"]
    username_field: str
    password_field: str
    timeout: float


Login: TypeAlias = UsersFile | UsersDatabase | Htpasswd | UpstreamLogin


@dataclass(frozen=True, slots=True)
class Limits:
    head: int
    headers: int
    body: int | None
    head_timeout: float
    body_timeout: float
    idle_timeout: float
    connections: int
    connections_per_address: int | None
    upstream_connect: float
    upstream_head: float
    upstream_connections: int
    upstream_queue: int
    drain_delay: float
    drain: float


@dataclass(frozen=True, slots=True)
class Log:
    level: Literal["debug", "info", "warning", "error"]
    access: bool
    format: Literal["json", "text"]


@dataclass(frozen=True, slots=True)
class Config:
    """Everything. `own_origins` are the origins that are not cross-site; `warnings` are doubts.

    `included` are the files that `!file` has read, `named` those and all others that it names.
    """

    listen: Address
    tls: Tls | None
    public_url: str
    own_origins: frozenset[str]
    trusted_proxies: tuple[Network, ...]
    proxy_protocol: bool
    workers: int
    upstreams: Mapping[str, Upstream]
    routes: tuple[Route, ...]
    auth: Auth
    tokens: Tokens
    sessions: Sessions
    cookies: OurCookies
    headers: IdentityHeaders
    login: tuple[Login, ...]
    operations: Address | None
    limits: Limits
    log: Log
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    included: frozenset[str] = field(default=frozenset(), compare=False)
    named: frozenset[str] = field(default=frozenset(), compare=False)
