"""Password hashes as text: argon2id made and checked, bcrypt checked.

Everything here that hashes is slow on purpose and must stay off the event loop; `passwords` sees to
that. A failure to compute is never reported as a mismatch.
"""

import re
import unicodedata
from dataclasses import dataclass

import argon2
import bcrypt
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

LONGEST = 1024
_LONGEST_BYTES = 4096

_ARGON2 = re.compile(
    r"\$argon2(?P<variant>id|i|d)\$v=19\$m=(?P<memory>[1-9]\d{0,9}),t=(?P<passes>[1-9]\d{0,9})"
    r",p=(?P<lanes>[1-9]\d{0,9})\$(?P<salt>[A-Za-z0-9+/]{11,})\$(?P<digest>[A-Za-z0-9+/]{16,})",
    re.ASCII,
)
# $2x$ marks hashes of a broken implementation, which no library checks the right way.
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_BCRYPT_SECRET = 72
_BCRYPT_DIGEST = 31
_BCRYPT_COSTS = range(4, 17)
_MOST_MEMORY = 1024 * 1024
_MOST_PASSES = 64
_MOST_LANES = 64


class HashingFailed(Exception):
    """The hash could not be computed (memory ran out); says nothing about the password."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How much work one argon2id hash is. The defaults are OWASP's (docs/decisions)."""

    memory_kib: int = 19456
    passes: int = 2
    lanes: int = 1


def secret(password: str) -> bytes | None:
    """Return the bytes that are hashed; None for what nobody's password can be.

    NFC as RFC 8265 §4.2.2 asks, so that one keyboard's é is the other's. Empty passwords are
    nobody's: an LDAP server takes one as an anonymous bind, and that succeeds (RFC 4513 §5.1.2).
    """
    if not password or len(password) > LONGEST:
        return None
    try:
        encoded = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:  # a lone surrogate, possible in JSON
        return None
    return encoded if len(encoded) <= _LONGEST_BYTES else None


def problem(password_hash: str) -> str | None:
    """Say why this text is no hash that we check, None when it is one."""
    if found := _ARGON2.fullmatch(password_hash):
        memory, passes, lanes = (int(found[name]) for name in ("memory", "passes", "lanes"))
        if memory > _MOST_MEMORY or passes > _MOST_PASSES or lanes > _MOST_LANES:
            return "this argon2 hash asks for more than 1 GiB of memory, 64 passes or 64 lanes"
        if memory < 8 * lanes:
            return "this argon2 hash names less memory than argon2 allows (8 KiB per lane)"
        return _base64_problem(found["salt"], found["digest"])
    if found := _BCRYPT.fullmatch(password_hash):
        if int(found["cost"]) not in _BCRYPT_COSTS:
            return "the cost of a bcrypt hash must be between 04 and 16"
        return None
    return "neither an argon2 ($argon2id$…) nor a bcrypt ($2b$…, $2y$…, $2a$…) hash"


def make(password: bytes, cost: Cost) -> str:
    """Hash a new password. Slow. Raises HashingFailed."""
    try:
        return _hasher(cost).hash(password)
    except HashingError as failure:
        raise HashingFailed(str(failure)) from failure


def matches(password_hash: str, password: bytes) -> bool:
    """Check a password. Slow. Raises HashingFailed."""
    if password_hash.startswith("$argon2"):
        try:
            return argon2.PasswordHasher().verify(password_hash, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as failure:
            raise HashingFailed(str(failure)) from failure
    # Whoever made this hash (htpasswd, PHP, older Python) cut the password at 72 bytes without a
    # word. Checking the whole would lock its owner out; bcrypt ≥ 5 refuses to check it at all.
    try:
        return bcrypt.checkpw(password[:_BCRYPT_SECRET], password_hash.encode())
    except ValueError as failure:
        raise HashingFailed(str(failure)) from failure


def outdated(password_hash: str, cost: Cost) -> bool:
    """Tell whether a new hash would be stronger than this one."""
    found = _ARGON2.fullmatch(password_hash)
    if found is None or found["variant"] != "id":
        return True
    return int(found["memory"]) < cost.memory_kib or int(found["passes"]) < cost.passes


def decoy(cost: Cost) -> str:
    """Return a hash that matches nothing and takes as long to check as one made at this cost."""
    return (
        f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${'A' * 22}${'A' * 43}"
    )


def decoy_like(password_hash: str) -> str:
    """Return a hash that matches nothing and takes as long to check as this one."""
    if password_hash.startswith("$argon2"):
        head, _, digest = password_hash.rpartition("$")
        return f"{head}${'A' * len(digest)}"
    return password_hash[:-_BCRYPT_DIGEST] + "." * _BCRYPT_DIGEST


def _base64_problem(*parts: str) -> str | None:
    # Four characters carry three bytes; one left over carries none.
    if any(len(part) % 4 == 1 for part in parts):
        return "this argon2 hash is incomplete"
    return None


def _hasher(cost: Cost) -> argon2.PasswordHasher:
    return argon2.PasswordHasher(
        time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes
    )
