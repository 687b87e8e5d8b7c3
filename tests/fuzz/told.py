"""What a trusted proxy tells of a request, believed or refused, and never half of it."""

import re
from ipaddress import ip_address

from tests.fuzz.reader import Malformed, Message, Unfinished, read_answer
from tests.fuzz.request_stream import Recorder
from tests.fuzz.stage import Finding, Stage, in_pieces, run, spelled_out

_STARTS = (b"GET /auth/verify HTTP/1.1\r\nHost: a\r\n", b"GET /optional/a HTTP/1.1\r\nHost: a\r\n")


def trusted_headers(data: bytes) -> None:
    """I3, I4, I5: header lines of a trusted proxy, to the forward-auth door and to the app."""
    data = spelled_out(data)
    for start in _STARTS:
        if b"\r\n\r\n" in start + data:
            return  # a second request, of which the answer may be one to HEAD
        run(_ask(start + data + b"\r\n\r\n"))


async def _ask(raw: bytes) -> None:
    app = Recorder()
    stage = Stage(app, trusting=True)
    _, wire = stage.connect()
    await wire.deliver(in_pieces(raw))
    await wire.end()
    await stage.wait()
    stage.check()
    for request in app.requests:
        _forwarded(request)
    data, at = bytes(wire.written), 0
    while at < len(data):
        try:
            answer = read_answer(data, at, ended=not wire.aborted)
        except (Malformed, Unfinished) as error:
            raise Finding("the proxy gets no HTTP") from error
        at = answer.end
        if answer.status >= 500 and answer.status not in (503, 505, 508):
            raise Finding(f"{answer.status}")


def _forwarded(request: Message) -> None:
    """The family is one set, and each of it one value of its kind."""
    only = {name: request.values(name) for name in _KINDS}
    for name, kind in _KINDS.items():
        if len(only[name]) != 1 or not re.fullmatch(kind, only[name][0]):
            raise Finding(f"{name!r} is {only[name]!r}")
    ip_address(only[b"x-real-ip"][0].decode())


_KINDS = {
    b"x-forwarded-for": rb"[0-9A-Fa-f.:]+(?:, 127\.0\.0\.1)?",
    b"x-forwarded-proto": rb"https?",
    b"x-forwarded-host": rb"[A-Za-z0-9_.\-:\[\]]+",
    b"x-forwarded-port": rb"[0-9]{1,5}",
    b"x-real-ip": rb"[0-9A-Fa-f.:]+",
    b"x-request-id": rb"[A-Za-z0-9._:/+=@-]{1,128}",
    b"host": rb"[A-Za-z0-9_.\-:\[\]]+",
}
