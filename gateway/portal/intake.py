"""Reads what is sent to the portal, and says which part of it is unfit.

Both bodies a sign-in may have, JSON and a form, become one mapping of strings; whatever else comes
is refused with a status of its own and never reaches a login provider.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.portal.answers import FORM_TYPES, Refusal

LARGEST_BODY: Final = 64 * 1024
_MOST_FIELDS: Final = 32


async def read_fields(request: web.Request) -> Mapping[str, object]:
    """Return the fields of a JSON object or of a form. Raises Refusal."""
    is_form = request.content_type in FORM_TYPES
    if not is_form and request.content_type != "application/json":
        raise Refusal(
            415,
            "Send application/json or application/x-www-form-urlencoded.",
            headers=(("Accept", "application/json, application/x-www-form-urlencoded"),),
        )
    text = await _read_text(request)
    return _parse_form(text) if is_form else _parse_json(text)


def required(fields: Mapping[str, object], name: str) -> str:
    """Return a field that must be there and say something. Raises Refusal."""
    text = optional(fields, name)
    if not text:
        raise Refusal(422, f"{name} is required.", field=name)
    return text


def optional(fields: Mapping[str, object], name: str) -> str:
    """Return a field, empty when missing. Raises Refusal."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(422, f"{name} must be a string.", field=name)
    # NUL ends a string for bcrypt and for many stores; a lone surrogate, which JSON can escape,
    # is no text at all and cannot be encoded.
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise Refusal(422, f"{name} contains a character that is not text.", field=name)
    return value


async def _read_text(request: web.Request) -> str:
    charset = request.charset
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Refusal(415, "Send the text as UTF-8.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(
            415, "Send the text uncompressed.", headers=(("Accept-Encoding", "identity"),)
        )
    if request.content_length is not None and request.content_length > LARGEST_BODY:
        raise _too_large()
    try:
        return (await request.read()).decode()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except UnicodeDecodeError:
        raise Refusal(400, "The text is not UTF-8.") from None


def _too_large() -> Refusal:
    return Refusal(413, f"Send at most {LARGEST_BODY} bytes.")


def _parse_json(text: str) -> Mapping[str, object]:
    try:
        # RecursionError: deep nesting. ValueError: not JSON, or a number too long to convert.
        value = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise Refusal(422, "The body must be a JSON object.")
    return value


def _parse_form(text: str) -> Mapping[str, object]:
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
        return _without_twins(pairs)
    except ValueError:  # a UnicodeDecodeError too
        raise Refusal(400, "The form cannot be read.") from None


def _without_twins(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Refuse a name given twice: which of the two counts would be a matter of taste."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is given twice")
    return fields
