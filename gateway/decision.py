"""What a request presents and what is decided about it, as values; doors act on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from http import HTTPStatus
from math import inf
from typing import Final, Literal

from gateway.headers.cookies import Found
from gateway.policy.routes import Route
from gateway.tokens.access import AccessToken


class Reason(StrEnum):
    """Why a request was refused, in the words of the log."""

    MALFORMED = "malformed"
    AMBIGUOUS = "ambiguous"
    NO_ROUTE = "no-route"
    CROSS_SITE = "cross-site"
    UNAUTHENTICATED = "unauthenticated"
    EXPIRED = "expired"
    FORBIDDEN = "forbidden"
    STORE_UNAVAILABLE = "store-unavailable"
    KEYS_UNAVAILABLE = "keys-unavailable"
    LIMIT = "limit"
    UPSTREAM = "upstream"
    ERROR = "error"


_CODES: Final[Mapping[int, str]] = {
    400: Reason.MALFORMED,
    401: Reason.UNAUTHENTICATED,
    403: Reason.FORBIDDEN,
    404: Reason.NO_ROUTE,
    413: Reason.LIMIT,
    422: "unfit",  # its phrase is the Python version's
    500: Reason.ERROR,
}


def code_of(status: int) -> str:
    """Return what programs tell refusals of *status* apart by, where nothing closer is said."""
    return _CODES.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "-")


@dataclass(slots=True, eq=False)
class Authenticated:
    """A verified access token with what is rendered from it once, good until *rendered_until*.

    *seen* turns true when the session was told that this generation is in use.
    """

    token: AccessToken
    identity_lines: bytes
    rendered_until: float = inf
    seen: bool = False


class Expired(Enum):
    """Instead of who is authenticated: the token was good once."""

    EXPIRED = auto()


@dataclass(slots=True, eq=False)
class Presented:
    """A Cookie header, read and verified once. *others* is what of it the app may see.

    *forward* is what was decided last on the strength of it alone, whether or not a page of another
    site may send such a request.
    """

    found: Found
    others: bytes
    authenticated: Authenticated | None = None
    expired: bool = False
    forward: "Forward | None" = None

    def has_expired(self, now: float) -> bool:
        """Whether it holds an access token that was good once."""
        known = self.authenticated
        return self.expired or (known is not None and now >= known.token.expires_at)


@dataclass(slots=True, eq=False)
class Forward:
    """Let the request through, as *authenticated* or as nobody, with *cookie* as Cookie header."""

    route: Route
    authenticated: Authenticated | None
    cookie: bytes
    hide_authorization: bool = False


@dataclass(slots=True, eq=False)
class Renew:
    """Rotate *refresh_token* first, then decide again."""

    route: Route
    refresh_token: str


@dataclass(slots=True, eq=False)
class Refuse:
    """Answer *status* ourselves. *location* is where whoever can follow is sent instead.

    *sent_by* is the status of that: 303 opens another page, 307 asks for the very same request
    there, method and body included.
    """

    status: int
    reason: Reason
    detail: str
    route: Route | None = None
    location: str | None = None
    sent_by: Literal[303, 307] = 303


Decision = Forward | Renew | Refuse
