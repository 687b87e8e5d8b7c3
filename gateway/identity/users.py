"""What a user record is, and the contract of the places that keep them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from gateway.identity.principal import Principal


@dataclass(frozen=True, slots=True)
class User:
    """A person whose password we check ourselves. `principal.subject` is the canonical name."""

    principal: Principal
    password_hash: str = field(repr=False)
    disabled: bool = False


class UsernameTaken(Exception):
    """Somebody has this name, in one spelling or another."""


class UserSource(Protocol):
    """Keeps users. *Not there* is None; *could not look* raises ProviderUnavailable."""

    async def find(self, username: str) -> User | None:
        """Return the user of this canonical name, disabled ones included."""

    def decoys(self) -> Sequence[str]:
        """Hashes that match nothing and cost what this source's own cost.

        Unknown names are checked against them, so that time tells nobody who exists.
        Empty: the source's hashes cost what newly made ones cost.
        """


@runtime_checkable
class RehashingSource(Protocol):
    """A source whose hashes can be replaced by stronger ones when their user signs in."""

    async def rehash(self, username: str, before: str, after: str) -> None:
        """Replace the hash, unless it is no longer *before*: a new password wins."""


class Registrar(Protocol):
    """A source that takes new users."""

    async def add(self, user: User) -> None:
        """Keep a new user. Raises UsernameTaken or ProviderUnavailable."""


@runtime_checkable
class HoldsNames(Protocol):
    """A login provider that can say whether it knows a name, so that nobody registers it anew."""

    async def holds(self, username: str) -> bool:
        """Tell whether the canonical name is somebody's. Raises ProviderUnavailable."""
