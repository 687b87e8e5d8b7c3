"""What grows with a million sessions: the time of a renewal, of sweeping, the gateway's memory."""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.crowd import KINDS, Crowd, crowds, session_id
from benchmarks.memory import memory
from benchmarks.table import markdown
from gateway.sessions.lifecycle import Grant, Lifecycle, Settings
from gateway.sessions.refresh_token import mint
from gateway.sessions.revocation import DenySet
from gateway.sessions.rotation import Renewal, Rules
from gateway.sessions.store import Store
from gateway.sessions.sweeping import sweep_forever
from gateway.tasks import Tasks

FEW, MANY = 1_000, 1_000_000
EXPIRED = 100_000
_ROTATIONS_PER_TURN = 50
_SECRETS = [("k1", b"1" * 32)]


def run(kinds: list[str], rounds: int, many: int = MANY) -> tuple[str, dict[str, Any]]:
    """Measure every kind of store; then the gateway's memory."""
    data: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gateway-growth-") as folder:
        for kind in kinds:
            _say(f"sessions in {kind}")
            with crowds(kind, Path(folder), (FEW, many)) as pair:
                data[kind] = asyncio.run(_measure(pair, rounds))
        _say("memory of the gateway")
        data["memory"] = memory(Path(folder))
    return _told(data, kinds, many), data


def _say(what: str) -> None:
    print(f"growth: {what} …", file=sys.stderr, flush=True)


class Renewals:
    """Renews sessions of a crowd, one after the other, each of them a rotation."""

    def __init__(self, crowd: Crowd, tasks: Tasks) -> None:
        self.crowd = crowd
        self.store: Store = crowd.open(tasks)
        # No grace and no delivery: whoever shows the head rotates it.
        settings = Settings(Rules(grace=0, delivery=0))
        self._lifecycle = Lifecycle(
            self.store, lambda: _SECRETS, settings, deny=DenySet(), tasks=tasks, now=time.time
        )
        self._heads: dict[int, int] = {}
        self._dice = random.Random(1)

    async def one(self) -> float:
        """Rotate a session of the crowd, any; return the seconds it took."""
        number = self._dice.randrange(self.crowd.count)
        head = self._heads.get(number, 1)
        token = mint(_SECRETS, session_id(number), head)
        begun = time.perf_counter()
        grant = await self._lifecycle.refresh(token)
        took = time.perf_counter() - begun
        if not isinstance(grant, Grant) or grant.renewal is not Renewal.ROTATE:
            raise SystemExit(f"{self.crowd}: not a rotation: {grant}")
        self._heads[number] = head + 1
        return took


async def _measure(pair: list[Crowd], rounds: int) -> dict[str, Any]:
    tasks = Tasks()
    few, many = (Renewals(crowd, tasks) for crowd in pair)
    for each in (few, many):
        await each.store.now()  # makes the tables
        await each.crowd.load(0, each.crowd.count)
    times: dict[int, list[float]] = {FEW: [], many.crowd.count: []}
    for each in (few, many):
        for _ in range(_ROTATIONS_PER_TURN):
            await each.one()  # opens connections, warms caches
    for _ in range(rounds):
        for each in (few, many):
            times[each.crowd.count] += [await each.one() for _ in range(_ROTATIONS_PER_TURN)]
    medians = [statistics.median(each) for each in times.values()]
    usual, swept = await _while_expiring(many, tasks)
    for each in (few, many):
        await each.store.close()
    await tasks.close()
    return {
        "few_ms": medians[0] * 1000,
        "many_ms": medians[1] * 1000,
        "ratio": medians[1] / medians[0],
        "longest_usual_ms": max(usual) * 1000,
        "longest_while_sweeping_ms": max(swept) * 1000,
        "median_while_sweeping_ms": statistics.median(swept) * 1000,
    }


async def _while_expiring(renewals: Renewals, tasks: Tasks) -> tuple[list[float], list[float]]:
    """Time renewals without, and then while, a hundred thousand sessions are forgotten."""
    crowd = renewals.crowd
    usual = [await renewals.one() for _ in range(500)]
    soon = 4_000 if crowd.kind == "redis" else -1
    await crowd.load(crowd.count, EXPIRED, forget_in=soon)
    sweeping = tasks.spawn("sweep", sweep_forever(renewals.store))
    swept: list[float] = []
    until = time.monotonic() + 60
    while time.monotonic() < until:
        swept += [await renewals.one() for _ in range(50)]
        await asyncio.sleep(0.01)
        if await renewals.store.get(session_id(crowd.count + EXPIRED - 1)) is None and (
            await renewals.store.get(session_id(crowd.count)) is None
        ):
            break
    else:
        raise SystemExit(f"{crowd.kind}: expired sessions were still there after a minute")
    sweeping.cancel()
    return usual, swept


def _told(data: dict[str, Any], kinds: list[str], many: int) -> str:
    head = [
        "rotation",
        f"median, {FEW:,} sessions",
        f"median, {many:,}",
        "ratio",
        "longest of 500",
        f"longest while {EXPIRED:,} leave",
    ]
    rows = [
        [
            kind,
            f"{data[kind]['few_ms']:.2f} ms",
            f"{data[kind]['many_ms']:.2f} ms",
            f"{data[kind]['ratio']:.2f}",
            f"{data[kind]['longest_usual_ms']:.0f} ms",
            f"{data[kind]['longest_while_sweeping_ms']:.0f} ms",
        ]
        for kind in kinds
    ]
    steps = [[name, f"{mib:.1f} MiB"] for name, mib in data["memory"].items()]
    return f"{markdown(head, rows)}\n\n{markdown(['gateway process', 'resident'], steps)}"


ALL = list(KINDS)
