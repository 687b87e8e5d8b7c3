"""One worker process: a gateway with a seat, told by its parent what to do.

SIGTERM drains, SIGQUIT ends at once, SIGHUP reloads. SIGINT is ignored: the terminal sends it to
everybody, and the parent decides. When the parent is gone, the worker drains too.
"""

import asyncio
import signal
import socket
from dataclasses import dataclass

from gateway.app.gateway import Gateway, running
from gateway.app.seat import Seat
from gateway.app.serving import Stopping
from gateway.app.source import Source
from gateway.config.values import Config
from gateway.workers.channel import METRICS, answer_on

# What a worker says to its parent, one byte each.
IS_READY = b"r"
HAS_RELOADED = b"l"
RELOAD_OTHERS = b"o"


@dataclass(frozen=True, slots=True)
class Lifeline:
    """The worker's end of what ties it to its parent: it reads nothing but the parent's end."""

    end: socket.socket

    def say(self, word: bytes) -> None:
        self.end.send(word)


async def work(
    config: Config,
    source: Source,
    seat: Seat,
    lifeline: Lifeline,
    answering: socket.socket | None,
) -> None:
    """Serve in *seat* until told to stop; *answering* is where neighbours ask."""
    stopping, loop = Stopping(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.drain)
    loop.add_signal_handler(signal.SIGQUIT, stopping.at_once)
    loop.add_reader(lifeline.end.fileno(), _parent_is_gone, lifeline, stopping)
    async with running(config, source=source, seat=seat) as gateway:
        tasks = gateway.foundation.tasks
        loop.add_signal_handler(
            signal.SIGHUP, lambda: tasks.spawn("reload", _reload(gateway, lifeline))
        )
        if answering is not None:
            answer_on(answering, lambda question: _answer(gateway, question), tasks)
        lifeline.say(IS_READY)
        await stopping.wait(gateway)


def _parent_is_gone(lifeline: Lifeline, stopping: Stopping) -> None:
    asyncio.get_running_loop().remove_reader(lifeline.end.fileno())
    stopping.drain()


async def _reload(gateway: Gateway, lifeline: Lifeline) -> None:
    if gateway.reloading is not None and not await gateway.reloading.reload():
        lifeline.say(HAS_RELOADED)


async def _answer(gateway: Gateway, question: bytes) -> str:
    if question == METRICS:
        return gateway.operating.own_metrics()
    return await gateway.operating.unready() or ""
