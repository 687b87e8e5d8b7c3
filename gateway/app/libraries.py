"""Refuses to serve on libraries with holes that are known and matter here (SECURITY R11, §0)."""

import re
from collections.abc import Iterator

import aiohttp
import jwt
from aiohttp import http_parser


class UnfitLibraries(Exception):
    """The message names each library, and what would do."""


# Request smuggling through WebSocket upgrades (GHSA-mfx4-hv73-q22v) and reading out of bounds
# (GHSA-cq5v-8q36-5273); keys and algorithms taken from the token.
_FLOORS = (
    ("aiohttp", aiohttp.__version__, "3.14.3"),
    ("PyJWT", jwt.__version__, "2.13.0"),
)


def check_libraries() -> None:
    """Raises UnfitLibraries. llhttp itself is always compiled: httptools has nothing else."""
    problems = [
        f"{name} {found} has known holes; {wanted} or newer is needed"
        for name, found, wanted in _FLOORS
        if is_older(found, wanted)
    ]
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        problems.append(
            "aiohttp runs without its compiled parser, and the other one accepts malformed "
            "requests: unset AIOHTTP_NO_EXTENSIONS, or install a wheel for this platform"
        )
    if problems:
        raise UnfitLibraries("\n".join(problems))


def is_older(found: str, wanted: str) -> bool:
    """Whether version *found* comes before *wanted*; what comes before a release is older."""
    numbers = tuple(_numbers(found))
    before = bool(re.search(r"\d(a|b|rc|\.dev)\d", found))
    return (numbers, not before) < (tuple(_numbers(wanted)), True)


def _numbers(version: str) -> Iterator[int]:
    for part in version.split("."):
        digits = re.match(r"\d+", part)
        if digits is None:
            return
        yield int(digits[0])
