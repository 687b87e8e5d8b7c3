"""Our keys: which one signs now, which ones verify, and what each proves about refresh tokens.

A new key is published before it signs, and an old one verifies long after: no rotation signs
anybody out.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.tokens.algorithms import PrivateKey, PublicKey, UnfitKey, VerifyingKey, public_jwk

# How long a new key is only published, so that every gateway and every reader of our JWKS knows
# it before the first token signed with it arrives.
ACTIVATION_DELAY = 60.0


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of ours. `created` is in seconds since the epoch."""

    kid: str
    algorithm: str
    private: PrivateKey = field(repr=False, compare=False)
    public: PublicKey = field(repr=False)
    created: float

    def verifying(self) -> VerifyingKey:
        return VerifyingKey(self.kid, self.algorithm, self.public)

    def refresh_secret(self) -> bytes:
        """Return the secret of the refresh tokens minted under this key."""
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"refresh")
        return derive.derive(_raw(self.private))


@dataclass(frozen=True, slots=True)
class KeySet:
    """Every key of ours at one moment; where there is a choice, *algorithm* signs."""

    keys: tuple[SigningKey, ...]
    algorithm: str | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise UnfitKey("no key at all")
        if len({key.kid for key in self.keys}) != len(self.keys):
            raise UnfitKey("two keys of one name, or one key given twice")

    def signing(self, now: float) -> SigningKey:
        """Return the newest key that everybody knows by now, else the oldest."""
        known = [key for key in self.keys if key.created + ACTIVATION_DELAY <= now]
        if not known:
            return min(self.keys, key=_age)
        return max([key for key in known if key.algorithm == self.algorithm] or known, key=_age)

    def verifying(self, kid: str) -> VerifyingKey | None:
        return next((key.verifying() for key in self.keys if key.kid == kid), None)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public document (RFC 7517 §5); a shared secret is never in it."""
        public = (public_jwk(key.verifying()) for key in self.newest_first())
        return {"keys": [jwk for jwk in public if jwk is not None]}

    def refresh_secrets(self, now: float) -> tuple[tuple[str, bytes], ...]:
        """Return what to mint refresh tokens with, then everything that still verifies them."""
        signing = self.signing(now)
        others = (key for key in self.newest_first() if key is not signing)
        return tuple((key.kid, key.refresh_secret()) for key in (signing, *others))

    def retired(self, now: float, keep: float) -> tuple[SigningKey, ...]:
        """Return the keys that signed nothing for *keep* seconds and more.

        With *keep* at least the longest life of a session, nothing they signed is still in use.
        """
        signing = self.signing(now)
        return tuple(
            key for key in self.keys if key is not signing and self.superseded_at(key) + keep <= now
        )

    def superseded_at(self, key: SigningKey) -> float:
        """Return when a newer key began, or begins, to sign; infinity for the newest."""
        later = [other.created for other in self.keys if _age(other) > _age(key)]
        return min(later, default=float("inf")) + ACTIVATION_DELAY

    def newest_first(self) -> list[SigningKey]:
        return sorted(self.keys, key=_age, reverse=True)


def _age(key: SigningKey) -> tuple[float, str]:
    return (key.created, key.kid)


def _raw(private: PrivateKey) -> bytes:
    match private:
        case bytes():
            return private
        case EllipticCurvePrivateKey():
            return private.private_numbers().private_value.to_bytes(32, "big")
        case RSAPrivateKey():
            exponent = private.private_numbers().d
            return exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
        case _:
            return private.private_bytes_raw()
