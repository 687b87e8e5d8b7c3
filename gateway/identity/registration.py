"""What a new user may be: name, password, e-mail.

The password rules are NIST SP 800-63B's: length counts, composition rules and expiry do not help.
"""

from gateway.identity.common_passwords import COMMON_PASSWORDS
from gateway.identity.password_hashes import LONGEST, secret
from gateway.identity.usernames import UnfitUsername, canonical, fold

SHORTEST = 8
_LONGEST_EMAIL = 254


class Unfit(Exception):
    """A field of a registration cannot be accepted; the message may be shown to the person."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def fit_username(username: str) -> str:
    """Return the canonical name. Raises Unfit."""
    try:
        return canonical(username)
    except UnfitUsername as unfit:
        raise Unfit("username", str(unfit)) from unfit


def fit_password(password: str, username: str, email: str = "") -> str:
    """Return the password as it came. Raises Unfit."""
    if len(password) < SHORTEST:
        raise Unfit("password", f"must have at least {SHORTEST} characters")
    if secret(password) is None:
        raise Unfit("password", f"must have at most {LONGEST} characters")
    folded = fold(password)
    own = {fold(username), fold(email), fold(email.partition("@")[0])}
    if folded and folded in own:
        raise Unfit("password", "must not be the user name or the e-mail address")
    if folded in COMMON_PASSWORDS or len(set(password)) == 1:
        raise Unfit("password", "is one of the first that anybody tries")
    return password


def fit_email(email: str) -> str:
    """Return the address without surrounding blanks; "" is none. Raises Unfit.

    Only the shape is checked, and strictly one @: `a@evil.com@company.com` once passed for
    company.com (CVE-2026-40574). Whose address it is, only a mail sent there can tell.
    """
    address = email.strip()
    if not address:
        return ""
    local, _, domain = address.rpartition("@")
    labels = domain.split(".")
    if (
        len(address) > _LONGEST_EMAIL
        or not local
        or "@" in local
        or not all(labels)
        or not all(c.isprintable() and c not in ' "(),:;<>[\\]' for c in address)
    ):
        raise Unfit("email", "is not an e-mail address")
    return address
