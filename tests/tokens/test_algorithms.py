"""One algorithm per key, decided by the key."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from gateway.tokens.algorithms import (
    UnfitKey,
    VerifyingKey,
    algorithm_of,
    fit,
    from_jwk,
    public_jwk,
    sign,
    verifies,
)
from tests.fakes import signing_key

EC, OKP, RSA = (signing_key(algorithm) for algorithm in ("ES256", "EdDSA", "RS256"))


def jwk(key=EC, **changes: object) -> dict[str, object]:
    document: dict[str, object] = {**(public_jwk(key.verifying()) or {}), **changes}
    return {name: value for name, value in document.items() if value is not None}


@pytest.mark.parametrize("key", [EC, OKP, RSA])
def test_a_published_key_verifies_what_its_private_half_signed(key) -> None:
    published = from_jwk(jwk(key))

    assert (published.kid, published.algorithm) == (key.kid, key.algorithm)
    assert verifies(published, b"message", sign(key.algorithm, key.private, b"message"))
    assert not verifies(published, b"other", sign(key.algorithm, key.private, b"message"))


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES256"), (OKP, "EdDSA"), (RSA, "RS256")])
def test_without_alg_the_kind_of_the_key_decides(key, algorithm: str) -> None:
    assert from_jwk(jwk(key, alg=None)).algorithm == algorithm


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_rsa_key_is_bound_to_the_algorithm_it_names(algorithm: str) -> None:
    """CVE-2026-48523."""
    published = from_jwk(jwk(RSA, alg=algorithm))

    assert published.algorithm == algorithm
    assert verifies(published, b"m", sign(algorithm, RSA.private, b"m"))
    others = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} - {algorithm}
    assert not any(verifies(published, b"m", sign(other, RSA.private, b"m")) for other in others)


@pytest.mark.parametrize(
    ("curve", "algorithm"), [(ec.SECP384R1(), "ES384"), (ec.SECP521R1(), "ES512")]
)
def test_the_larger_curves_of_other_issuers_are_accepted(curve, algorithm: str) -> None:
    private = ec.generate_private_key(curve)
    document = public_jwk(VerifyingKey("k", algorithm, private.public_key()))
    assert document is not None
    del document["alg"]

    assert from_jwk(document).algorithm == algorithm


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "kid"),
        (jwk(kid=""), "kid"),
        (jwk(kid=7), "kid"),
        (jwk(use="enc"), "use"),
        (jwk(use=["sig"]), "use"),
        (jwk(key_ops=["sign"]), "operations"),
        (jwk(key_ops="verify"), "operations"),
        (jwk(alg="none"), "accepted"),
        (jwk(alg="HS256"), "accepted"),
        (jwk(alg="ES256K"), "accepted"),
        (jwk(alg=["ES256"]), "accepted"),
        ({"kty": "oct", "kid": "k", "k": "A" * 43}, "accepted"),
        ({"kty": "oct", "kid": "k", "k": "A" * 43, "alg": "HS256"}, "accepted"),
        ({"kty": "oct", "kid": "k", "k": "A" * 43, "alg": "RS256"}, "accepted"),
        (jwk(alg="RS256"), "accepted"),
        (jwk(alg="ES384"), "accepted"),
        (jwk(RSA, alg="ES256"), "accepted"),
        (jwk(OKP, alg="ES256"), "accepted"),
        (jwk(crv="P-384", alg=None), "members"),
        (jwk(crv="secp256k1", alg=None), "accepted"),
        (jwk(crv=["P-256"], alg=None), "accepted"),
        (jwk(OKP, crv="Ed448"), "accepted"),
        (jwk(kty=["EC"], alg=None), "accepted"),
        (jwk(x=None), "missing"),
        (jwk(y=5), "missing"),
        (jwk(x="!!!"), "members"),
        (jwk(x=jwk()["y"]), "members"),
        (jwk(x="A" * 43, y="A" * 43), "members"),
        (jwk(OKP, x="AAAA"), "members"),
        (jwk(RSA, n="AQAB"), "members|bits"),
        (jwk(RSA, e="AA"), "members"),
    ],
)
def test_a_published_key_that_is_not_for_us_is_refused(
    document: dict[str, object], why: str
) -> None:
    with pytest.raises(UnfitKey, match=why):
        from_jwk(document)


@pytest.mark.parametrize("bits", [1024, 9216])
def test_an_rsa_key_too_small_or_too_large_is_refused(bits: int) -> None:
    modulus = (1 << (bits - 1)) | 1
    small = rsa.RSAPublicNumbers(65537, modulus).public_key()

    with pytest.raises(UnfitKey, match="bits"):
        from_jwk(public_jwk(VerifyingKey("k", "RS256", small)) or {})


def test_only_accepted_algorithms_count_and_decide_for_a_key_that_names_none() -> None:
    assert from_jwk(jwk(RSA, alg=None), ["ES256", "PS256", "RS256"]).algorithm == "PS256"
    assert from_jwk(jwk(RSA), ["PS256", "RS256"]).algorithm == "RS256"
    for accepted in (["ES256"], ["PS256"], ["HS256"], ["none"], []):
        with pytest.raises(UnfitKey, match="accepted"):
            from_jwk(jwk(RSA), accepted)


def test_a_published_key_with_its_private_part_still_only_verifies() -> None:
    published = from_jwk(jwk(d="A" * 43))

    assert isinstance(published.key, ec.EllipticCurvePublicKey)


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES256"), (OKP, "EdDSA"), (RSA, "RS256")])
def test_a_private_key_of_ours_knows_its_algorithm(key, algorithm: str) -> None:
    assert algorithm_of(fit(key.private)) == algorithm


@pytest.mark.parametrize(
    ("private", "why"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
        (rsa.generate_private_key(65537, 1024), "1024 bits"),
        (dsa.generate_private_key(1024), "not an EC"),
        (ed25519.Ed25519PrivateKey.generate().public_key(), "not an EC"),
        (b"s" * 32, "not an EC"),
        (None, "not an EC"),
    ],
)
def test_a_private_key_of_another_kind_is_refused(private: object, why: str) -> None:
    with pytest.raises(UnfitKey, match=why):
        fit(private)


def test_a_shared_secret_is_never_published() -> None:
    assert public_jwk(signing_key("HS256").verifying()) is None
