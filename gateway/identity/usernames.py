"""One canonical spelling for every user name.

Every comparison, key and record uses the canonical form, so that no second spelling of a name
escapes a limit, a block or a uniqueness rule (CVE-2026-47203, CVE-2025-24806).
"""

import unicodedata

LONGEST = 128
# Compatibility folding can make text 18 times as long (U+FDFA): cut before folding, not after.
_LONGEST_RAW = 256
_MARKS = frozenset("._-@+")


class UnfitUsername(Exception):
    """No user can have this name; the message says why."""


def fold(raw: str) -> str:
    """Return the comparison form of any text, fit to be a name or not; good as a throttling key."""
    text = raw[:_LONGEST_RAW].strip()
    while True:
        # Folding can denormalise and normalising can unfold: repeat until neither changes it
        # (Unicode chapter 3, NFKC_Casefold, without removing ignorable characters).
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        folded = folded.strip()
        if folded == text:
            return folded
        text = folded


def canonical(raw: str) -> str:
    """Return the one spelling of a user name. Raises UnfitUsername."""
    if len(raw) > _LONGEST_RAW:
        raise UnfitUsername(f"longer than {LONGEST} characters")
    name = fold(raw)
    if not name:
        raise UnfitUsername("empty")
    if len(name) > LONGEST:
        raise UnfitUsername(f"longer than {LONGEST} characters")
    stranger = next((c for c in name if not _fits(c)), None)
    if stranger is not None:
        raise UnfitUsername(f"{_shown(stranger)} is not allowed; letters, digits and . _ - @ + are")
    if not (name[0] == "_" or name[0].isalnum()):
        raise UnfitUsername("must begin with a letter, a digit or _")
    return name


def _fits(character: str) -> bool:
    # Letters, combining marks and decimal digits of any script: neither controls, spaces, format
    # characters (zero-width look-alikes) nor surrogates; no comma and no colon, which separate.
    category = unicodedata.category(character)
    return character in _MARKS or category[0] in "LM" or category == "Nd"


def _shown(character: str) -> str:
    return repr(character) if character.isprintable() else f"U+{ord(character):04X}"
