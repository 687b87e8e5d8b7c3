"""The portal's pages: templates with everything escaped, and files without a foreign address.

Every style and script is a file of ours under a name that holds its hash, so the strictest content
security policy fits and the files may be cached for ever.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePath
from typing import Final, Literal
from urllib.parse import urlencode

import aiohttp_jinja2
import jinja2
from aiohttp import web

from gateway.portal.answers import Refusal, own, with_refusal_headers
from gateway.portal.portal import PORTAL

_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Message:
    """A line above the form."""

    kind: Literal["info", "success", "error"]
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the form, and with which field; `all` where we do not say."""

    text: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class StaticFile:
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """The files by the name they are served under, and that name by the plain one."""

    served: Mapping[str, StaticFile]
    names: Mapping[str, str]


STATIC: Final = web.AppKey("static", StaticFiles)


def set_up(app: web.Application) -> None:
    """Load templates and files into *app*."""
    app[STATIC] = _load()
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("gateway.portal"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
    )


def page(
    request: web.Request, template: str, *, status: int = 200, **context: object
) -> web.Response:
    """Render one page."""
    portal = request.app[PORTAL]
    names = request.app[STATIC].names
    shared = {
        "product": portal.product,
        "host": portal.host,
        "prefix": portal.prefix,
        "registration": portal.registrar is not None,
        "static": {plain: f"{portal.prefix}/static/{name}" for plain, name in names.items()},
        "refresh": None,
        "status": status,
    }
    return aiohttp_jinja2.render_template(template, request, shared | context, status=status)


def error_page(request: web.Request, refusal: Refusal) -> web.Response:
    """Say in plain words what happened and what to do next."""
    retry = refusal.retry_after if request.method in ("GET", "HEAD") else None
    response = page(
        request,
        "error.html",
        status=refusal.status,
        title=_TITLES.get(refusal.status, refusal.title),
        detail=refusal.detail,
        links=(Link("Go to sign-in", own(request, "/login")), Link("Start page", "/")),
        request_id=request.headers.get("X-Request-Id", ""),
        refresh=retry,
    )
    return with_refusal_headers(response, refusal)


def rd_query(rd: str) -> str:
    """Return the return address as a query, empty for the start page."""
    return "" if rd == "/" else "?" + urlencode({"rd": rd})


_TITLES: Final = {
    403: "This was not allowed",
    404: "There is no such page",
    405: "This cannot be done here",
    500: "Something went wrong",
    503: "Just a moment",
}


async def static_file(request: web.Request) -> web.Response:
    file = request.app[STATIC].served.get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    return web.Response(
        body=file.body,
        content_type=file.content_type,
        charset="utf-8",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


def _load() -> StaticFiles:
    served: dict[str, StaticFile] = {}
    names: dict[str, str] = {}
    for entry in (resources.files("gateway.portal") / "static").iterdir():
        plain = PurePath(entry.name)
        body = entry.read_bytes()
        name = f"{plain.stem}.{hashlib.sha256(body).hexdigest()[:12]}{plain.suffix}"
        served[name] = StaticFile(body, _TYPES[plain.suffix])
        names[entry.name] = name
    return StaticFiles(served, names)
