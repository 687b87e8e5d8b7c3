"""How often someone may fail to sign in: the attempts are counted, never the successes.

Nobody can lock another person out from afar: the tight limit holds per account *and* network, and
the wide limit of an account does not touch networks from which it has been signed in to before.
Memory is bounded whatever is tried (SECURITY O12, R5). Of processes that share the port each has
its own counters, and counts what the others tell it.
"""

import asyncio
import ipaddress
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from math import ceil
from typing import Final

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from gateway.portal.elsewhere import Elsewhere, Nowhere, Told

_KNOWN_NETWORKS: Final = 10_000
_PURGED_AT_ONCE: Final = 16
# A process that dies tells nobody that what it had under way is over.
LOOK_AGAIN_SECONDS: Final = 5.0

# A digest of the account, and the network.
_Pair = tuple[str, str]


class TooManyFailures(Exception):
    """Come back in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Limits:
    """Failures allowed per window, and attempts to register, in the notation of `limits`."""

    account_and_network: str = "10 per 15 minutes"
    network: str = "100 per 15 minutes"
    account: str = "300 per hour"
    registrations: str = "300 per hour"


class BoundedCounters(Storage):
    """A storage for `limits` that reads an injected clock and forgets the oldest when full.

    Who wants to push a counter out must fail 100 000 times within its window; hashing passwords
    takes far longer than that.
    """

    STORAGE_SCHEME = None

    def __init__(self, now: Callable[[], float], capacity: int = 100_000) -> None:
        super().__init__()
        self._now = now
        self._capacity = capacity
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def __len__(self) -> int:
        return len(self._counters)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        count, until = self._counters.get(key, (0, 0.0))
        now = self._now()
        if until <= now:
            self._counters.pop(key, None)
            count, until = 0, now + expiry
        self._counters[key] = (count + amount, until)
        self._purge(now)
        while len(self._counters) > self._capacity:
            self._counters.popitem(last=False)
        return count + amount

    def _purge(self, now: float) -> None:
        """Forget the oldest that count no more; a few at a time, yet more than come."""
        for key, (_, until) in list(islice(self._counters.items(), _PURGED_AT_ONCE)):
            if until > now:
                return
            del self._counters[key]

    async def get(self, key: str) -> int:
        count, until = self._counters.get(key, (0, 0.0))
        return count if until > self._now() else 0

    async def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, self._now()))[1]

    async def check(self) -> bool:
        return True

    async def reset(self) -> int | None:
        count = len(self._counters)
        self._counters.clear()
        return count

    async def clear(self, key: str) -> None:
        self._counters.pop(key, None)


class Throttle:
    """Lets attempts through until too many have failed."""

    def __init__(
        self,
        storage: Storage,
        now: Callable[[], float],
        limits: Limits | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        limits = limits or Limits()
        self._limiter = FixedWindowRateLimiter(storage)
        self._now = now
        self._elsewhere = Nowhere() if elsewhere is None else elsewhere
        self._pair = parse(limits.account_and_network)
        self._network = parse(limits.network)
        self._account = parse(limits.account)
        self._registrations = parse(limits.registrations)
        self._gates: dict[_Pair, _Gate] = {}
        self._known: OrderedDict[_Pair, None] = OrderedDict()

    @asynccontextmanager
    async def attempt(self, account: str, address: str) -> AsyncIterator[None]:
        """Guard one attempt to sign in. Raises TooManyFailures.

        Attempts of one account and network beyond the limit wait for those before them, so that a
        burst of guesses gets no further than the same guesses one by one.
        """
        pair = _pair_of(account, address)
        name = "\n".join(pair)
        under_way = self._elsewhere.under_way
        with self._gate(pair) as gate:
            # Asked in this order: one that fails meanwhile counts twice rather than not at all.
            while under_way.of(name) >= await self._remaining(pair):
                await gate.wait()
            under_way.add(name)
            try:
                yield
            finally:
                under_way.remove(name)
                self._elsewhere.tell(Told.OVER, *pair)

    async def failed(self, account: str, address: str) -> None:
        """Count a failed attempt."""
        pair = _pair_of(account, address)
        await self._count_failure(pair)
        self._elsewhere.tell(Told.FAILED, *pair)

    async def succeeded(self, account: str, address: str) -> None:
        """Remember the network as one that the account's owner uses; its failures are forgiven."""
        pair = _pair_of(account, address)
        await self._forgive(pair)
        self._elsewhere.tell(Told.SUCCEEDED, *pair)

    async def registering(self, address: str) -> None:
        """Count an attempt to register. Raises TooManyFailures."""
        await self.hear()
        network = network_of(address)
        await self._refuse_when_spent([(self._registrations, ("registrations", network))])
        await self._count_registration(network)
        self._elsewhere.tell(Told.REGISTERING, network)

    async def hear(self) -> None:
        """Count what was told elsewhere since."""
        for said in self._elsewhere.heard():
            match said:
                case [Told.FAILED, account, network]:
                    await self._count_failure((account, network))
                case [Told.SUCCEEDED, account, network]:
                    await self._forgive((account, network))
                case [Told.REGISTERING, network]:
                    await self._count_registration(network)
                case [Told.OVER, account, network]:
                    self._wake((account, network))
                case _:
                    pass

    async def _count_failure(self, pair: _Pair) -> None:
        for item, key in self._counted(pair):
            await self._limiter.hit(item, *key)

    async def _forgive(self, pair: _Pair) -> None:
        await self._limiter.clear(self._pair, "pair", *pair)
        self._known[pair] = None
        self._known.move_to_end(pair)
        while len(self._known) > _KNOWN_NETWORKS:
            self._known.popitem(last=False)

    async def _count_registration(self, network: str) -> None:
        await self._limiter.hit(self._registrations, "registrations", network)

    def _counted(self, pair: _Pair) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        account, network = pair
        return [
            (self._pair, ("pair", account, network)),
            (self._network, ("network", network)),
            (self._account, ("account", account)),
        ]

    async def _refuse_when_spent(
        self, counted: list[tuple[RateLimitItem, tuple[str, ...]]]
    ) -> None:
        spent = [
            (await self._limiter.get_window_stats(item, *key)).reset_time
            for item, key in counted
            if not await self._limiter.test(item, *key)
        ]
        if spent:
            raise TooManyFailures(max(1, ceil(max(spent) - self._now())))

    async def _remaining(self, pair: _Pair) -> int:
        """Return how many more may fail. Raises TooManyFailures where none may."""
        await self.hear()
        counted = self._counted(pair)
        if pair in self._known:
            counted.pop()  # the account-wide one: others' guesses do not lock the owner out
        await self._refuse_when_spent(counted)
        return (await self._limiter.get_window_stats(self._pair, "pair", *pair)).remaining

    @contextmanager
    def _gate(self, pair: _Pair) -> Iterator["_Gate"]:
        """Stand at the gate of *pair*; whoever leaves it lets the next one look."""
        gate = self._gates.setdefault(pair, _Gate())
        gate.users += 1
        try:
            yield gate
        finally:
            gate.wake_one()
            gate.users -= 1
            if not gate.users:
                del self._gates[pair]

    def _wake(self, pair: _Pair) -> None:
        gate = self._gates.get(pair)
        if gate is not None:
            gate.wake_one()


class _Gate:
    """Where attempts of one account and network wait for those before them."""

    def __init__(self) -> None:
        self.users = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait until it may be worth another look."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                await turn

    def wake_one(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # done: its client has hung up
                turn.set_result(None)
                return


def _pair_of(account: str, address: str) -> _Pair:
    """Name the pair by a digest of the account: of bounded length, and people mistype passwords."""
    return blake2b(account.encode(errors="replace"), digest_size=16).hexdigest(), network_of(
        address
    )


def network_of(address: str) -> str:
    """Return what one customer of a provider holds: an IPv4 address, or an IPv6 /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))
