"""What to call a device and a moment so that a person recognises them; guesses, never decisions."""

import re
from datetime import UTC, datetime
from typing import Final

# First match wins: most browsers also claim to be the ones further down.
_BROWSERS: Final = (
    ("Edg/|EdgA/|EdgiOS/", "Edge"),
    ("OPR/|OPiOS/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/|FxiOS/", "Firefox"),
    ("Chrome/|CriOS/|Chromium/", "Chrome"),
    ("Version/.* Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh|Mac OS X", "Mac"),
    ("Linux|X11", "Linux"),
)
_PROGRAM: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,30})/[0-9]")
_STEPS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
_DAYS_IN_WORDS: Final = 14


def describe(user_agent: str) -> str:
    """Name the browser and the system that a User-Agent claims to be."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser:
        return f"{browser} on {system}" if system else browser
    program = _PROGRAM.match(user_agent)
    if program and program[1] != "Mozilla":
        return program[1]
    return f"A browser on {system}" if system else "Unknown device"


def ago(then: float, now: float) -> str:
    """Say how long ago *then* was, or on which day."""
    seconds = max(0, now - then)
    if seconds >= _DAYS_IN_WORDS * 86_400:
        day = datetime.fromtimestamp(then, UTC)
        return f"on {day.day} {day:%B %Y}"
    for size, name in _STEPS:
        count = int(seconds // size)
        if count:
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def iso(moment: float) -> str:
    """Write a moment for programs, RFC 3339."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for pattern, name in table if re.search(pattern, text)), "")
