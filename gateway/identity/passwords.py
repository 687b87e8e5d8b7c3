"""Hashes passwords in threads of its own: the event loop never waits, and the work has a bound.

Argon2 and bcrypt release the interpreter lock. Whatever does not fit into the queue is turned away
at once (`Busy`), so that a flood of sign-ins costs bounded memory and delays nobody for long.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from gateway.identity import password_hashes
from gateway.identity.password_hashes import Cost, HashingFailed, secret
from gateway.identity.provider import ProviderUnavailable

Result = TypeVar("Result")


class Busy(ProviderUnavailable):
    """More passwords wait to be checked than is sensible; try again after `retry_after` seconds."""

    retry_after = 1


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, *, threads: int = 1, queue: int = 64, cost: Cost | None = None) -> None:
        self.cost = cost or Cost()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._room = BoundedSemaphore(threads + queue)

    async def hash(self, password: str) -> str:
        """Hash a new password, which the caller has found fit. Raises ProviderUnavailable."""
        encoded = secret(password)
        if encoded is None:
            raise ValueError("not a password")
        return await self._run(lambda: password_hashes.make(encoded, self.cost))

    async def verify(self, password_hash: str, password: str) -> bool:
        """Check a password, one hash's worth of work. Raises ProviderUnavailable."""
        encoded = secret(password)
        if encoded is None:
            return False
        return await self._run(lambda: password_hashes.matches(password_hash, encoded))

    def outdated(self, password_hash: str) -> bool:
        """Tell whether a hash made now would be stronger."""
        return password_hashes.outdated(password_hash, self.cost)

    def decoy(self) -> str:
        """Return a hash that matches nothing and costs what new ones cost."""
        return password_hashes.decoy(self.cost)

    def close(self) -> None:
        """Drop what waits; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if not self._room.acquire(blocking=False):
            raise Busy("too many passwords are being checked")
        try:
            job = self._threads.submit(work)
        except RuntimeError as closed:
            self._room.release()
            raise ProviderUnavailable("passwords are no longer checked") from closed
        # Released when the thread is through (or the job was dropped), not when the caller stops
        # waiting: a client that hangs up does not take its work off the CPU.
        job.add_done_callback(lambda _: self._room.release())
        try:
            return await asyncio.wrap_future(job)
        except HashingFailed as failure:
            raise ProviderUnavailable("a password hash could not be computed") from failure


def threads_for(cores: int, workers: int) -> int:
    """Return how many each worker has: a core is left to every event loop, so that people who sign
    in hold up nobody's requests; more than four cost memory and gain little.
    """
    return max(1, min(4, cores // workers - 1))
