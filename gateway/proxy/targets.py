"""Request targets, from memory where they were asked for before, as most are."""

from functools import lru_cache
from typing import Final

from gateway.request import Target, parse_target

_KEPT: Final = 4096
_KEPT_LENGTH: Final = 512


def parse_known_target(raw: bytes) -> Target:
    """Read an origin-form target. Raises BadRequest."""
    return _known_target(raw) if len(raw) <= _KEPT_LENGTH else _parse_target(raw)


def _parse_target(raw: bytes) -> Target:
    return parse_target(raw.decode("latin-1"))


_known_target = lru_cache(_KEPT)(_parse_target)
