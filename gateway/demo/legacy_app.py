"""The app that `gateway demo` protects: a small ledger from before there was sign-in.

It is any legacy app: it keeps no accounts, checks nothing, and believes the identity headers. It
shows every header that reached it, so that one sees what the gateway adds and what it withholds.
"""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.demo.arrivals import arrivals, person

_MOST_ENTRIES = 50
_LONGEST_DESCRIPTION = 120
_LARGEST_AMOUNT = Decimal(1_000_000)
_LARGEST_BODY = 64 * 1024
_VISITS_COOKIE = "ledger_visits"
_MOST_DIGITS = 6
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


_OPENING = [
    (7, ("m.okafor", "Lamp oil, 20 l", Decimal("46.90"))),
    (6, ("j.lindqvist", "Returned: one winch handle", Decimal("-31.00"))),
    (5, ("m.okafor", "Deck varnish, six tins", Decimal("112.50"))),
    (4, ("r.castellano", "Sailcloth, 14 m", Decimal("238.00"))),
    (3, ("r.castellano", "Brass screws, assorted", Decimal("18.75"))),
    (2, ("m.okafor", "Rope, 60 m, two coils", Decimal("84.60"))),
    (1, ("j.lindqvist", "Balance brought forward", Decimal("1250.00"))),
]


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    by: str
    description: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the app keeps, in memory and bounded."""

    entries: deque[Entry]
    sockets: set[web.WebSocketResponse]
    pages: Environment
    auth_prefix: str
    tick_seconds: float


_LEDGER: Final = web.AppKey("ledger", Ledger)


def build(auth_prefix: str = "/api/v1/auth", tick_seconds: float = 2.0) -> web.Application:
    """Make the app. The page watches the session under *auth_prefix*; the app itself never does."""
    app = web.Application(client_max_size=_LARGEST_BODY)
    app[_LEDGER] = Ledger(
        entries=deque(
            (Entry(number, *opening) for number, opening in _OPENING), maxlen=_MOST_ENTRIES
        ),
        sockets=set(),
        pages=Environment(
            loader=PackageLoader("gateway.demo"), autoescape=True, undefined=StrictUndefined
        ),
        auth_prefix=auth_prefix,
        tick_seconds=tick_seconds,
    )
    app.add_routes(
        [
            web.get("/", _page),
            web.post("/entries", _add_entry),
            web.get("/what-arrived", _what_arrived),
            web.post("/what-arrived", _what_arrived),
            web.get("/live", _live),
            web.static("/static", Path(__file__).parent / "static"),
        ]
    )
    app.on_response_prepare.append(_harden)
    app.on_shutdown.append(_close_sockets)
    return app


async def _page(request: web.Request) -> web.Response:
    return _rendered(request)


async def _add_entry(request: web.Request) -> web.Response:
    """Take the form. A mistake shows the page again with what was typed."""
    form = await request.post()
    typed = {name: str(form.get(name, "")).strip() for name in ("description", "amount")}
    amount = _amount(typed["amount"])
    mistake = ""
    if not typed["description"] or len(typed["description"]) > _LONGEST_DESCRIPTION:
        mistake = f"Describe the entry in 1 to {_LONGEST_DESCRIPTION} characters."
    elif amount is None:
        mistake = "The amount is a number up to a million, such as 12.50."
    if mistake or amount is None:
        return _rendered(request, typed=typed, mistake=mistake)
    entries = request.app[_LEDGER].entries
    number = entries[0].number + 1
    by = person(request.headers) or "somebody"
    entries.appendleft(Entry(number, by, typed["description"], amount))
    raise web.HTTPSeeOther(f"/?added={number}#ledger")


async def _what_arrived(request: web.Request) -> web.Response:
    body = (await request.read()).decode("utf-8", "replace")
    if request.content_type == "application/json":
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            raise web.HTTPBadRequest(text="That is not JSON.\n") from None
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "person": person(request.headers),
            "headers": [[each.name, each.value] for each in arrivals(request.headers)],
            "body": body,
        }
    )


async def _live(request: web.Request) -> web.WebSocketResponse:
    """Echo what is said and tick in between, until either side leaves."""
    ledger = request.app[_LEDGER]
    socket = web.WebSocketResponse(max_msg_size=_LARGEST_BODY)
    await socket.prepare(request)
    ledger.sockets.add(socket)
    try:
        await socket.send_json({"kind": "hello", "person": person(request.headers)})
        await _talk(socket, ledger.tick_seconds)
    except ConnectionResetError:
        pass  # left in the middle of a word
    finally:
        ledger.sockets.discard(socket)
    return socket


async def _talk(socket: web.WebSocketResponse, tick_seconds: float) -> None:
    now = asyncio.get_running_loop().time
    ticks, due = 0, now() + tick_seconds
    while not socket.closed:
        try:
            message = await socket.receive(timeout=max(due - now(), 0.001))
        except TimeoutError:
            ticks, due = ticks + 1, now() + tick_seconds
            await socket.send_json({"kind": "tick", "number": ticks})
            continue
        if message.type is WSMsgType.TEXT:
            await socket.send_json({"kind": "echo", "text": message.data})


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _close_sockets(app: web.Application) -> None:
    for socket in list(app[_LEDGER].sockets):
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the ledger closes")


def _rendered(
    request: web.Request, typed: dict[str, str] | None = None, mistake: str = ""
) -> web.Response:
    ledger = request.app[_LEDGER]
    visits = _visits(request)
    text = ledger.pages.get_template("ledger.html").render(
        auth_prefix=ledger.auth_prefix,
        person=person(request.headers),
        arrivals=arrivals(request.headers),
        entries=ledger.entries,
        balance=sum((entry.amount for entry in ledger.entries), Decimal(0)),
        added=request.query.get("added", ""),
        typed=typed or {"description": "", "amount": ""},
        mistake=mistake,
        visits=visits,
        foreign_cookies=sorted(set(request.cookies) - {_VISITS_COOKIE}),
    )
    response = web.Response(text=text, content_type="text/html", status=422 if mistake else 200)
    # A cookie of the app's own: it comes back, while those of the gateway never get here.
    response.set_cookie(_VISITS_COOKIE, str(visits), httponly=True, samesite="Lax", path="/")
    return response


def _visits(request: web.Request) -> int:
    before = request.cookies.get(_VISITS_COOKIE, "")
    return (
        int(before) + 1
        if before.isascii() and before.isdigit() and len(before) <= _MOST_DIGITS
        else 1
    )


def _amount(text: str) -> Decimal | None:
    """*text* as money, or None."""
    try:
        amount = Decimal(text.replace(",", "."))
    except InvalidOperation:
        return None
    if not amount.is_finite() or abs(amount) > _LARGEST_AMOUNT:
        return None
    return amount.quantize(Decimal("0.01"))
