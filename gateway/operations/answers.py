"""How the operations port answers: JSON, and RFC 9457 problems for everything that fails."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from gateway.decision import code_of


def json_answer(body: Mapping[str, object], status: int = HTTPStatus.OK) -> web.Response:
    """Answer *body*; what JSON has no word for is written as its text."""
    text = json.dumps(body, default=str) + "\n"
    return web.Response(text=text, content_type="application/json", status=status)


def problem(status: int, detail: str, code: str = "", **more: object) -> web.Response:
    """Answer an RFC 9457 problem; *code* is for programs, by default the one that fits *status*."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code or code_of(status),
    }
    # As bytes: aiohttp would give a text a charset, a parameter that this media type does not have.
    return web.Response(
        body=json.dumps(body | more).encode() + b"\n",
        content_type="application/problem+json",
        status=status,
    )
