"""What a client sends, whole or in pieces, against what reaches the app and what comes back."""

import asyncio
import re
from dataclasses import dataclass, field

from gateway.headers.fields import HOP_BY_HOP, folded
from tests.fuzz.reader import Malformed, Message, Unfinished, read_answer, read_request, requests_in
from tests.fuzz.stage import (
    LIMITS,
    OK,
    SWITCHED,
    App,
    Finding,
    Stage,
    Wire,
    in_pieces,
    run,
    spelled_out,
)

_OURS = (b"accessToken", b"refreshToken")
# Every name that only the gateway may write, and what it may say there.
_WRITTEN_BY_US = {
    b"x-forwarded-for": rb"127\.0\.0\.1",
    b"x-forwarded-proto": rb"http",
    b"x-forwarded-host": rb"[\x21-\x7e]+",
    b"x-forwarded-port": rb"[0-9]+",
    b"x-real-ip": rb"127\.0\.0\.1",
    b"x-request-id": rb"r[0-9]+",
    b"x-forwarded-user": rb"alice",
    b"x-forwarded-email": rb"",
    b"x-forwarded-preferred-username": rb"alice",
    b"x-forwarded-groups": rb"staff",
}
_NEVER = re.compile(
    rb"forwarded|x-forwarded|x-forwarded-(prefix|server|scheme|ssl|method|uri|by)"
    rb"|x-original-(url|uri|method|host)|x-client-ip|true-client-ip|proxy|x-scheme"
)


class Recorder(App):
    """Reads every request with other eyes, and answers it when it is whole."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Message] = []
        self._read: dict[Wire, int] = {}
        self.tunnels: list[tuple[Wire, int]] = []

    def wrote(self, wire: Wire) -> None:
        if any(tunnel is wire for tunnel, _ in self.tunnels):
            return
        at = self._read.get(wire, 0)
        try:
            request = read_request(bytes(wire.written), at)
        except Unfinished:
            return
        except Malformed as error:
            raise Finding("what reached the app is malformed") from error
        self._read[wire] = request.end
        self.requests.append(request)
        upgrade = bool(request.values(b"upgrade"))
        if upgrade:
            self.tunnels.append((wire, request.end))
        run_soon(wire, SWITCHED if upgrade else OK)

    @property
    def through_tunnel(self) -> bytes | None:
        """What came after a switch of protocols; None where there was none."""
        if not self.tunnels:
            return None
        wire, start = self.tunnels[0]
        return bytes(wire.written[start:])


def run_soon(wire: Wire, data: bytes) -> None:
    def answer() -> None:
        if not wire.closing:
            wire.protocol.data_received(data)

    asyncio.get_running_loop().call_soon(answer)


@dataclass
class Seen:
    """What became of one stream of requests."""

    arrived: list[Message]
    tunnel: bytes | None
    answers: list[int] = field(default_factory=list)
    aborted: bool = False


def request_stream(data: bytes) -> None:
    """H1, H2, H7, H10, H16, I1, I2, I6, whatever is sent and however it is cut."""
    data = spelled_out(data)
    expected = requests_in(data)
    whole = run(_serve([data], expected))
    pieces = run(_serve(in_pieces(data), expected))
    _compare(whole, pieces)


async def _serve(pieces: list[bytes], expected: list[Message]) -> Seen:
    app = Recorder()
    stage = Stage(app)
    connection, wire = stage.connect()
    longest = max(map(len, pieces), default=0)
    for piece in pieces:
        await wire.deliver([piece])
        if len(connection._buffer) > LIMITS.head + 2 * longest:
            raise Finding(f"{len(connection._buffer)} bytes are buffered")
    await wire.end()
    await stage.wait()
    stage.check()
    for request in app.requests:
        _well_formed(request)
    _is_subsequence(app.requests, expected)
    seen = Seen(app.requests, app.through_tunnel, aborted=wire.aborted)
    _read_answers(wire, _methods(b"".join(pieces), expected), seen)
    return seen


def _well_formed(request: Message) -> None:
    """The head that the app gets is ours: nothing that a client could have smuggled in."""
    names = [name.lower() for name, _ in request.fields]
    if len(request.values(b"host")) != 1:
        raise Finding("not exactly one Host")
    if not b"".join(request.values(b"via")[-1:]).endswith(b" gw-test"):
        raise Finding("we are not the last in Via")
    for name, value in request.fields:
        lowered, fold = name.lower(), folded(name)
        if b"_" in name:
            raise Finding(f"an underscore in {name!r}")
        if fold in _WRITTEN_BY_US:
            if lowered != fold or names.count(lowered) != 1:
                raise Finding(f"{name!r} is there twice or folded")
            if not re.fullmatch(_WRITTEN_BY_US[fold], value):
                raise Finding(f"{name!r}: {value!r} is not ours")
        elif _NEVER.fullmatch(fold):
            raise Finding(f"{name!r} passes")
        elif lowered.decode() in HOP_BY_HOP - {"transfer-encoding"}:
            websocket = {b"connection": b"Upgrade", b"upgrade": b"websocket"}
            if websocket.get(lowered) != value:
                raise Finding(f"{name!r}: {value!r} is hop-by-hop")
        elif lowered == b"cookie":
            _not_our_cookies(value)


def _not_our_cookies(value: bytes) -> None:
    """In other letters they are the app's: browsers keep both, and who asks is told by headers."""
    for pair in value.split(b";"):
        name = pair.strip().lstrip(b"=").partition(b"=")[0].strip()
        if b"=" in pair and name in _OURS:
            raise Finding(f"our cookie passes: {pair!r}")


def _is_subsequence(arrived: list[Message], expected: list[Message]) -> None:
    """Each request that arrived is one that was sent, in order, with its own body."""
    left = iter(expected)
    for request in arrived:
        if not any(_same(request, sent) for sent in left):
            raise Finding(f"nobody sent {request.method} {request.target!r} {request.body!r}")


def _same(arrived: Message, sent: Message) -> bool:
    target = sent.target
    if not target.startswith(b"/"):
        _, _, rest = target.partition(b"://")
        authority = re.match(rb"[^/?]*", rest)
        target = rest[authority.end() if authority else 0 :]
        target = target if target.startswith(b"/") else b"/" + target
    via = f"{sent.version} gw-test".encode()
    return (arrived.method, arrived.target, arrived.body, arrived.values(b"via")[-1]) == (
        *(sent.method, target, sent.body, via),
    )


def _methods(sent: bytes, expected: list[Message]) -> list[str]:
    """The methods of the requests, and what the one that is none began with."""
    begun = re.sub(rb"\A(?:\r\n)*", b"", sent[expected[-1].end if expected else 0 :])
    return [request.method for request in expected] + [begun.partition(b" ")[0].decode("latin-1")]


def _read_answers(wire: Wire, methods: list[str], seen: Seen) -> None:
    data, at = bytes(wire.written), 0
    while at < len(data) and 101 not in seen.answers:
        if len(seen.answers) == len(methods):
            raise Finding("more answers than requests")
        method = methods[len(seen.answers)]
        try:
            answer = read_answer(data, at, method=method, ended=not wire.aborted)
        except Unfinished:
            if not wire.aborted:
                raise Finding("an answer breaks off and looks whole") from None
            return
        except Malformed as error:
            raise Finding("the client gets no HTTP") from error
        at = answer.end
        if answer.status != 100:
            seen.answers.append(answer.status)


def _compare(whole: Seen, pieces: Seen) -> None:
    """How the bytes were cut changes nothing, save where the last answer is a refusal.

    Which of two faults is told of first may differ then, and whether the connection goes on: it
    does where the refused request's body has come already.
    """

    def requests(seen: Seen) -> list[tuple]:
        return [(each.method, each.target, each.body, each.fields[0]) for each in seen.arrived]

    early, late = sorted((whole, pieces), key=lambda seen: len(seen.answers))
    told = len(early.answers)
    if told and min(early.answers[-1], late.answers[told - 1]) >= 400:
        if early.answers[:-1] != late.answers[: told - 1]:
            raise Finding(f"in pieces the answers are {pieces.answers}, in one {whole.answers}")
        if requests(early) != requests(late)[: len(early.arrived)]:
            raise Finding(f"in pieces {pieces.arrived!r} arrive, in one {whole.arrived!r}")
        return
    if early.answers != late.answers:
        raise Finding(f"in pieces the answers are {pieces.answers}, in one {whole.answers}")
    if requests(whole) != requests(pieces):
        raise Finding(f"in pieces {pieces.arrived!r} arrive, in one {whole.arrived!r}")
    if whole.tunnel != pieces.tunnel:
        raise Finding(f"through the tunnel {pieces.tunnel!r} in pieces, {whole.tunnel!r} in one")
