"""The file, section by section, as pydantic models: keys, kinds, defaults and descriptions.

One section alone is checked here; what sections mean together is for `check`.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gateway.config.fields import (
    CookieName,
    Count,
    Duration,
    DurationOrZero,
    Flag,
    HeaderName,
    Listen,
    Networks,
    Origin,
    RouteHost,
    SecretText,
    Section,
    Size,
    Text,
    Texts,
    WebUrl,
    Whole,
    reads,
    required,
    setting,
)
from gateway.config.routing import RouteSection, UpstreamEntry
from gateway.config.store_urls import DatabaseUrl, StoreUrl


class TlsSection(Section):
    certificate: Text = required("PEM file with the certificate chain.")
    key: Text = required("PEM file with the private key.")


class AuthSection(Section):
    prefix: Text = setting("/api/v1/auth", "Where the gateway's own endpoints and pages live.")
    registration: Flag = setting(
        "false", "Whether anybody may register; needs a database in login."
    )
    transparent_refresh: Literal["inline", "redirect", "off"] = setting(
        "inline", "How expired access tokens are renewed without the app noticing."
    )
    cross_site: Literal["protect", "allow"] = setting(
        "protect", "Whether other sites' pages may send requests that change something."
    )


class KeySecretSection(Section):
    secret: SecretText = required("At least 32 random bytes; keep it out of the file: ${NAME}.")


class KeysSection(Section):
    """What `keys` becomes: a folder of private keys, or shared secrets."""

    folder: Text | None = None
    secrets: tuple[KeySecretSection, ...] | None = Field(None, min_length=1)


def _keys_form(value: object) -> object:
    match value:
        case str():
            return {"folder": value}
        case list():
            return {"secrets": value}
        case _:
            return value


class AcceptSection(Section):
    issuer: Text = required("Exactly the iss of the tokens.")
    jwks: Text = required("Where the issuer's public keys are: an https URL or a file.")
    audience: Text = required("What aud of the tokens must hold.")
    algorithms: Texts = setting(
        ["RS256", "ES256", "EdDSA"], "Signature algorithms that are accepted."
    )


class TokensSection(Section):
    issuer: Text | None = setting(None, "iss of our tokens; null takes public_url.")
    audience: Text = setting("gateway", "aud of our tokens.")
    algorithm: Literal["ES256", "EdDSA", "RS256", "HS256"] = setting(
        "ES256", "Signature algorithm."
    )
    keys: Annotated[
        KeysSection,
        BeforeValidator(_keys_form, json_schema_input_type=str | list[KeySecretSection]),
    ] = setting(
        "data/keys", "Folder of private keys, made on first start; HS256: [{secret: ${NAME}}]."
    )
    access_lifetime: Duration = setting("15m", "How long an access token is good.")
    accept: tuple[AcceptSection, ...] = setting(
        [], "Other issuers whose access tokens are honoured."
    )


class SessionsSection(Section):
    store: StoreUrl = setting("sqlite:///data/gateway.db", "Where sessions are kept.")
    idle_lifetime: Duration = setting("7d", "A session ends when it was not used for so long.")
    absolute_lifetime: Duration = setting("30d", "A session ends this long after sign-in.")
    grace: DurationOrZero = setting(
        "30s", "Requests already on their way may still show the previous refresh token."
    )
    delivery: DurationOrZero = setting(
        "60s", "Longest time an answer that carries new cookies may take; 0s is no limit."
    )


class CookiesSection(Section):
    access: CookieName = setting("accessToken", "Name of the access token's cookie.")
    refresh: CookieName = setting("refreshToken", "Name of the refresh token's cookie.")
    same_site: Literal["Lax", "Strict", "None"] = setting("Lax", "SameSite of both.")
    domain: RouteHost | None = setting(None, "Domain of both; null keeps them to the host itself.")
    prefix: Literal["auto", "none"] = setting(
        "auto", "auto names them __Host-… or __Secure-… where browsers allow it."
    )


class HeadersSection(Section):
    preset: Literal["forwarded", "remote", "auth-request"] = setting(
        "forwarded", "A set of names: X-Forwarded-…, Remote-… or X-Auth-Request-…."
    )
    user: HeaderName | None = setting("X-Forwarded-User", "The user name; null sends none.")
    email: HeaderName | None = setting("X-Forwarded-Email", "The e-mail address; null sends none.")
    name: HeaderName | None = setting("X-Forwarded-Preferred-Username", "The name for showing.")
    groups: HeaderName | None = setting("X-Forwarded-Groups", "The groups, joined by commas.")
    assertion: HeaderName | None = setting(None, "A short JWT that the app can verify.")


class UpstreamLoginSection(Section):
    url: WebUrl = required("The app's own login form or API.")
    send: Literal["form", "json"] = setting("form", "How credentials are sent.")
    username_field: Text = setting("username", "Field that takes the user name.")
    password_field: Text = setting("password", "Field that takes the password.")
    timeout: Duration = setting("10s", "Longest time the app may take.")


class LoginSection(Section):
    users: Text | None = setting(None, "YAML file: name, argon2 or bcrypt hash, email, groups.")
    database: DatabaseUrl | None = setting(None, "sqlite:///… or postgresql://….")
    htpasswd: Text | None = setting(None, "Apache's password file.")
    ldap: Any = setting(None, "A directory server.")
    oidc: Any = setting(None, "An OpenID Connect provider.")
    upstream: UpstreamLoginSection | None = setting(None, "The app's own login decides.")

    @model_validator(mode="after")
    def _is_one_provider(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            what = f"this one has {' and '.join(given)}" if given else "this one has none"
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"each item names exactly one of {kinds}; {what}")
        return self


class LimitsSection(Section):
    head: Size = setting("32KiB", "Largest request head.")
    headers: Count = setting("100", "Most header fields of a request.")
    body: Size | None = setting(None, "Largest request body; null sets no cap.")
    head_timeout: Duration = setting("10s", "Longest time until a request head is complete.")
    body_timeout: Duration = setting("60s", "Longest time without a byte of a body.")
    idle_timeout: Duration = setting("75s", "How long an idle connection is kept.")
    connections: Count = setting(
        "10000", "Most client connections, at all workers together; then 503."
    )
    connections_per_address: Count | None = setting(
        None, "Most from one address, likewise; then 429. null sets no cap."
    )
    upstream_connect: Duration = setting("5s", "Longest time to connect to an upstream.")
    upstream_head: Duration = setting("60s", "Longest time until an upstream's answer begins.")
    upstream_connections: Count = setting(
        "256", "Most connections to one upstream, of each worker."
    )
    upstream_queue: Whole = setting(
        "1024", "Most requests waiting for one, at each worker; then 503."
    )
    drain_delay: DurationOrZero = setting(
        "0s", "Time at shutdown between readiness turning 503 and the last connection taken."
    )
    drain: DurationOrZero = setting("30s", "Time that running requests have at shutdown.")


class LogSection(Section):
    level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "The least that is logged."
    )
    access: Flag = setting("true", "One line for each request.")
    format: Literal["json", "text"] = setting("json", "How lines look.")


def _workers(text: str) -> int | None:
    if text == "auto":
        return None
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= MOST_WORKERS:
        raise ValueError(f"must be auto or a number from 1 to {MOST_WORKERS}")
    return int(text)


MOST_WORKERS = 256
# None is one for each core.
Workers = Annotated[
    int | None,
    *reads(_workers, anyOf=[{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 256}]),
]


class File(Section):
    """The configuration of the auth gateway."""

    listen: Listen = setting("127.0.0.1:8080", "host:port, [v6]:port or unix:/path.")
    tls: TlsSection | None = setting(None, "Serve https with this certificate; null serves http.")
    public_url: Origin | None = setting(
        None, "The gateway as browsers see it; null is made from listen."
    )
    trusted_proxies: Networks = setting(
        [], "Addresses of proxies in front whose X-Forwarded-… are believed."
    )
    proxy_protocol: Flag = setting(
        "false",
        "Every connection begins with a PROXY protocol header (v1 or v2) of a trusted proxy.",
    )
    workers: Workers = setting(
        "1", "Processes that share the port; auto is one for each core to be had."
    )
    upstreams: dict[str, UpstreamEntry] = setting({}, "The apps behind the gateway, by name.")
    routes: tuple[RouteSection, ...] = setting([], "First match wins; no match is 404.")
    auth: AuthSection = setting({}, "Sign-in.")
    tokens: TokensSection = setting({}, "Access tokens.")
    sessions: SessionsSection = setting({}, "Sessions and refresh tokens.")
    cookies: CookiesSection = setting({}, "The two cookies.")
    headers: Annotated[
        HeadersSection,
        BeforeValidator(
            lambda value: {"preset": value} if isinstance(value, str) else value,
            json_schema_input_type=Literal["forwarded", "remote", "auth-request"] | HeadersSection,
        ),
    ] = setting({}, "Identity headers that the app receives.")
    login: tuple[LoginSection, ...] = setting([], "Login providers in the order offered.")
    operations: Listen | None = setting(None, "Own address for health, metrics and sessions API.")
    limits: LimitsSection = setting({}, "Deadlines and caps.")
    log: LogSection = setting({}, "What is written to the log.")
