"""Values that must never be shown: their repr, str and format hide them."""

from dataclasses import dataclass, field

HIDDEN = "********"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret, with a text that may be shown in its place."""

    _value: str
    shown: str = field(default=HIDDEN, compare=False)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.shown})"

    def __str__(self) -> str:
        return self.shown

    def __bool__(self) -> bool:
        return bool(self._value)


def secret_url(url: str) -> Secret:
    """Hide the password of *url* and show the rest."""
    scheme, separator, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    user, at, host = netloc.rpartition("@")
    path, question, _ = path.partition("?")
    name, colon, _ = user.partition(":")
    shown_user = f"{name}:{HIDDEN}@" if colon else user + at
    # A query may hold a password too (libpq accepts ?password=).
    shown_query = f"?{HIDDEN}" if question else ""
    return Secret(url, f"{scheme}{separator}{shown_user}{host}{slash}{path}{shown_query}")
