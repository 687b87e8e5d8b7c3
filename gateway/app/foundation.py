"""What lives as long as the process, whatever configuration is in force."""

import secrets
import time
from contextlib import AsyncExitStack

from gateway.app.free_memory import return_free_memory
from gateway.app.names import Names
from gateway.app.observation import Observation
from gateway.app.seat import Seat
from gateway.app.shelf import Shelf
from gateway.app.stores import open_store
from gateway.app.watching import end_streams_of_ended_sessions, recheck_streams
from gateway.config.values import Config
from gateway.headers.fields import ResponseFields
from gateway.observability.loop_lag import LoopLag
from gateway.observability.request_id import request_ids
from gateway.pipeline import Pipeline
from gateway.portal.throttle import BoundedCounters, Throttle
from gateway.proxy.deadlines import Deadlines
from gateway.proxy.streams import Streams
from gateway.sessions.feed import Follower
from gateway.sessions.revocation import DenySet
from gateway.sessions.sweeping import sweep_forever
from gateway.tasks import Tasks


class Foundation:
    """The session store and what it announces, clocks, counters, and what is open."""

    def __init__(self, config: Config, seat: Seat | None = None) -> None:
        self.tasks = Tasks()
        self.deadlines = Deadlines()
        self.deny = DenySet()
        self.streams = Streams()
        self.shelf = Shelf()
        self.names = Names()
        self.throttle = Throttle(
            BoundedCounters(time.time),
            now=time.time,
            elsewhere=None if seat is None else seat.elsewhere,
        )
        self.new_request_id = request_ids(secrets.token_bytes(8))
        self.response_fields = ResponseFields()
        self.via = f"gateway-{secrets.token_hex(4)}".encode()
        self.observation = Observation(config.log, shared_output=seat is not None)
        self.store = open_store(config.sessions, tasks=self.tasks, now=time.time)
        self.follower = Follower(self.store, self.deny, time.time)
        # The pipeline in force remembers what keys have proven.
        self.pipeline: Pipeline | None = None
        # Tokens made before a reload live on: what ends must be denied for as long as they may.
        self.longest_access = 0.0

    def start(self) -> None:
        """Follow what other processes announce, and keep time."""
        self.deadlines.start()
        end_streams_of_ended_sessions(self.deny, self.streams)
        lag = LoopLag(time.monotonic)
        self.tasks.spawn("follow revocations", self.follower.follow())
        self.tasks.spawn("sweep the store", sweep_forever(self.store))
        self.tasks.spawn("recheck streams", recheck_streams(self.streams, self.store))
        self.tasks.spawn("measure loop lag", lag.run())
        self.tasks.spawn("return free memory", return_free_memory())
        gauges = self.observation.metrics.gauges
        gauges.loop_lag_seconds = lag.worst
        gauges.revocation_feed_lag_seconds = self.follower.lag
        gauges.store_up = lambda: float(self.follower.connected)

    def keys_changed(self) -> None:
        """Have everything proven again. Before there is a pipeline, nothing is remembered."""
        if self.pipeline is not None:
            self.pipeline.forget()

    async def stop(self) -> None:
        """Close everything, what others stand on last."""
        async with AsyncExitStack() as closing:
            closing.callback(self.observation.close)
            # Below all that is closed before: what the store has under way ends, uncut.
            closing.push_async_callback(self.tasks.close)
            closing.push_async_callback(self.store.close)
            closing.push_async_callback(self.shelf.close)
            closing.callback(self.deadlines.stop)
