"""A whole house around the portal: real sessions, tokens and users, on a clock that is ours."""

from dataclasses import dataclass, field, replace

from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.credentials import Credentials
from gateway.headers.cookies import our_cookies
from gateway.identity.directory import Directory
from gateway.identity.password_hashes import Cost, make
from gateway.identity.passwords import Busy, Passwords
from gateway.identity.principal import Principal
from gateway.identity.users import User
from gateway.portal.app import Portal, build
from gateway.portal.throttle import BoundedCounters, Throttle
from gateway.sessions.lifecycle import Lifecycle, Settings
from gateway.sessions.memory import MemoryStore
from gateway.sessions.revocation import DenySet
from gateway.tasks import Tasks
from gateway.tokens.access import Signer, Verifier
from gateway.tokens.keys import KeySet
from tests.fakes import FakeClock, FlakyStore, MemoryUsers, signing_key

AT = "/api/v1/auth"
CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
PASSWORD = "correct horse battery"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NAVIGATION = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class CrowdedPasswords(Passwords):
    """Real hashing, which can be told that its queue is full."""

    full = False

    async def verify(self, password_hash, password):
        if self.full:
            raise Busy("too many passwords are being checked")
        return await super().verify(password_hash, password)


class House:
    """Everything that a portal needs, in one process."""

    def __init__(
        self,
        *,
        registration=False,
        public_url="http://localhost:8080",
        renews=True,
        redirects=False,
        lifetime=900,
        prefix=AT,
    ):
        self.clock = FakeClock()
        self.store = FlakyStore(MemoryStore(self.clock))
        self.deny = DenySet()
        self.tasks = Tasks()
        self.events = []
        self.sleeps = []
        self.outage_ends_after = 1
        key = signing_key()
        self.keys = KeySet((key,))
        self.passwords = CrowdedPasswords(threads=1, cost=CHEAP)
        self.users = MemoryUsers()
        self.add_user("alice", email="alice@example.com", name="Alice", groups=("admins",))
        self.directory = Directory(
            self.passwords,
            {"users": self.users},
            registrar=("users", self.users) if registration else None,
        )
        self.lifecycle = Lifecycle(
            self.store,
            self.secrets,
            Settings(),
            deny=self.deny,
            tasks=self.tasks,
            now=self.clock,
        )
        cookies = our_cookies(
            secure=public_url.startswith("https"),
            refresh_path=prefix if redirects else "/",
            says_session=redirects,
        )
        signer = Signer(lambda: self.keys, "https://issuer.test", "gateway", lifetime)
        self.verifier = Verifier(lambda: self.keys, "https://issuer.test", "gateway")
        self.credentials = Credentials(
            self.lifecycle,
            signer,
            self.directory,
            cookies,
            secrets=self.secrets,
            deny=self.deny,
            tasks=self.tasks,
            now=self.clock,
            sleep=self.sleep,
        )
        self.portal = Portal(
            credentials=self.credentials,
            lifecycle=self.lifecycle,
            verifier=self.verifier,
            deny=self.deny,
            provider=self.directory,
            cookies=cookies,
            throttle=Throttle(BoundedCounters(self.clock), self.clock),
            jwks=lambda: self.keys.jwks(),  # noqa: PLW0108 - keys change
            observe=self.events.append,
            now=self.clock,
            public_url=public_url,
            registrar=self.directory if registration else None,
            renews=renews,
            prefix=prefix,
        )
        self.app = build(self.portal)

    def rotate(self, kid):
        self.keys = KeySet((*self.keys.keys, signing_key(created=self.clock(), kid=kid)))

    def secrets(self):
        return self.keys.refresh_secrets(self.clock())

    async def sleep(self, seconds):
        """Time passes at once, and outages end after some waits."""
        self.sleeps.append(seconds)
        if len(self.sleeps) >= self.outage_ends_after:
            self.store.down = False

    def add_user(self, username, password=PASSWORD, *, disabled=False, **known):
        principal = Principal(subject=username, **known)
        self.users.known[username] = User(principal, make(password.encode(), CHEAP), disabled)

    def disable(self, username):
        self.users.known[username] = replace(self.users.known[username], disabled=True)

    def principal(self, username):
        return replace(self.users.known[username].principal, provider="users")

    def change(self, username, **known):
        user = self.users.known[username]
        self.users.known[username] = replace(user, principal=replace(user.principal, **known))

    async def close(self):
        await self.tasks.close()
        self.passwords.close()

    def kinds(self):
        return [event.kind.value for event in self.events]


class Browser:
    """An aiohttp client that speaks like a browser, or like a program, to one portal."""

    def __init__(self, client):
        self.client = client

    @property
    def cookies(self):
        return {
            morsel.key: morsel.value
            for morsel in self.client.session.cookie_jar
            if morsel.key in ("accessToken", "refreshToken")
        }

    def forget(self, *names):
        self.client.session.cookie_jar.clear(lambda morsel: morsel.key in names)

    def plant(self, name, value):
        self.client.session.cookie_jar.update_cookies({name: value}, self.client.make_url("/"))

    async def login(self, username="alice", password=PASSWORD, **headers):
        return await self.post("/login", {"username": username, "password": password}, **headers)

    async def get(self, path, **headers):
        return await self.client.get(AT + path, headers=headers, allow_redirects=False)

    async def post(self, path, body=None, **headers):
        return await self.client.post(AT + path, json=body, headers=headers, allow_redirects=False)

    async def delete(self, path, **headers):
        return await self.client.delete(AT + path, headers=headers)

    async def open(self, path, **headers):
        """Navigate, as by a link."""
        return await self.get(path, **{**NAVIGATION, **headers})

    async def submit(self, path, fields=None, **headers):
        """Send a form of ours."""
        return await self.client.post(
            AT + path,
            data=fields or {},
            headers={**NAVIGATION, **FORM, **headers},
            allow_redirects=False,
        )


@dataclass
class Neighbourhood:
    """Starts houses and browsers, and takes them down."""

    houses: list[House] = field(default_factory=list)
    clients: list[TestClient] = field(default_factory=list)
    servers: dict[int, TestServer] = field(default_factory=dict)

    def house(self, **settings):
        self.houses.append(House(**settings))
        return self.houses[-1]

    async def browser(self, house):
        server = self.servers.get(id(house))
        if server is None:
            runner_app: web.Application = house.app
            server = self.servers[id(house)] = TestServer(runner_app)
        client = TestClient(server, cookie_jar=CookieJar(unsafe=True))
        client.session.headers["User-Agent"] = FIREFOX
        await client.start_server()
        self.clients.append(client)
        return Browser(client)

    async def close(self):
        for client in self.clients:
            await client.session.close()
        for server in self.servers.values():
            await server.close()
        for house in self.houses:
            await house.close()
