"""An honest browser: one jar, several tabs, a bad network, and no idea of what a token is.

Cookies are read when a request is made and kept when its answer comes, in the order of arrival. It
holds itself to the two assumptions that the rules rest on: a request is under way for at most
`grace`, an answer with cookies for at most `delivery`; what takes longer is lost.
"""

import asyncio
import json
import random
from dataclasses import dataclass, field

from tests.end_to_end.client import ACCESS, PASSWORD, PREFIX, REFRESH, SetCookie
from tests.faults.wire import Lost, NotSent, Reply, ask


@dataclass(frozen=True)
class Timing:
    """Seconds. `budget` bounds a request and its answer together, below grace and delivery."""

    access: float = 2.0
    grace: float = 3.0
    delivery: float = 4.0

    @property
    def budget(self) -> float:
        return min(self.grace, self.delivery) - 0.5


@dataclass
class Account:
    """What happened to one browser, for the final reckoning."""

    operations: int = 0
    answered: int = 0
    turned_away: int = 0
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)


class Browser:
    def __init__(self, user: str, ports: list[int], timing: Timing, chance: random.Random) -> None:
        self.user = user
        self.jar: dict[str, tuple[str, float]] = {}
        self.tokens: list[str] = []  # every refresh token it was ever given, oldest first
        self.account = Account()
        self.signed_in = False
        self._ports = ports
        self._timing = timing
        self._chance = chance

    @property
    def refresh_token(self) -> str:
        return self.jar[REFRESH][0]

    @property
    def spent(self) -> list[str]:
        """Return the tokens that were replaced since."""
        now = generation(self.refresh_token)
        return [token for token in self.tokens if generation(token) < now]

    def cookies(self) -> str:
        now = asyncio.get_running_loop().time()
        return "; ".join(
            f"{name}={value}" for name, (value, until) in self.jar.items() if until > now
        )

    async def sign_in(self) -> None:
        """Sign in, however often it takes; whoever is signed in stays so."""
        if self.signed_in:
            return
        body = json.dumps({"username": self.user, "password": PASSWORD}).encode()
        self.jar.clear()
        self.tokens.clear()
        while not self.signed_in:
            reply = await self.send("POST", f"{PREFIX}/login", body)
            self.signed_in = reply is not None and reply.status == 200
            if not self.signed_in:
                await asyncio.sleep(0.2)

    async def browse(self, until: float) -> None:
        """Be one tab: request after request, until that moment or until signed out by mistake."""
        loop = asyncio.get_running_loop()
        while loop.time() < until and not self.account.wrong:
            await asyncio.sleep(self._chance.uniform(0.1, 0.7))
            await self.step(rough=True)

    async def step(self, *, rough: bool) -> bool:
        """Make one request; return whether it was answered as this user."""
        account = self.account
        account.operations += 1
        if rough and self._chance.random() < 0.1:
            reply = await self.send("POST", f"{PREFIX}/refresh-token", rough=True)
        else:
            reply = await self.send("GET", "/page", rough=rough)
        if reply is None:
            account.unanswered += 1
            return False
        if reply.status == 200:
            if reply.body.startswith(b"user:") and reply.body != f"user:{self.user}".encode():
                account.wrong.append(f"answered as {reply.body!r}")
            account.answered += 1
            return True
        if reply.status in (401, 303):
            account.wrong.append(f"signed out: {reply.status} {reply.body[:300]!r}")
        elif reply.status in (502, 503, 504):
            account.turned_away += 1
        else:
            account.wrong.append(f"unexpected: {reply.status} {reply.body[:300]!r}")
        return False

    async def send(
        self, method: str, path: str, body: bytes = b"", *, rough: bool = False
    ) -> Reply | None:
        """Send one request with the jar of now, and keep the cookies of its answer."""
        try:
            async with asyncio.timeout(self._timing.budget):
                return await self._send(method, path, body, rough=rough)
        except (TimeoutError, Lost):
            return None

    async def _send(self, method: str, path: str, body: bytes, *, rough: bool) -> Reply:
        chance = self._chance
        cookie = self.cookies()
        hang_up = chance.uniform(0, 0.1) if rough and chance.random() < 0.06 else None
        if rough and chance.random() < 0.3:
            await asyncio.sleep(chance.uniform(0, 0.4))
        reply = await self._balanced(method, path, cookie, body, hang_up)
        if rough and chance.random() < 0.06:
            raise Lost  # on the last stretch
        if rough and chance.random() < 0.2:
            await asyncio.sleep(chance.uniform(0, 1.0))
        self._keep(reply)
        return reply

    async def _balanced(
        self, method: str, path: str, cookie: str, body: bytes, hang_up: float | None
    ) -> Reply:
        for port in self._chance.sample(self._ports, len(self._ports)):
            try:
                return await ask(port, method, path, cookie, body, hang_up=hang_up)
            except NotSent:
                continue
        raise Lost

    def _keep(self, reply: Reply) -> None:
        now = asyncio.get_running_loop().time()
        for line in reply.set_cookies:
            cookie = SetCookie.parse(line)
            if cookie.name not in (ACCESS, REFRESH):
                continue
            if cookie.clears:
                self.jar.pop(cookie.name, None)
                if self.signed_in:
                    self.account.wrong.append(f"{cookie.name} was cleared by a {reply.status}")
                continue
            self.jar[cookie.name] = (cookie.value, now + float(cookie.attributes["max-age"]))
            if cookie.name == REFRESH and cookie.value not in self.tokens:
                self.tokens.append(cookie.value)


def generation(token: str) -> int:
    return int(token.split(".")[3])
