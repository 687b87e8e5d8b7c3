"""One worker process: a gateway with a seat, told by its parent what to do.

SIGTERM drains, SIGQUIT ends at once, reloads come on the lifeline. SIGINT is ignored: the terminal
sends it to everybody, and the parent decides. When the parent is gone, the worker drains too.
"""

import asyncio
import signal
import socket

from gateway.app.gateway import Gateway, running
from gateway.app.seat import Seat
from gateway.app.serving import Stopping
from gateway.app.source import Source
from gateway.config.values import Config
from gateway.workers.channel import METRICS, answer_on
from gateway.workers.lifeline import IS_READY, IS_REFUSED, Lifeline
from gateway.workers.post import Post


async def work(
    config: Config,
    source: Source,
    seat: Seat,
    lifeline: Lifeline,
    post: Post,
    answering: socket.socket | None,
) -> None:
    """Serve in *seat* until told to stop; *answering* is where neighbours ask."""
    stopping, loop = Stopping(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.drain)
    loop.add_signal_handler(signal.SIGQUIT, stopping.at_once)
    lifeline.hold(stopping.drain)
    async with running(config, source=source, seat=seat) as gateway:
        tasks = gateway.foundation.tasks
        if gateway.reloading is not None:
            gateway.reloading.tell_refusals(lambda: lifeline.say(IS_REFUSED))
        lifeline.on_reload(lambda number: tasks.spawn("reload", _reload(gateway, lifeline, number)))
        throttle = gateway.foundation.throttle
        post.on_message(lambda: tasks.spawn("hear of attempts to sign in", throttle.hear()))
        if answering is not None:
            answer_on(answering, lambda question: _answer(gateway, question), tasks)
        lifeline.say(IS_READY)
        await stopping.wait(gateway)


async def _reload(gateway: Gateway, lifeline: Lifeline, number: int) -> None:
    if gateway.reloading is not None and not await gateway.reloading.reload():
        lifeline.say(number)


async def _answer(gateway: Gateway, question: bytes) -> str:
    if question == METRICS:
        return gateway.operating.own_metrics()
    return await gateway.operating.unready() or ""
