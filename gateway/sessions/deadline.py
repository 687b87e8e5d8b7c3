"""Every call of a store ends in time: with its answer, or as StoreUnavailable.

The call runs in a task of its own and is left behind when it is too slow, so that not even a
connection that takes its time to close holds up a request, and a client that hangs up never cuts a
call in half (redis-py CVE-2023-28858: the next caller got the cancelled one's answer). After some
failures in a row the store is given a rest in which calls fail at once.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.sessions.store import StoreUnavailable
from gateway.tasks import Tasks

_Result = TypeVar("_Result")


class Deadline:
    """`failures` are the exceptions of the library below that mean: nobody answered."""

    def __init__(
        self,
        tasks: Tasks,
        seconds: float,
        failures: tuple[type[Exception], ...],
        *,
        patience: int = 5,
        rest: float = 1.0,
    ) -> None:
        self.seconds = seconds
        self._tasks = tasks
        self._failures: tuple[type[Exception], ...] = (*failures, OSError, EOFError)
        self._patience = patience
        self._rest = rest
        self._failed = 0
        self._resting_until = 0.0
        self._calls: set[asyncio.Task[Any]] = set()
        self._waits: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run(self, work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """Return what *work* returns within the deadline."""
        loop = asyncio.get_running_loop()
        if self._failed >= self._patience:
            if loop.time() < self._resting_until:
                raise StoreUnavailable("the store has failed repeatedly; trying again soon")
            # This call is the trial; the others keep failing fast until it has told.
            self._resting_until = loop.time() + self._rest
        try:
            result = await self.once(work)
        except StoreUnavailable:
            self._failed += 1
            if self._failed >= self._patience:
                self._resting_until = loop.time() + self._rest
            raise
        self._failed = 0
        return result

    async def once(
        self, work: Callable[[], Coroutine[Any, Any, _Result]], extra: float = 0.0
    ) -> _Result:
        """Do the same without the memory of failures, for a call that may take *extra* seconds."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        task = self._tasks.spawn("store call", self._settled(work))
        group = self._waits if extra else self._calls
        group.add(task)
        task.add_done_callback(group.discard)
        done, _ = await asyncio.wait({task}, timeout=self.seconds + extra)
        if not done:
            task.cancel()
            raise StoreUnavailable(f"no answer within {self.seconds + extra:g} s")
        result: _Result | _Failure = task.result()
        if isinstance(result, _Failure):
            raise StoreUnavailable(str(result.why)) from result.why
        return result

    async def close(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let calls under way end, take no more, then do *work*; all of it in bounded time."""
        self._closed = True
        for task in self._waits:
            task.cancel()
        if under_way := self._calls | self._waits:
            await asyncio.wait(under_way, timeout=self.seconds)
        for task in self._calls:
            task.cancel()
        task = self._tasks.spawn("close the store", self._settled(work))
        await asyncio.wait({task}, timeout=self.seconds)
        task.cancel()

    async def _settled(
        self, work: Callable[[], Coroutine[Any, Any, _Result]]
    ) -> "_Result | _Failure":
        """Turn a failure into a value: it belongs to the caller, if there still is one."""
        try:
            return await work()
        except StoreUnavailable as error:
            return _Failure(error)
        except self._failures as error:
            return _Failure(error)


class _Failure:
    __slots__ = ("why",)

    def __init__(self, why: Exception) -> None:
        self.why = why
