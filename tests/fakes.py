"""Stand-ins that keep the contract of the real part, written once."""

from dataclasses import dataclass


@dataclass
class FakeClock:
    """A clock that moves only when told to. Seconds since the epoch."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
