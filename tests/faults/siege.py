"""Three gateways under load while everything around them fails; then the reckoning.

Nobody honest may have been signed out, no spent token may ever be honoured, and who was signed out
or robbed stays out, whatever failed in between.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from gateway.sessions.session import session_hash
from tests.end_to_end.client import ACCESS, PREFIX, REFRESH
from tests.end_to_end.conftest import HASH, write_users
from tests.end_to_end.fleet import Fleet
from tests.faults.backends import Backend
from tests.faults.browser import Browser, Timing, generation
from tests.faults.wire import Lost, NotSent, Reply, ask

TABS = 3
GATEWAYS = 3
_DULL = {"level", "logger", "client", "last_client", "same_user_agent", "request_id"}


class SignedOut(Exception):
    """Somebody honest was; there is nothing left to steal."""


@dataclass
class Tally:
    """What the table and the assertions are made of."""

    store: str
    seed: int
    operations: int = 0
    answered: int = 0
    turned_away: int = 0
    unanswered: int = 0
    rotations: int = 0
    sessions: int = 0
    lost: list[str] = field(default_factory=list)
    replayed: int = 0
    honoured: list[str] = field(default_factory=list)
    thefts: int = 0
    unnoticed: list[str] = field(default_factory=list)
    ended: int = 0
    resurrected: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)


class Siege:
    """One run: *backend* fails as *seed* has it. Every user has two browsers, a pair."""

    def __init__(
        self,
        backend: Backend,
        folder: Path,
        seed: int,
        *,
        pairs: int = 8,
        timing: Timing | None = None,
    ) -> None:
        self.tally = Tally(backend.name, seed)
        self._backend = backend
        self._timing = timing or Timing()
        self._folder = folder
        self._pairs = pairs
        self._chance = random.Random(seed)
        self._over: list[str] = []  # refresh tokens of sessions that have ended

    async def run(self, seconds: float) -> Tally:
        async with _app() as port:
            self._fleet = Fleet(self._folder, self._config(port), GATEWAYS)
            running = self._fleet.running()
            await asyncio.to_thread(running.__enter__)
            try:
                await self._besiege(seconds)
            finally:
                self._backend.heal()
                await asyncio.to_thread(running.__exit__, None, None, None)
        return self.tally

    async def _besiege(self, seconds: float) -> None:
        browsers = [self._browser(f"user{n}") for n in range(self._pairs) for _ in range(2)]
        robbed, leaving = self._browser("robbed"), self._browser("leaving")
        async with asyncio.TaskGroup() as arriving:
            for browser in (*browsers, robbed, leaving):
                arriving.create_task(browser.sign_in())
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fail(until))
            tasks.create_task(self._rob(robbed, until))
            tasks.create_task(self._come_and_go(leaving, until))
            for browser in browsers:
                for _ in range(TABS):
                    tasks.create_task(browser.browse(until))
        await self._calm()
        await self._settle([each for each in browsers if not each.account.wrong])
        await self._reckon(browsers, (robbed, leaving))

    # While it lasts.

    async def _fail(self, until: float) -> None:
        """One fault after the other, each kind before any comes again, with a breath between."""
        loop = asyncio.get_running_loop()
        acts = {**self._backend.acts, "gateway killed": self._kill}
        queue: list[str] = []
        while loop.time() < until:
            await asyncio.sleep(self._chance.uniform(0.3, 0.9))
            queue = queue or self._chance.sample(sorted(acts), len(acts))
            name = queue.pop()
            self.tally.faults[name] += 1
            await acts[name](self._chance)

    async def _kill(self, chance: random.Random) -> None:
        index = chance.randrange(GATEWAYS)
        await asyncio.to_thread(self._fleet.kill, index)
        await asyncio.sleep(chance.uniform(0, 0.5))
        await asyncio.to_thread(self._fleet.restart, index)

    async def _rob(self, victim: Browser, until: float) -> None:
        """Replay a spent token of somebody's after grace, again and again with new sessions."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            async with self._backend.gate:
                await victim.sign_in()
            try:
                await self._wait_for_a_rotation(victim)
            except SignedOut:
                return
            spent = self._chance.choice(victim.spent)
            await asyncio.sleep(self._timing.grace + 0.5)
            async with self._backend.gate:
                await self._replay(victim, spent)

    async def _wait_for_a_rotation(self, victim: Browser) -> None:
        """Use the session until a token was replaced and its successor was seen in use."""
        while not victim.spent:
            await asyncio.sleep(0.3)
            await victim.step(rough=False)
            if victim.account.wrong:
                raise SignedOut(victim.account.wrong[0])
        while not await victim.step(rough=False):
            await asyncio.sleep(0.2)
        while True:
            reply = await victim.send("POST", f"{PREFIX}/refresh-token")
            if reply is not None and reply.status == 200:
                return
            await asyncio.sleep(0.2)

    async def _replay(self, victim: Browser, spent: str) -> None:
        reply = await self._insist(spent)
        self.tally.replayed += 1
        if reply.status == 200:
            self.tally.honoured.append(f"{victim.user}: a spent token was honoured")
        self._over += [victim.refresh_token, spent]
        victim.signed_in = False

    async def _come_and_go(self, browser: Browser, until: float) -> None:
        """Sign in, look around, sign out; what was acknowledged must hold."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            async with self._backend.gate:
                await browser.sign_in()
            for _ in range(4):
                await asyncio.sleep(0.3)
                await browser.step(rough=True)
            if browser.account.wrong:
                return
            browser.signed_in = False
            async with self._backend.gate:
                token = browser.refresh_token
                reply = await browser.send("POST", f"{PREFIX}/logout")
            if reply is not None and reply.status == 200:
                self.tally.ended += 1
                self._over.append(token)

    # Afterwards.

    async def _calm(self) -> None:
        """Mend everything, and wait until every gateway says that it is ready."""
        self._backend.heal()
        for link in self._backend.links:
            link.reset()
        for index in range(GATEWAYS):
            async with asyncio.timeout(20):
                while (await asyncio.to_thread(self._fleet.operations, index, "/readyz"))[0] != 200:
                    await asyncio.sleep(0.1)

    async def _settle(self, browsers: list[Browser]) -> None:
        """Let everybody renew and use what they got, so that what is spent is beyond doubt."""
        for browser in browsers:
            for _ in range(50):
                if await browser.step(rough=False) or browser.account.wrong:
                    break
                await asyncio.sleep(0.1)
            await browser.send("POST", f"{PREFIX}/refresh-token")
            await browser.step(rough=False)
        await asyncio.sleep(self._timing.grace + 1.0)

    async def _reckon(self, browsers: list[Browser], others: tuple[Browser, ...]) -> None:
        tally = self.tally
        await self._rob_everybody_once(browsers)
        for token in self._over:
            if (await self._insist(token)).status == 200:
                tally.resurrected.append(token)
        for browser in (*browsers, *others):
            account = browser.account
            tally.operations += account.operations
            tally.answered += account.answered
            tally.turned_away += account.turned_away
            tally.unanswered += account.unanswered
            tally.lost += [f"{browser.user}: {why}" for why in account.wrong]
            if account.wrong and browser.tokens:
                tally.evidence += self._evidence(browser)
        tally.sessions = len(browsers)
        tally.rotations = len(self._fleet.events("refresh.ok", outcome="rotate"))
        for link in self._backend.links:
            tally.hit += link.counted

    async def _rob_everybody_once(self, browsers: list[Browser]) -> None:
        """Replay a spent token of one browser of each pair; the other must not notice."""
        before = len(self._fleet.events("refresh.theft"))
        replayed = 0
        for first, second in zip(browsers[::2], browsers[1::2], strict=True):
            if first.account.wrong or second.account.wrong or not first.spent:
                continue
            holder = f"{ACCESS}={first.jar[ACCESS][0]}" if ACCESS in first.jar else ""
            token = first.refresh_token
            first.signed_in = False
            await self._replay(first, self._chance.choice(first.spent))
            replayed += 1
            await asyncio.sleep(1.0)
            for cookie in (holder, f"{REFRESH}={token}"):
                for port in self._fleet.ports:
                    if cookie and (await _once(port, cookie)).status == 200:
                        self.tally.honoured.append(f"{first.user}: still in a second after theft")
            if not await second.step(rough=False):
                second.account.wrong.append("a theft on another device of the user ended it")
        found = len(self._fleet.events("refresh.theft"))
        self.tally.thefts = found
        if found - before != replayed:
            self.tally.unnoticed.append(f"{replayed} replays, {found - before} thefts in the logs")

    async def _insist(self, token: str) -> Reply:
        """Show a token until there is a verdict."""
        async with asyncio.timeout(60):
            while True:
                port = self._chance.choice(self._fleet.ports)
                try:
                    reply = await _once(port, f"{REFRESH}={token}")
                except (Lost, NotSent, TimeoutError):
                    continue
                if reply.status not in (502, 503, 504):
                    return reply
                await asyncio.sleep(0.1)

    def _evidence(self, browser: Browser) -> list[str]:
        """Return what the gateways logged of a session that was lost, and of refusals."""
        hashed = session_hash(browser.tokens[-1].split(".")[2])
        names = ("refresh.ok", "refresh.theft", "refresh.ahead", "session.ended")
        found = [e for name in names for e in self._fleet.events(name, session=hashed)]
        found = sorted(found, key=lambda each: str(each["time"]))[-12:]
        found += self._fleet.events("refresh.refused")
        told = [{k: v for k, v in e.items() if k not in _DULL} for e in found]
        jar = [f"{generation(token)}" for token in browser.tokens]
        return [f"{browser.user} had {', '.join(jar)}", *map(str, told)]

    def _browser(self, user: str) -> Browser:
        chance = random.Random(self._chance.random())
        return Browser(user, self._fleet.ports, self._timing, chance)

    def _config(self, port: int) -> dict[str, object]:
        names = [*(f"user{n}" for n in range(self._pairs)), "robbed", "leaving"]
        users = write_users(self._folder, {name: {"password": HASH} for name in names})
        timing = self._timing
        return {
            "upstreams": {"app": f"http://127.0.0.1:{port}"},
            "routes": [{"path": "/*", "upstream": "app"}],
            "login": [{"users": str(users)}],
            "tokens": {"access_lifetime": f"{timing.access:g}s"},
            "sessions": {
                "store": self._backend.url,
                "grace": f"{timing.grace:g}s",
                "delivery": f"{timing.delivery:g}s",
            },
            "log": {"access": False},
        }


async def _once(port: int, cookie: str) -> Reply:
    async with asyncio.timeout(5):
        return await ask(port, "GET", "/page", cookie, hang_up=None)


@asynccontextmanager
async def _app() -> AsyncIterator[int]:
    """An app that says whom the gateway let through."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=f"user:{request.headers.get('X-Forwarded-User')}")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
