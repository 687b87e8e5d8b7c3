"""The identity headers that an app receives: rendered once for each access token.

A value is visible ASCII or it is percent-encoded UTF-8 as a whole, so that no name, group or claim
can break out of its line or pose as another (SECURITY H8, I7).
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from gateway.identity.principal import Principal

_PLAIN_VALUE = re.compile(r"[\x21-\x24\x26-\x7e](?:[\x20-\x24\x26-\x7e]*[\x21-\x24\x26-\x7e])?")
_SAFE_WHEN_ENCODED = "!#$&'()*+-./:;<=>?@[]^_`{|}~ "


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """Names of the headers; None leaves one out."""

    user: str | None = "X-Forwarded-User"
    email: str | None = "X-Forwarded-Email"
    name: str | None = "X-Forwarded-Preferred-Username"
    groups: str | None = "X-Forwarded-Groups"
    assertion: str | None = None

    def names(self) -> tuple[str, ...]:
        """Return every name that a client must never be able to send."""
        every = (self.user, self.email, self.name, self.groups, self.assertion)
        return tuple(name for name in every if name is not None)

    def render(self, principal: Principal, assertion: str = "") -> bytes:
        """Return header lines for *principal*, each begun by CRLF; fields without a value too.

        An absent field would let what another hop put there stand (CVE-2026-30851).
        """
        return self._lines(
            principal.subject,
            principal.email,
            principal.name or principal.subject,
            groups_value(principal.groups),
            assertion,
        )

    def render_anonymous(self) -> bytes:
        """Return the same lines, empty, for answers that another proxy copies from."""
        return self._lines("", "", "", "", "")

    def _lines(self, user: str, email: str, name: str, groups: str, assertion: str) -> bytes:
        pairs = (
            (self.user, header_value(user)),
            (self.email, header_value(email)),
            (self.name, header_value(name)),
            (self.groups, groups),
            (self.assertion, assertion),
        )
        lines = (f"\r\n{header}: {value}" for header, value in pairs if header is not None)
        return "".join(lines).encode("ascii")


def header_value(text: str) -> str:
    """Return *text* as it stands if it is visible ASCII without `%`, else percent-encoded."""
    if not text or _PLAIN_VALUE.fullmatch(text):
        return text
    encoded = quote(text, safe=_SAFE_WHEN_ENCODED, errors="replace")
    # Blanks at the ends would be trimmed on the way.
    inner = encoded.strip(" ")
    before = len(encoded) - len(encoded.lstrip(" "))
    after = len(encoded) - before - len(inner)
    return "%20" * before + inner + "%20" * after


def groups_value(groups: tuple[str, ...]) -> str:
    """Join *groups* by commas; a comma inside a name is percent-encoded."""
    return ",".join(
        header_value(group) if "," not in group else quote(group, safe="", errors="replace")
        for group in groups
    )
