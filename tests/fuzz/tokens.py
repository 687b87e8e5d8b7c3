"""Tokens: garbage, mutated good ones, and well-signed nonsense prove nothing and break nothing."""

import json

from gateway.headers.identity import IdentityHeaders
from gateway.sessions.refresh_token import BadRefreshToken, mint, prove
from gateway.tokens.access import AccessToken, BadToken, Verifier
from gateway.tokens.algorithms import PUBLISHABLE
from gateway.tokens.foreign import AnyIssuer, BadKeySet, FixedKeys, ForeignIssuer, key_set
from tests.fuzz.stage import ACCESS, ISSUER, KEYS, NOW, Finding, spelled_out
from tests.tokens.forgery import forge, header

_FOREIGN_ISSUER = "https://idp.example"
_OWN = Verifier(lambda: KEYS, ISSUER, "gateway")
_SIGNING = KEYS.signing(NOW)
_ANY = AnyIssuer(
    _OWN,
    {
        _FOREIGN_ISSUER: ForeignIssuer(
            _FOREIGN_ISSUER, "gateway", FixedKeys({"k1": KEYS.verifying("k1")})
        )
    },
)
_SECRETS = (
    ("r2", b"newest secret of the two, 32 byte"),
    ("r1", b"the one before it, also 32 bytes"),
)
_SESSION = "S0GuF4SPH2P76xdjQ4ev0Q"
_REFRESH = {
    mint(_SECRETS[index:], _SESSION, generation): generation
    for index in (0, 1)
    for generation in (1, 7)
}


def access_token(data: bytes) -> None:
    """J1–J4: BadToken or nothing, and no text but the very one that was signed is good."""
    for text in (spelled_out(data).decode("latin-1"), _spoilt(ACCESS, data)):
        for verifier in (_OWN, _ANY):
            try:
                verifier.verify(text, NOW + 1)
            except BadToken:
                continue
            if text != ACCESS:
                raise Finding(f"{text!r} is good")


def _spoilt(token: str, data: bytes) -> str:
    """The good *token*, with what *data* says put somewhere in place of a few of its characters."""
    at, many = int.from_bytes(data[:2]) % (len(token) + 1), (data[2] % 8 if len(data) > 2 else 1)
    return token[:at] + data[3:].decode("latin-1") + token[at + many :]


def token_content(data: bytes) -> None:
    """Signed by us, and yet it may say anything: JSON of any shape, as header and as content.

    The first byte says which of the two the input is.
    """
    kind, content = data[:1], data[1:]
    head: object = header(_SIGNING)
    payload: object = content
    if kind == b"h":
        head, payload = content, json.dumps(_GOOD).encode()
    for verifier in (_OWN, _ANY):
        try:
            access = verifier.verify(forge(_SIGNING, head, payload), NOW + 1)
        except BadToken:
            continue
        _sane(access)


_GOOD = {
    "iss": ISSUER,
    "aud": "gateway",
    "sub": "alice",
    "sid": "s1",
    "jti": "t1",
    "gen": 1,
    "iat": NOW,
    "exp": NOW + 900,
}


def _sane(access: AccessToken) -> None:
    person = access.principal
    if not (person.subject and isinstance(person.subject, str)):
        raise Finding("nobody is proven")
    if not access.expires_at > NOW + 1 or access.issued_at > NOW + 61:
        raise Finding("a token out of its time is good")
    lines = IdentityHeaders().render(person)
    if lines.count(b"\n") != 4 or not lines.isascii() or b"\0" in lines:
        raise Finding(f"identity breaks out of its lines: {lines!r}")


def key_set_document(data: bytes) -> None:
    """J6: a JWKS document of any shape gives keys to verify with, or BadKeySet."""
    try:
        keys = key_set(data, PUBLISHABLE)
    except BadKeySet:
        return
    for kid, key in keys.items():
        if kid != key.kid or key.algorithm not in PUBLISHABLE:
            raise Finding(f"{key!r} is no key to publish")


def refresh_token(data: bytes) -> None:
    """S1: BadRefreshToken or nothing, and no text but one that was minted is good."""
    text = data.decode("latin-1")
    newest, older = list(_REFRESH)[1:3]
    for word, token in (("@newest@", newest), ("@older@", older)):
        text = text.replace(word, token)
    for each in (text, _spoilt(newest, data), _spoilt(older, data)):
        try:
            proven = prove(each, _SECRETS)
        except BadRefreshToken:
            continue
        if _REFRESH.get(each) != proven.generation or proven.session_id != _SESSION:
            raise Finding(f"{each!r} is good")
