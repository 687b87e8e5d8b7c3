"""Keys that have a place in the file but no code behind them yet: the one table to shorten."""

from dataclasses import dataclass

from gateway.config.known_keys import Path


@dataclass(frozen=True, slots=True)
class NotYet:
    """A key (`*` is any one part) that is refused; with *begins*, only such values of it."""

    key: str
    message: str
    begins: str | None = None

    def covers(self, path: Path, text: str | None) -> bool:
        wanted = self.key.split(".")
        if len(wanted) != len(path):
            return False
        if any(part not in {"*", str(name)} for part, name in zip(wanted, path, strict=True)):
            return False
        return self.begins is None or (text is not None and text.startswith(self.begins))


NOT_YET_SUPPORTED = (
    NotYet(
        "login.*.ldap",
        "sign-in by LDAP is not supported yet; use users, database or htpasswd",
    ),
    NotYet(
        "login.*.oidc",
        "sign-in by OpenID Connect is not supported yet; use users, database or htpasswd",
    ),
)
