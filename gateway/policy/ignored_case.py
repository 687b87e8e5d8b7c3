"""How apps that ignore the case of letters compare paths.

Invariant: two texts that software in use takes for the same but for case are the same after one of
`FOLDS`. These are kept apart rather than made one: which route is the first to match depends on
what is taken for the same.
"""

from collections.abc import Callable, Iterable
from string import ascii_lowercase, ascii_uppercase
from typing import Final

Fold = Callable[[str], str]

_ASCII: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def _lower_ascii(text: str) -> str:
    """C's `tolower`, and whatever else knows of bytes only."""
    return text.translate(_ASCII)


def _lower(text: str) -> str:
    """Letter by letter, as Go and Java's `Character` do, for whom İ becomes a plain i.

    As a whole, in Python and JavaScript, it becomes i and a dot above; so it does in `casefold`.
    """
    return text.replace("\u0130", "i").lower()


def _upper(text: str) -> str:
    """Raised, which makes ASCII of ſ and ı; then lowered, to be comparable with the others."""
    return text.upper().lower()


FOLDS: Final[tuple[Fold, ...]] = (_lower_ascii, _lower, _upper, str.casefold)


def by_outcome(patterns: Iterable[str]) -> dict[tuple[str, ...], tuple[Fold, ...]]:
    """Return what *patterns* become, and by which of `FOLDS`. Mostly all of them agree."""
    patterns = tuple(patterns)
    outcomes: dict[tuple[str, ...], tuple[Fold, ...]] = {}
    for fold in FOLDS:
        outcome = tuple(map(fold, patterns))
        outcomes[outcome] = (*outcomes.get(outcome, ()), fold)
    return outcomes


def folded(text: str, folds: tuple[Fold, ...]) -> Iterable[str]:
    """Return what *folds* make of *text*, each outcome once. About ASCII none of them disagrees."""
    if text.isascii():
        return (text.lower(),)
    return dict.fromkeys(fold(text) for fold in folds)
