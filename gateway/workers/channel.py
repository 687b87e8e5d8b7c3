"""How the worker with the operations port asks the others: a question, and a socket to answer on.

A question is one datagram that carries the answering end of a fresh socket pair. Whatever dies in
between, no half answer can be taken for the beginning of the next.
"""

import array
import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from gateway.tasks import Tasks
from gateway.workers.ends import Ends

METRICS = b"metrics"
READY = b"ready"

# Less than the readiness check as a whole may take.
ANSWER_WITHIN_SECONDS = 1.5
_LONGEST_QUESTION = 64

Answering = Callable[[bytes], Awaitable[str]]


def open_channel() -> Ends:
    """Open a line for questions to one worker."""
    return Ends.open(socket.SOCK_DGRAM)


async def ask(channel: socket.socket, question: bytes) -> str | None:
    """Return the answer, None when none came in time."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
    try:
        with theirs:
            # A worker that hangs reads nothing: then there is no room, or no answer.
            ends = array.array("i", [theirs.fileno()])
            channel.sendmsg([question], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, ends)])
        reader, writer = await asyncio.open_unix_connection(sock=ours)
    except OSError:
        ours.close()
        return None
    try:
        async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
            return (await reader.read()).decode()
    except (OSError, TimeoutError):
        return None
    finally:
        writer.close()


def answer_on(channel: socket.socket, answering: Answering, tasks: Tasks) -> None:
    """Answer every question that comes on *channel* with what *answering* says to it."""

    def asked() -> None:
        with suppress(OSError):
            question, ends, _, _ = socket.recv_fds(channel, _LONGEST_QUESTION, 1)
            for end in ends:
                tasks.spawn("answer a neighbour", _answer(question, end, answering))

    asyncio.get_running_loop().add_reader(channel.fileno(), asked)


async def _answer(question: bytes, end: int, answering: Answering) -> None:
    reply = socket.socket(fileno=end)
    reply.setblocking(False)  # noqa: FBT003 - the standard library's signature
    _, writer = await asyncio.open_unix_connection(sock=reply)
    try:
        text = await answering(question)
        with suppress(OSError):
            writer.write(text.encode())
            await writer.drain()
    finally:
        writer.close()


class Others:
    """The neighbours of the worker that has the operations port."""

    def __init__(
        self, channels: Mapping[int, socket.socket], reload_them: Callable[[], None]
    ) -> None:
        self._channels = channels
        self._reload_them = reload_them

    async def metrics(self) -> Mapping[int, str]:
        answers = await self._ask(METRICS)
        return {number: text for number, text in answers.items() if text is not None}

    async def unready(self) -> str | None:
        answers = await self._ask(READY)
        wrong = [
            f"worker {number}: {'no answer' if text is None else text}"
            for number, text in answers.items()
            if text != ""
        ]
        return "; ".join(wrong) or None

    def reload(self) -> None:
        self._reload_them()

    async def _ask(self, question: bytes) -> dict[int, str | None]:
        answers = await asyncio.gather(
            *(ask(channel, question) for channel in self._channels.values())
        )
        return dict(zip(self._channels, answers, strict=True))
