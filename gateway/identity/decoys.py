"""Which hash an unknown name is checked against, so that time does not tell who exists.

Every attempt costs one hash. Where the users' own hashes differ in cost (bcrypt beside argon2), an
unknown name always gets the same one of those costs, as often as real users have it.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from gateway.identity.password_hashes import decoy_like

_MOST = 16


def sample(password_hashes: Iterable[str]) -> tuple[str, ...]:
    """Return decoys in the proportions of these hashes, the same ones in every process."""
    ordered = sorted(password_hashes, key=lambda text: blake2b(text.encode()).digest())
    return tuple(decoy_like(text) for text in ordered[:_MOST])


def choose(decoys: Sequence[str], username: str) -> str:
    """Return the decoy of this name: always the same, and foreseeable by nobody outside.

    The key is made of the decoys' salts, which nobody outside knows and every worker shares.
    """
    key = blake2b("".join(decoys).encode()).digest()
    digest = blake2b(username.encode(errors="surrogatepass"), key=key, digest_size=8).digest()
    return decoys[int.from_bytes(digest, "big") % len(decoys)]
