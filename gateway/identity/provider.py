"""The contract that every login provider keeps: *refused* is never confused with *unavailable*."""

from typing import Protocol

from gateway.identity.principal import Principal


class LoginRefused(Exception):
    """The credentials prove nothing: unknown user, wrong password, or a disabled account."""


class ProviderUnavailable(Exception):
    """Nobody could be asked. Says nothing about the person; callers answer 503, never 401."""


class LoginProvider(Protocol):
    """Checks credentials, and knows whether a person is still welcome."""

    async def authenticate(self, username: str, password: str) -> Principal:
        """Return who this is. Raises LoginRefused or ProviderUnavailable."""

    async def current(self, principal: Principal) -> Principal | None:
        """Return the person as known now, None once gone or disabled.

        Raises ProviderUnavailable.
        """
