"""Work that is done once for everybody who asks for it at the same time.

It goes on when those who asked give up: a client that hangs up between the store's write and the
answer must not leave the write half done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks

_Result = TypeVar("_Result")


class Flights:
    """Work under way, by key: the whole question, never a part of it (CVE-2026-71326)."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def join(self, key: Hashable, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Return what *work* returns, or what the same work already under way will."""
        task = self._under_way.get(key)
        if task is None:
            task = self._tasks.spawn("session work", _settled(work))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        result = await asyncio.shield(task)
        if isinstance(result, _Unavailable):
            raise StoreUnavailable(result.why)
        return result  # type: ignore[no-any-return]  # one key is only ever asked one question

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way.values())


class _Unavailable:
    """A failure as a value: it belongs to those who asked, not to the loop's last resort."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


async def _settled(work: Callable[[], Awaitable[_Result]]) -> _Result | _Unavailable:
    try:
        return await work()
    except StoreUnavailable as error:
        return _Unavailable(str(error))
