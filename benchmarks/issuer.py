"""The key that signs the peers' access tokens, its public forms, and tokens good and bad."""

import base64
import json
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

KID = "benchmark-1"
AUDIENCE = "gateway"
SUBJECT = "alice"


class Algorithm(StrEnum):
    """ES256 is what one would choose; HS256 costs peers that verify every time the least."""

    ES256 = "ES256"
    HS256 = "HS256"


@dataclass(frozen=True, slots=True)
class Tokens:
    """One access token that must pass and two that must not."""

    good: str
    forged: str
    expired: str


class Issuer:
    def __init__(self, folder: Path, url: str, secure_url: str) -> None:
        self.url = url
        self.secure_url = secure_url
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.secret = secrets.token_hex(32)
        self.public_pem = folder / "public.pem"
        self.public_pem.write_bytes(
            self._key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        self._publish(folder / "issuer")

    def jwks(self, algorithm: Algorithm) -> dict[str, Any]:
        """The public key, or for HS256 the secret, which is never published."""
        jwk: dict[str, Any]
        if algorithm is Algorithm.HS256:
            secret = base64.urlsafe_b64encode(self.secret.encode()).rstrip(b"=").decode()
            jwk = {"kty": "oct", "k": secret}
        else:
            jwk = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**jwk, "kid": KID, "use": "sig", "alg": algorithm}]}

    def tokens(self, algorithm: Algorithm) -> Tokens:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": SUBJECT,
            "sid": "7f3b2c1d9e8a4f60",
            "jti": "c0ffee00c0ffee00c0ffee00",
            "gen": 3,
            "iat": now,
            "exp": now + 12 * 3600,
            "name": "Alice Example",
            "email": "alice@example.com",
            "groups": ["admins", "editors"],
        }
        key = self.secret if algorithm is Algorithm.HS256 else self._key
        return bad_siblings(jwt.encode(claims, key, algorithm, {"kid": KID, "typ": "at+jwt"}), key)

    def _publish(self, folder: Path) -> None:
        (folder / ".well-known").mkdir(parents=True)
        (folder / "jwks.json").write_text(json.dumps(self.jwks(Algorithm.ES256)))
        (folder / ".well-known" / "openid-configuration").write_text(
            json.dumps(
                {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/jwks.json",
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "userinfo_endpoint": f"{self.url}/userinfo",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["ES256"],
                }
            )
        )


def bad_siblings(good: str, key: Any) -> Tokens:
    """The same token signed by a stranger, and the same by the right key, but of yesterday."""
    header = jwt.get_unverified_header(good)
    claims = jwt.decode(good, options={"verify_signature": False})
    past = {**claims, "iat": claims["iat"] - 172_800, "exp": claims["iat"] - 86_400}
    stranger = "f" * 64 if isinstance(key, str) else ec.generate_private_key(ec.SECP256R1())
    return Tokens(
        good=good,
        forged=jwt.encode(claims, stranger, header["alg"], header),
        expired=jwt.encode(past, key, header["alg"], header),
    )
