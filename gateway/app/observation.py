"""What the process tells of itself: log lines on standard output, and metrics."""

import asyncio
import logging
import sys
import time
from contextlib import AsyncExitStack

from gateway import __version__
from gateway.config.values import Log
from gateway.observability import logs
from gateway.observability.access_log import AccessLog
from gateway.observability.line import LineFormat
from gateway.observability.metrics import Metrics
from gateway.observability.observer import Observer
from gateway.observability.output import Output


class Observation:
    """One per process. `observer` tells of everything but requests, which have their own."""

    def __init__(self, log: Log, *, shared_output: bool) -> None:
        self._output = Output(sys.stdout.fileno(), shared=shared_output)
        self.metrics = Metrics(__version__)
        self.metrics.gauges.log_lines_dropped_total = lambda: float(self._output.dropped)
        self.observer = Observer(None, self.metrics)
        self.follow(log)

    def follow(self, log: Log) -> None:
        """Log as *log* says from here on."""
        level = logging.getLevelNamesMapping()[log.level.upper()]
        logs.configure(level, LineFormat(log.format), self._output.write)

    def of_requests(self, log: Log, closing: AsyncExitStack) -> Observer:
        """Return the observer of requests; an access log only where *log* wants one."""
        if not log.access:
            return self.observer
        loop = asyncio.get_running_loop()
        access_log = AccessLog(
            self._output.write, time.time, LineFormat(log.format), loop.call_later
        )
        closing.callback(access_log.flush)
        return Observer(access_log, self.metrics)

    def close(self) -> None:
        self._output.close()
