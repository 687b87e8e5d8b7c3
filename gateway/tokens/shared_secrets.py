"""HS256 keys from configured secrets; what anybody could guess or look up is refused (J2)."""

import hashlib
import json
from collections.abc import Sequence

from gateway.tokens.algorithms import UnfitKey
from gateway.tokens.keys import KeySet, SigningKey

MIN_SECRET_BYTES = 32

# Parts of secrets that are printed in manuals, images and examples; case is ignored.
_PLACEHOLDERS = (
    "at-least-256-bit",
    "at-least-32-char",
    "change-me",
    "change_me",
    "changeit",
    "changeme",
    "default",
    "example",
    "insecure",
    "not-a-secret",
    "notsecret",
    "password",
    "placeholder",
    "replace-me",
    "replace_me",
    "replaceme",
    "supersecret",
    "super-secret",
    "super_secret",
    "topsecret",
    "your-256-bit",
    "your-secret",
    "your_secret",
)
# Thirty-two random hexadecimal digits have fewer distinct ones in one case of ten thousand.
_MIN_DISTINCT = 10


def secret_keys(secrets: Sequence[str]) -> KeySet:
    """Return the keys of *secrets*: the first signs, all of them verify. Raises UnfitKey."""
    return KeySet(
        tuple(_key(secret, -place) for place, secret in enumerate(secrets)),
        algorithm="HS256",
    )


def _key(secret: str, created: float) -> SigningKey:
    _check(secret)
    material = secret.encode()
    # The name must be the same everywhere and after every restart; a hash of a fit secret tells
    # nothing that a signed token does not tell.
    kid = hashlib.sha256(b"gateway kid\0" + material).hexdigest()[:16]
    return SigningKey(kid, "HS256", material, material, created)


def _check(secret: str) -> None:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise UnfitKey(f"a secret must have at least {MIN_SECRET_BYTES} bytes")
    # CVE-2017-11424, CVE-2022-29217 and CVE-2026-48526: text that is public elsewhere.
    if "-----BEGIN" in secret or secret.startswith(("ssh-", "ecdsa-")) or _is_json(secret):
        raise UnfitKey("a secret must be random bytes, not a key in PEM, SSH or JWK form")
    if any(word in secret.lower() for word in _PLACEHOLDERS):
        raise UnfitKey("this secret is an example or a placeholder, make a random one")
    if len(set(secret)) < _MIN_DISTINCT or _repeats(secret):
        raise UnfitKey("this secret repeats itself, make a random one")


def _is_json(secret: str) -> bool:
    try:
        return isinstance(json.loads(secret), dict | list)
    except (ValueError, RecursionError):
        return False


def _repeats(secret: str) -> bool:
    """Whether the whole is some piece again and again, at least twice."""
    return any(
        secret == (secret[:size] * (len(secret) // size + 1))[: len(secret)]
        for size in range(1, len(secret) // 2 + 1)
    )
