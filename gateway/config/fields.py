"""The kinds of fields that the file's sections are made of: text in, checked values out.

Every scalar arrives as text (see `document`), so that a group called 0123 stays what was written.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, ip_network
from types import NoneType
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from gateway.config import units
from gateway.config.secret import Secret
from gateway.config.values import Address, Network
from gateway.identity.usernames import UnfitUsername, canonical
from gateway.policy.routes import BadRoute, Route

_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


class Section(BaseModel):
    """A mapping of the file. A key left empty counts as not written, unless it may be null."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        # A section alone is never validated: only `File` is built, with all of them inside.
        defer_build=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_written(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        return {
            key: value for key, value in data.items() if value is not None or cls._may_be_null(key)
        }

    @classmethod
    def _may_be_null(cls, key: object) -> bool:
        field = cls.model_fields.get(str(key))
        return field is None or NoneType in get_args(field.annotation)


def setting(default: object, description: str, **limits: Any) -> Any:
    """Declare a key with its default, written as in the file."""
    return Field(default, description=description, **limits)


def required(description: str, **limits: Any) -> Any:
    return Field(description=description, **limits)


def reads(read: Callable[[str], object], **schema: object) -> tuple[PlainValidator, Any]:
    """Validate text by *read*; JSON Schema says *schema*."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError("must be a single value")  # noqa: TRY004 - pydantic collects these
        return read(value)

    return PlainValidator(check), WithJsonSchema(schema)


def _flag(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"must be true or false, not {units.quoted(text)}")


def _count(text: str) -> int:
    if _whole(text) < 1:
        raise ValueError("must be at least 1")
    return int(text)


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
        raise ValueError(f"must be a whole number, not {units.quoted(text)}")
    return int(text)


def _lasting(text: str) -> float:
    duration = units.seconds(text)
    if duration <= 0:
        raise ValueError("must be longer than 0s")
    return duration


def listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _network(text: str) -> Network:
    try:
        return _unmapped(ip_network(text))
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        shown = units.quoted(text)
        raise ValueError(f"{shown} is not an address or network such as 10.0.0.0/8") from None
    raise ValueError(f"{units.quoted(text)} has bits set beyond its prefix; did you mean {meant}?")


def _unmapped(network: Network) -> Network:
    """An IPv4 network written as ::ffff:10.0.0.0/104 means the IPv4 one (SECURITY I4)."""
    if isinstance(network, IPv4Network) or network.network_address.ipv4_mapped is None:
        return network
    if network.prefixlen < 96:  # noqa: PLR2004 - where the mapped address begins
        return network
    return IPv4Network((int(network.network_address.ipv4_mapped), network.prefixlen - 96))


def _header_name(text: str) -> str:
    if not _HEADER_NAME.fullmatch(text) or len(text) > 128:  # noqa: PLR2004
        raise ValueError(f"{units.quoted(text)} is not a header name (RFC 9110 §5.1)")
    return text


def _cookie_name(text: str) -> str:
    if not _HEADER_NAME.fullmatch(text) or len(text) > 128:  # noqa: PLR2004
        raise ValueError(f"{units.quoted(text)} is not a cookie name (RFC 6265 §4.1.1)")
    return text


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must not hold control characters or line breaks")
    return text


def _route_part(**part: Any) -> None:
    try:
        Route(upstream="", **({"path": "/*"} | part))
    except BadRoute as error:
        raise ValueError(str(error)) from None


def _route_path(text: str) -> str:
    if text == "*":
        raise ValueError("write /* for every path")
    if text.endswith("*") and not text.endswith("/*") and text.count("*") == 1:
        raise ValueError(f"* stands only after /: did you mean {text[:-1]}/*?")
    _route_part(path=text)
    return text


def _route_host(text: str) -> str:
    _route_part(host=text)
    return text


def _user_name(text: str) -> str:
    """Spell a name as principals are spelled; what no user of ours can be called stays as it is."""
    try:
        return canonical(_text(text))
    except UnfitUsername:
        return text


def _web_url(text: str) -> str:
    units.url(text, ("http", "https"))
    return text


def one_or_many(limits: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    return {"anyOf": [text, {"type": "array", "items": text, **limits}]}


_DURATION = {"type": "string", "pattern": units.DURATION_PATTERN, "examples": ["90s", "15m", "7d"]}

Duration = Annotated[float, *reads(_lasting, **_DURATION)]
DurationOrZero = Annotated[float, *reads(units.seconds, **_DURATION)]
Size = Annotated[
    int,
    *reads(
        units.size,
        anyOf=[
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": units.SIZE_PATTERN},
        ],
    ),
]
Flag = Annotated[bool, *reads(_flag, type="boolean")]
Count = Annotated[int, *reads(_count, type="integer", minimum=1)]
Whole = Annotated[int, *reads(_whole, type="integer", minimum=0)]
Text = Annotated[str, *reads(_text, type="string", minLength=1)]
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(listed),
    Field(min_length=1),
    WithJsonSchema(one_or_many({"minItems": 1})),
]
Listen = Annotated[Address, *reads(units.address, type="string")]
NetworkText = Annotated[Network, *reads(_network, type="string")]
UserNames = Annotated[
    tuple[Annotated[str, *reads(_user_name, type="string", minLength=1)], ...],
    BeforeValidator(listed),
    Field(min_length=1),
    WithJsonSchema(one_or_many({"minItems": 1})),
]
Networks = Annotated[
    tuple[NetworkText, ...], BeforeValidator(listed), WithJsonSchema(one_or_many({}))
]
Origin = Annotated[str, *reads(units.origin, type="string", format="uri")]
WebUrl = Annotated[str, *reads(_web_url, type="string", format="uri")]
HeaderName = Annotated[str, *reads(_header_name, type="string")]
CookieName = Annotated[str, *reads(_cookie_name, type="string")]
RoutePath = Annotated[str, *reads(_route_path, type="string", pattern="^/")]
RouteHost = Annotated[str, *reads(_route_host, type="string")]
SecretText = Annotated[Secret, *reads(lambda text: Secret(_text(text)), type="string")]
