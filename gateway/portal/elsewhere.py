"""What is tried at other processes that share the port: it counts as what is tried here."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

from gateway.counts import Counts, OwnCounts


class Told(StrEnum):
    """What they tell each other. All but `OVER` change what may still be tried."""

    FAILED = "failed"  # of an account, from a network
    SUCCEEDED = "succeeded"  # of an account, from a network
    REGISTERING = "registering"  # from a network
    OVER = "over"  # an attempt of an account from a network, however it ended


class Elsewhere(Protocol):
    """The other processes. Whoever asks hears all that they have told before."""

    @property
    def under_way(self) -> Counts:
        """The attempts that are under way now, here and there."""

    def tell(self, what: Told, *about: str) -> None:
        """Tell all of them."""

    def heard(self) -> Iterable[Sequence[str]]:
        """Return what they have told since, each with what it is about."""


class Nowhere:
    """Where there is but one process."""

    def __init__(self) -> None:
        self.under_way = OwnCounts()

    def tell(self, what: Told, *about: str) -> None:
        """Tell nobody."""

    def heard(self) -> Iterable[Sequence[str]]:
        return ()
