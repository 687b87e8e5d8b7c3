"""How the operations port answers: JSON, and RFC 9457 problems for everything that fails."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web


def json_answer(body: Mapping[str, object], status: int = HTTPStatus.OK) -> web.Response:
    """Answer *body*; what JSON has no word for is written as its text."""
    text = json.dumps(body, default=str) + "\n"
    return web.Response(text=text, content_type="application/json", status=status)


def problem(status: int, detail: str, **more: object) -> web.Response:
    """Answer an RFC 9457 problem."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    answer = json_answer(body | {"detail": detail} | more, status)
    answer.content_type = "application/problem+json"
    return answer
