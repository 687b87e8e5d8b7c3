"""The compact form of a signed token, read strictly: every text has one reading or is a BadToken.

Size and shape come first, then base64url, then JSON, so that garbage costs nothing; what a header
says about keys (`jwk`, `jku`, `x5c`, `x5u`) is never looked at.
"""

import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from gateway.tokens.algorithms import VerifyingKey, sign, verifies
from gateway.tokens.keys import SigningKey

MAX_TOKEN = 4096
_MAX_DEPTH = 16
_MAX_DIGITS = 20  # any 64-bit number
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")

# `crit` names extensions that must be understood, and none is (CVE-2026-32597); `b64` and `zip`
# change what the other two parts mean; `enc` is for encrypted tokens (RFC 7515 §4.1.11, RFC 7797).
_REFUSED_HEADERS = ("crit", "b64", "zip", "enc")


class BadToken(Exception):
    """The token proves nothing. The message says why and never holds the token."""


class UnknownKey(BadToken):
    """Signed, it says, by a key that is not in the set."""


class Unsayable(Exception):
    """The content has something that no JSON, or no reader as strict as ours, can carry."""


@dataclass(frozen=True, slots=True)
class Compact:
    """A token taken apart; nothing in it is proven before `verify`."""

    header: Mapping[str, object]
    payload: bytes
    signature: bytes
    signed: bytes

    @property
    def kid(self) -> str:
        kid = self.header.get("kid")
        if not isinstance(kid, str):
            raise BadToken("the header names no key")
        return kid


def read(token: str) -> Compact:
    """Take a token apart. Raises BadToken."""
    if len(token) > MAX_TOKEN:
        raise BadToken(f"longer than {MAX_TOKEN} characters")
    shape = _COMPACT.fullmatch(token)
    if shape is None:
        raise BadToken("not three parts of base64url")
    header, payload, signature = (_decoded(part) for part in shape.groups())
    fields = _strict_object(header)
    for name in _REFUSED_HEADERS:
        if name in fields:
            raise BadToken(f"the header has {name}")
    return Compact(fields, payload, signature, token[: shape.end(2)].encode())


def verify(compact: Compact, key: VerifyingKey) -> None:
    """Prove that the holder of *key* signed. Raises BadToken."""
    if compact.header.get("alg") != key.algorithm:
        raise BadToken(f"not signed with {key.algorithm}")
    if not verifies(key, compact.signed, compact.signature):
        raise BadToken("the signature does not fit")


def claims(compact: Compact) -> dict[str, Any]:
    """Read the payload. Raises BadToken."""
    return _strict_object(compact.payload)


def seal(content: Mapping[str, object], key: SigningKey, token_type: str) -> str:
    """Sign *content*. Raises Unsayable rather than make what `claims` would refuse."""
    header = {"alg": key.algorithm, "kid": key.kid, "typ": token_type}
    signed = f"{_encoded(_json(header))}.{_encoded(_json(content))}"
    return f"{signed}.{_encoded(sign(key.algorithm, key.private, signed.encode()))}"


def _json(value: Mapping[str, object]) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        data = text.encode()
        _strict_object(data)
    except (TypeError, ValueError, RecursionError, BadToken) as error:
        raise Unsayable(str(error)) from error
    return data


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    if len(part) % 4 == 1:
        raise BadToken("not base64url")
    data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    # Unused bits that are not zero would give one token several spellings (RFC 4648 §3.5).
    if _encoded(data) != part:
        raise BadToken("not canonical base64url")
    return data


def _strict_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_each_member_once,
            parse_constant=_refuse_number,
            parse_float=_finite,
            parse_int=_bounded,
        )
        _bound(value, _MAX_DEPTH)
    except (ValueError, RecursionError):
        raise BadToken("not strict JSON") from None
    if not isinstance(value, dict):
        raise BadToken("not a JSON object")
    return value


def _each_member_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number without bound")
    return number


def _bounded(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise ValueError("a number of many digits")
    return int(text)


def _bound(value: object, levels: int) -> None:
    """Refuse deep nesting, and text that UTF-8 cannot carry: both would fail far from here."""
    if levels == 0:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for name, member in value.items():
            name.encode()
            _bound(member, levels - 1)
    elif isinstance(value, list):
        for item in value:
            _bound(item, levels - 1)
