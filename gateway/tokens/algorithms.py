"""Which signature algorithm belongs to which key: decided by the key, never by a token.

The only module that touches PyJWT, and of it only the primitives: reading a token stays with
`jws`, so that no second parser can see another token than the one that was checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

AsymmetricKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
# The secret of HS256 is both.
PrivateKey = AsymmetricKey | bytes
PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey | bytes

# Below 2048 bits RSA is breakable; far above, one forged token costs milliseconds of CPU.
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192

# What a JWK must be for each algorithm; `oct` is absent, so no published document can make an
# HMAC key (CVE-2026-48526).
_JWK_SHAPE: dict[str, tuple[str, str | None]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
}
PUBLISHABLE = tuple(_JWK_SHAPE)
_PUBLIC_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("n", "e")}


class UnfitKey(Exception):
    """This key must not sign or verify anything; the message says why and never holds the key."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key and the one algorithm it verifies."""

    kid: str
    algorithm: str
    key: PublicKey = field(repr=False)


def sign(algorithm: str, private: PrivateKey, message: bytes) -> bytes:
    return jwt.get_algorithm_by_name(algorithm).sign(message, private)


def verifies(key: VerifyingKey, message: bytes, signature: bytes) -> bool:
    return jwt.get_algorithm_by_name(key.algorithm).verify(message, key.key, signature)


def fit(private: object) -> AsymmetricKey:
    """Return *private* if it is a key to sign tokens with. Raises UnfitKey."""
    match private:
        case RSAPrivateKey() if MIN_RSA_BITS <= private.key_size <= MAX_RSA_BITS:
            return private
        case EllipticCurvePrivateKey() if private.curve.name == "secp256r1":
            return private
        case Ed25519PrivateKey():
            return private
        case RSAPrivateKey():
            raise UnfitKey(f"an RSA key of {private.key_size} bits; {MIN_RSA_BITS} at least")
        case EllipticCurvePrivateKey():
            raise UnfitKey(f"an EC key on the curve {private.curve.name}; P-256 is right")
        case _:
            raise UnfitKey("not an EC (P-256), Ed25519 or RSA key")


def algorithm_of(private: AsymmetricKey) -> str:
    match private:
        case EllipticCurvePrivateKey():
            return "ES256"
        case Ed25519PrivateKey():
            return "EdDSA"
        case RSAPrivateKey():
            return "RS256"


def public_jwk(key: VerifyingKey) -> dict[str, str] | None:
    """Return what the world may know of *key*, None for a shared secret."""
    if isinstance(key.key, bytes):
        return None
    jwk = jwt.get_algorithm_by_name(key.algorithm).to_jwk(key.key, as_dict=True)
    members = {name: jwk[name] for name in ("kty", *_PUBLIC_MEMBERS[jwk["kty"]])}
    return {**members, "use": "sig", "alg": key.algorithm, "kid": key.kid}


def from_jwk(jwk: Mapping[str, object], accepted: Sequence[str] = PUBLISHABLE) -> VerifyingKey:
    """Return the key a JWK describes, bound to one algorithm of *accepted* (CVE-2026-48523).

    A key that names no algorithm is for the first accepted one that fits it.
    """
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise UnfitKey("a key without kid cannot be chosen")
    _for_signatures(jwk)
    shape = (jwk.get("kty"), None if jwk.get("kty") == "RSA" else jwk.get("crv"))
    fitting = [name for name in accepted if _JWK_SHAPE.get(name) == shape]
    algorithm = jwk.get("alg", fitting[0] if fitting else None)
    if not isinstance(algorithm, str) or algorithm not in fitting:
        raise UnfitKey(f"{kid!r} is no key for an algorithm that is accepted")
    return VerifyingKey(kid, algorithm, _public_key(algorithm, jwk))


def _for_signatures(jwk: Mapping[str, object]) -> None:
    """Refuse keys made for another use (RFC 7517 §4.2 and §4.3)."""
    if jwk.get("use", "sig") != "sig":
        raise UnfitKey("a key whose use is not signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnfitKey("a key whose operations do not include verify")


def _public_key(algorithm: str, jwk: Mapping[str, object]) -> PublicKey:
    kty = _JWK_SHAPE[algorithm][0]
    # Only public members are looked at: a document that leaks `d` still yields a public key.
    public = {"kty": kty, **{name: jwk.get(name) for name in _PUBLIC_MEMBERS[kty]}}
    if not all(isinstance(value, str) for value in public.values()):
        raise UnfitKey("a key with missing members")
    try:
        key: PublicKey = jwt.get_algorithm_by_name(algorithm).from_jwk(public)
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        raise UnfitKey("a key whose members are no key") from None
    if isinstance(key, RSAPublicKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise UnfitKey(f"an RSA key of {key.key_size} bits")
    return key
