"""When a worker that died is started again: at once, and ever later while it dies at once.

It is never given up while another serves: what keeps one worker from starting (a file gone bad, a
store that is down) may be repaired, and until then the others do its work.
"""

from dataclasses import dataclass, replace

LIVED_WELL_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.5
_HOPELESS_AFTER = 4


@dataclass(frozen=True, slots=True)
class Deaths:
    """How often in a row a worker has died soon after its start."""

    at_once: int = 0

    def after(self, lived: float) -> "Deaths":
        """Count a death after *lived* seconds."""
        return replace(self, at_once=self.at_once + 1 if lived < LIVED_WELL_SECONDS else 0)

    @property
    def pause(self) -> float:
        """Seconds to wait before the next start. One death is an accident."""
        if self.at_once <= 1:
            return 0.0
        return float(min(_FIRST_PAUSE_SECONDS * 2 ** (self.at_once - 2), LONGEST_PAUSE_SECONDS))

    @property
    def hopeless(self) -> bool:
        return self.at_once >= _HOPELESS_AFTER
