"""What an app answers, whole or in pieces, against what the client can take for an answer.

The first byte of an input chooses who asks; the rest is what the app sends before it closes.
"""

from dataclasses import dataclass

from tests.fuzz.reader import Malformed, Message, Unfinished, read_answer, read_final
from tests.fuzz.stage import COOKIES, OK, App, Finding, Stage, Wire, in_pieces, run, settle

_ASKED = (
    ("GET", b"GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HEAD", b"HEAD /public/a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("POST", b"POST /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
    ("GET", b"GET /public/a HTTP/1.0\r\nHost: a\r\n\r\n"),
    ("GET", b"GET /public/a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
    (
        "GET",
        b"GET /public/a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    ("POST", b"POST /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
    ("GET", b"GET /a HTTP/1.1\r\nHost: a\r\nCookie: refreshToken=good\r\n\r\n"),
)
_NEXT = b"GET /public/next HTTP/1.1\r\nHost: a\r\n\r\n"
# Sent by the gateway itself when the app gives no proper answer.
_OUR_REFUSALS = (502, 504)


class Silent(App):
    """Says nothing until it is told what."""

    def wrote(self, wire: Wire) -> None:
        """Whatever it is: the answer is chosen by the test."""


@dataclass
class Seen:
    """What the client got: *answer* None where nothing looks like a whole one."""

    answer: Message | None
    following: int | None
    aborted: bool
    tunnel: bool


def response_stream(data: bytes) -> None:
    """H3, H7, H8, H11, H13, I6, whatever the app sends and however it is cut."""
    if not data:
        return
    method, asked = _ASKED[data[0] % len(_ASKED)]
    sent = data[1:]
    whole = run(_answer(asked, method, [sent]))
    pieces = run(_answer(asked, method, in_pieces(sent)))
    for seen in (whole, pieces):
        _judge(seen, method, sent, wants_upgrade=b"websocket" in asked)
    if _told(whole) != _told(pieces):
        raise Finding(f"in pieces {_told(pieces)}, in one {_told(whole)}")


async def _answer(asked: bytes, method: str, pieces: list[bytes]) -> Seen:
    app = Silent()
    stage = Stage(app)
    _, client = stage.connect()
    await client.deliver([asked])
    if not app.wires:
        raise Finding("the request did not reach the app")
    upstream = app.wires[0]
    await upstream.deliver(pieces)
    await client.deliver([_NEXT])
    # Where the same connection serves the next request, what was sent before is over.
    reused = len(upstream.written) > 0 and b"/public/next" in upstream.written
    if not upstream.closing and not reused:
        await upstream.end()
        upstream.lose()
        await settle()
    for wire in app.wires:
        if not wire.closing and b"/public/next" in wire.written:
            await wire.deliver([OK])
    await client.end()
    await stage.wait()
    stage.check()
    return _seen(client, method)


def _seen(client: Wire, method: str) -> Seen:
    data = bytes(client.written)
    try:
        answer = read_final(data, method=method, ended=not client.aborted)
    except Unfinished:
        if not client.aborted:
            raise Finding("an answer breaks off and looks whole") from None
        return Seen(None, None, aborted=True, tunnel=False)
    except Malformed as error:
        raise Finding("the client gets no HTTP") from error
    if answer.status == 101:
        return Seen(answer, None, client.aborted, tunnel=True)
    following = None
    if answer.end < len(data):
        try:
            following = read_answer(data, answer.end, ended=not client.aborted).status
        except (Unfinished, Malformed) as error:
            raise Finding(f"after its answer: {data[answer.end :][:60]!r}") from error
    return Seen(answer, following, client.aborted, tunnel=False)


def _judge(seen: Seen, method: str, sent: bytes, *, wants_upgrade: bool) -> None:
    answer = seen.answer
    if answer is None:
        return
    if answer.status in _OUR_REFUSALS and answer.values(b"content-security-policy"):
        return
    try:
        told = read_final(sent, method=method, ended=True)
    except (Unfinished, Malformed) as error:
        raise Finding(f"{answer.status} of an answer that is none: {error!r}") from error
    if answer.status != told.status:
        raise Finding(f"{told.status} became {answer.status}")
    if answer.status == 101:
        if not wants_upgrade:
            raise Finding("a switch of protocols that nobody asked for")
        return
    if answer.body != told.body:
        raise Finding(f"the body {told.body!r} became {answer.body!r}")
    if seen.following not in (None, 200):
        raise Finding(f"the next request got {seen.following}")
    _clean(answer, told)


def _clean(answer: Message, told: Message) -> None:
    """Nothing of the app's framing, hop-by-hop fields or our cookies passes."""
    for name in (b"keep-alive", b"proxy-connection", b"trailer", b"proxy-authenticate", b"te"):
        if answer.values(name):
            raise Finding(f"{name!r} passes")
    if len(answer.values(b"content-length")) + len(answer.values(b"transfer-encoding")) > 1:
        raise Finding("the answer is framed twice")
    for value in answer.values(b"set-cookie"):
        if value == b"accessToken=new; Path=/":
            continue
        if value not in told.values(b"set-cookie"):
            raise Finding(f"nobody set {value!r}")
        if written_by(value) in (COOKIES.access_name.lower(), COOKIES.refresh_name.lower()):
            raise Finding(f"the app sets {value!r}")


def written_by(set_cookie: bytes) -> str:
    """The name under which the cookie comes back (RFC 6265bis §5.6), lower-case.

    A nameless cookie comes back as its value, and a server then reads that as a pair.
    """
    pair = set_cookie.partition(b";")[0]
    name, equals, value = pair.partition(b"=")
    if not equals:
        name, value = b"", pair
    name, value = name.strip(b" \t"), value.strip(b" \t")
    sent_back = name + b"=" + value if name else value
    head, equals, _ = sent_back.partition(b"=")
    return head.strip(b" \t").lower().decode("latin-1") if equals else ""


def _told(seen: Seen) -> tuple:
    """What of *seen* must not depend on how the bytes were cut."""
    answer = seen.answer
    if answer is None or (answer.status in _OUR_REFUSALS and not answer.values(b"date")):
        # A fault that comes before the head went out is a 502, after it an abort.
        return ("failed",)
    return (answer.status, answer.body, answer.values(b"set-cookie"))
