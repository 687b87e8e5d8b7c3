"""Makes tokens that nobody of good will would make: any header, any payload, really signed."""

import json
from base64 import urlsafe_b64encode

from gateway.tokens.algorithms import sign
from gateway.tokens.keys import SigningKey

NOW = 1_800_000_000.0
ISSUER = "https://gateway.example"
AUDIENCE = "gateway"

CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "alice",
    "sid": "session-1",
    "jti": "token-1",
    "gen": 1,
    "iat": NOW - 10,
    "exp": NOW + 890,
}


def header(key: SigningKey) -> dict[str, object]:
    return {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}


def part(content: object) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(key: SigningKey, head: object, payload: object) -> str:
    """Sign *payload* under *head*, whatever it says; bytes are taken as they are."""
    return forge_parts(key, part(head), part(payload))


def forge_parts(key: SigningKey, head: str, payload: str) -> str:
    signed = f"{head}.{payload}"
    return f"{signed}.{part(sign(key.algorithm, key.private, signed.encode()))}"
