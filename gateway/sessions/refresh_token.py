"""Makes and proves refresh tokens `gr1.<kid>.<session>.<generation>.<mac>`.

A token is a pure function of key, session and generation. So every replica gives the same successor
to every parallel request, no store holds anything that yields a token, and a token that proves
nothing is refused before any store is asked.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

Secrets = Sequence[tuple[str, bytes]]

_LONGEST = 128
_MAC_BYTES = 16
_SHAPE = re.compile(
    r"(?P<head>gr1\.(?P<kid>[A-Za-z0-9_-]{1,64})"
    r"\.(?P<session>[A-Za-z0-9_-]{22})\.(?P<generation>[1-9][0-9]{0,9}))"
    r"\.(?P<mac>[A-Za-z0-9_-]{22})",
    re.ASCII,
)
_OTHER_FORMAT = re.compile(r"gr(?!1\.)[0-9]{1,3}\.", re.ASCII)


class BadRefreshToken(Exception):
    """The text proves nothing."""


class UnknownKey(BadRefreshToken):
    """Made with a key, or in a format, that this replica does not have (yet, or any more).

    A replica that lags behind a key rotation must not sign anybody out: this is not a "no".
    """


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What a token proved."""

    session_id: str
    generation: int
    key_id: str


def mint(secrets: Secrets, session_id: str, generation: int) -> str:
    """Return the one token of this generation under the newest key."""
    key_id, secret = secrets[0]
    head = f"gr1.{key_id}.{session_id}.{generation}"
    return f"{head}.{_mac(secret, head)}"


def prove(token: str, secrets: Secrets) -> RefreshToken:
    """Return what *token* proves. Raises BadRefreshToken, or UnknownKey when that may change."""
    if len(token) > _LONGEST:
        raise BadRefreshToken("too long")
    shape = _SHAPE.fullmatch(token)
    if shape is None:
        if _OTHER_FORMAT.match(token):
            raise UnknownKey("made by another release")
        raise BadRefreshToken("not a refresh token of ours")
    key_id = shape["kid"]
    secret = next((secret for kid, secret in secrets if kid == key_id), None)
    if secret is None:
        raise UnknownKey("made with a key that is not here")
    # The texts are compared, not the bytes: base64 has several spellings of the same 16 bytes.
    if not hmac.compare_digest(_mac(secret, shape["head"]), shape["mac"]):
        raise BadRefreshToken("the signature does not fit")
    return RefreshToken(shape["session"], int(shape["generation"]), key_id)


def _mac(secret: bytes, head: str) -> str:
    digest = hmac.digest(secret, b"refresh\0" + head.encode(), "sha256")[:_MAC_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
