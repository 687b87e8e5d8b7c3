"""What the portal is given: everything it needs of the house, and nothing of the configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from aiohttp import web

from gateway.credentials import Credentials
from gateway.headers.cookies import OurCookies
from gateway.identity.principal import Principal
from gateway.identity.provider import LoginProvider
from gateway.observability.audit import AuditEvent
from gateway.portal.throttle import Throttle
from gateway.sessions.lifecycle import Lifecycle
from gateway.sessions.revocation import DenySet
from gateway.tokens.access import Verifier

DEFAULT_PREFIX: Final = "/api/v1/auth"


class Registrar(Protocol):
    """Makes accounts."""

    async def register(self, username: str, password: str, email: str) -> Principal:
        """Create the account. Raises UsernameTaken, Unfit or ProviderUnavailable."""


@dataclass(frozen=True, slots=True)
class Portal:
    """The parts that the portal's endpoints talk to.

    `registrar` is None where registration is off. `renews` says that our own endpoints, which the
    refresh token always reaches, renew an expired access token on the way.
    """

    credentials: Credentials
    lifecycle: Lifecycle
    verifier: Verifier
    deny: DenySet
    provider: LoginProvider
    cookies: OurCookies
    throttle: Throttle
    jwks: Callable[[], Mapping[str, object]]
    observe: Callable[[AuditEvent], None]
    now: Callable[[], float]
    public_url: str
    prefix: str = DEFAULT_PREFIX
    registrar: Registrar | None = None
    renews: bool = True
    product: str = "Auth Gateway"

    @property
    def is_https(self) -> bool:
        """Decided by configuration, never by a header (SECURITY O13)."""
        return urlsplit(self.public_url).scheme == "https"

    @property
    def origin(self) -> str:
        """The public origin as browsers spell it: lower case, without a default port."""
        scheme, authority = urlsplit(self.public_url.lower())[:2]
        default = {"http": ":80", "https": ":443"}.get(scheme, "")
        return f"{scheme}://{authority.removesuffix(default) if default else authority}"

    @property
    def host(self) -> str:
        """The public host, and its port where it is not the usual one."""
        return self.origin.partition("://")[2]


PORTAL: Final = web.AppKey("portal", Portal)
