"""The file's `upstreams` and `routes`, and what they become."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config import units
from gateway.config.fields import (
    Count,
    Duration,
    Flag,
    RouteHost,
    RoutePath,
    Section,
    Size,
    Text,
    Texts,
    UserNames,
    listed,
    one_or_many,
    reads,
    required,
    setting,
)
from gateway.config.values import Health, Target, TcpAddress, Upstream
from gateway.policy.access import Access, AccessRule, Allow
from gateway.policy.routes import Route

_PORTS = {"http": 80, "https": 443}


def target(text: str) -> Target:
    """Read http://host:port, https://host:port or unix:/path. Raises ValueError."""
    if text.startswith("unix:"):
        return Target(units.address(text), tls=False, authority="localhost")
    parts = units.url(text, ("http", "https"))
    if parts.username is not None or parts.password is not None:
        raise ValueError("a user name or password in an upstream's address is not used; remove it")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(
            "an upstream is scheme://host:port alone; requests keep their own path "
            "(strip_prefix of a route takes a prefix away)"
        )
    port = parts.port or _PORTS[parts.scheme]
    authority = units.rendered_origin(parts.scheme, parts.hostname or "", parts.port)
    return Target(
        TcpAddress(parts.hostname or "", port),
        tls=parts.scheme == "https",
        authority=authority.partition("://")[2],
    )


TargetText = Annotated[Target, *reads(target, type="string")]


class HealthSection(Section):
    path: Text = setting("/healthz", "Asked for with GET; 2xx or 3xx means healthy.")
    interval: Duration = setting("5s", "Time between two questions to one target.")
    timeout: Duration = setting("5s", "Longest time until an answer begins.")
    unhealthy_after: Count = setting("3", "Bad answers in a row that take a target out.")
    healthy_after: Count = setting("2", "Good answers in a row that bring it back.")

    @model_validator(mode="after")
    def _path_is_a_path(self) -> Self:
        if not self.path.startswith("/") or not self.path.isascii() or " " in self.path:
            raise ValueError("path must begin with / and hold no spaces, such as /healthz")
        return self


class UpstreamSection(Section):
    targets: Annotated[
        tuple[TargetText, ...],
        BeforeValidator(listed),
        Field(min_length=1),
        WithJsonSchema(one_or_many({"minItems": 1})),
    ] = required("The servers: http://host:port, https://host:port or unix:/path.")
    health: HealthSection | None = setting(None, "Active health check; null trusts answers alone.")
    host: Literal["preserve", "upstream"] = setting(
        "preserve", "Host header: as the browser sent it, or the target's own."
    )
    balance: Literal["round-robin", "least-connections"] = setting(
        "round-robin", "How a target is chosen among several."
    )
    ca: Text | None = setting(None, "File of CA certificates for https; null takes the system's.")
    certificate: Text | None = setting(None, "Client certificate that https targets ask for.")
    key: Text | None = setting(None, "Private key of the client certificate.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        addresses = [each.address for each in self.targets]
        if twice := next((each for each in addresses if addresses.count(each) > 1), None):
            raise ValueError(f"{twice} is there twice; each target has its turn once")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are needed together")
        tls = any(target.tls for target in self.targets)
        if not tls and (self.ca or self.certificate):
            raise ValueError("ca, certificate and key only make sense with https:// targets")
        return self

    def value(self, name: str, folder: Path) -> Upstream:
        def beside(path: str | None) -> str | None:
            return None if path is None else str(folder.absolute() / path)

        health = Health(**self.health.model_dump()) if self.health else None
        return Upstream(
            name=name,
            targets=self.targets,
            health=health,
            host=self.host,
            balance=self.balance,
            ca=beside(self.ca),
            certificate=beside(self.certificate),
            key=beside(self.key),
        )


def _upstream_form(value: object) -> object:
    match value:
        case None:
            raise ValueError("needs an address such as http://127.0.0.1:3000")
        case str() | list():
            return {"targets": value}
        case _:
            return value


UpstreamEntry = Annotated[
    UpstreamSection,
    BeforeValidator(
        _upstream_form,
        json_schema_input_type=str | list[str] | UpstreamSection,
    ),
]


class AllowSection(Section):
    users: UserNames | None = setting(None, "User names, any of which suffices.")
    groups: Texts | None = setting(None, "Groups, any of which suffices.")
    claims: dict[Text, Texts] | None = setting(None, "Claims; every claim named must hold.")

    @model_validator(mode="after")
    def _names_someone(self) -> Self:
        if not (self.users or self.groups or self.claims):
            raise ValueError("names nobody: give users, groups or claims (or write signed-in)")
        return self

    def value(self) -> Allow:
        return Allow(
            users=frozenset(self.users or ()),
            groups=frozenset(self.groups or ()),
            claims={name: frozenset(values) for name, values in (self.claims or {}).items()},
        )


class AccessSection(Section):
    """What `access` becomes: either one word, or people any of whom may enter."""

    word: Literal["public", "optional", "signed-in"] | None = None
    any_of: tuple[AllowSection, ...] | None = Field(None, min_length=1)

    def value(self) -> AccessRule:
        if self.any_of is not None:
            return tuple(allow.value() for allow in self.any_of)
        return Access(self.word)


def _access_form(value: object) -> object:
    match value:
        case str():
            return {"word": value}
        case dict():
            return {"any_of": [value]}
        case list():
            return {"any_of": value}
        case _:
            return value


AccessEntry = Annotated[
    AccessSection,
    BeforeValidator(
        _access_form,
        json_schema_input_type=Literal["public", "optional", "signed-in"]
        | AllowSection
        | list[AllowSection],
    ),
]


class RouteLimitsSection(Section):
    body: Size | None = setting(None, "Largest request body; null takes the general limit.")
    body_timeout: Duration | None = setting(None, "Longest time without a byte of the body.")
    upstream_connect: Duration | None = setting(None, "Longest time to connect to the upstream.")
    upstream_head: Duration | None = setting(
        None, "Longest time until the upstream's answer begins."
    )


class RouteSection(Section):
    path: RoutePath = required("Exact (/a) or prefix (/a/*); /* is everything.")
    upstream: Text = required("Name of one of the upstreams.")
    host: RouteHost | None = setting(None, "Only for this host: name or *.example.com.")
    methods: Texts | None = setting(None, "Only for these methods; HEAD comes with GET.")
    access: AccessEntry = setting(
        "signed-in", "public, optional, signed-in, or {users: …, groups: …, claims: …}."
    )
    strip_prefix: Text | None = setting(None, "Taken off the path before the upstream sees it.")
    cross_site: Literal["protect", "allow"] | None = setting(None, "Overrides auth.cross_site.")
    preflight: Flag = setting("false", "Let CORS preflight requests through without sign-in.")
    limits: RouteLimitsSection = setting({}, "Overrides of the general limits.")

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        self.value()
        return self

    def value(self) -> Route:
        return Route(
            path=self.path,
            upstream=self.upstream,
            access=self.access.value(),
            host=self.host,
            methods=frozenset(self.methods) if self.methods is not None else None,
            strip_prefix=self.strip_prefix,
            body_limit=self.limits.body,
            upstream_connect=self.limits.upstream_connect,
            upstream_head=self.limits.upstream_head,
            body_timeout=self.limits.body_timeout,
            cross_site=None if self.cross_site is None else self.cross_site == "protect",
            preflight=self.preflight,
        )
