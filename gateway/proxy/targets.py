"""Request targets, from memory where they were asked for before, as most are."""

from typing import Final

from gateway.recent import Recent
from gateway.request import Target, parse_target

_KEPT: Final = 1024
# Of the target and its other readings: those of a hostile one take sixty times its length.
_KEPT_CHARACTERS: Final = 1024

_known: Final[Recent[bytes, Target]] = Recent(_KEPT)


def parse_known_target(raw: bytes) -> Target:
    """Read an origin-form target. Raises BadRequest."""
    try:
        return _known[raw]
    except KeyError:
        target = parse_target(raw.decode("latin-1"))
        if len(raw) + sum(map(len, target.readings)) <= _KEPT_CHARACTERS:
            _known.keep(raw, target)
        return target
