"""The parent of the workers: starts them, starts them again when they die, and sees them out.

It serves nobody and holds no session: only what must outlive a worker, the listening sockets above
all. It stays a plain process without threads or an event loop, so that it can fork at any time.
"""

import logging
import os
import signal
import time
from collections.abc import Sequence

from gateway.app.config_watch import ConfigWatch
from gateway.app.restart import needs_restart
from gateway.app.source import LOOK_SECONDS, Source
from gateway.config.problem import ConfigErrors
from gateway.config.values import Config
from gateway.workers.child import Child, fork
from gateway.workers.lifeline import IS_READY, IS_REFUSED, RELOAD_NUMBERS, RELOAD_OTHERS
from gateway.workers.parent_log import configure
from gateway.workers.place import Place, open_places
from gateway.workers.signals import Signals

_log = logging.getLogger("gateway.workers")

# How much longer than limits.drain a worker may take to end.
_PATIENCE_SECONDS = 10.0
_AT_ONCE_SECONDS = 5.0


class Supervisor:
    """Runs `config.workers` workers until a signal ends them, or none can be kept alive."""

    def __init__(self, config: Config, source: Source) -> None:
        """Raises CannotListen."""
        self._config = config
        self._source = source
        self._watch = ConfigWatch(source, config)
        self._reloads = 0
        self._candidates: dict[int, Config | None] = {}
        self._places = open_places(config)
        self._has_served = False
        self._stop_by: float | None = None
        self._look_at = 0.0
        self._exit_code = 0
        configure(config.log)

    def run(self) -> int:
        """Return the exit code: 0 when told to stop, else that of the worker that gave up."""
        with Signals() as signals:
            # The first alone: what is wrong with the configuration is then said once, and what
            # is made on the first start (keys, tables) is made once.
            self._start(self._places[0], signals)
            while any(place.child or place.due is not None for place in self._places):
                self._hear(signals.wait(self._rest(), [child.end for child in self._children()]))
                for place in self._places:
                    self._listen_to(place, signals)
                    self._bury(place)
                self._start_what_is_due(signals)
                self._look_at_the_file()
                self._lose_patience()
        return self._exit_code

    # Starting.

    def _start(self, place: Place, signals: Signals) -> None:
        place.due = None
        place.bind()
        place.child = fork(place, self._places, self._config, self._source, signals)

    def _start_what_is_due(self, signals: Signals) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.due is not None and place.due <= now:
                self._try_to_start(place, signals)

    def _try_to_start(self, place: Place, signals: Signals) -> None:
        try:
            self._start(place, signals)
        except OSError as error:
            _log.error("worker %d cannot be started: %s", place.number, error)
            place.died(0.0, time.monotonic())

    def _children(self) -> list[Child]:
        return [place.child for place in self._places if place.child is not None]

    # What workers say.

    def _listen_to(self, place: Place, signals: Signals) -> None:
        for word in place.child.words() if place.child else ():
            if word == IS_READY:
                self._start_the_others(signals)
            elif word == IS_REFUSED:
                place.has_refused = True
            elif word == RELOAD_OTHERS:
                number = self._reload([other for other in self._places if other is not place])
                self._adopt(number, place)
            else:
                self._adopt(word, place)

    def _start_the_others(self, signals: Signals) -> None:
        if not self._has_served:
            self._has_served = True
            for other in self._places[1:]:
                self._try_to_start(other, signals)

    def _bury(self, place: Place) -> None:
        status = place.child.ended() if place.child else None
        if place.child is None or status is None:
            return
        lived = place.child.age()
        place.vacate(place.child)
        if self._stop_by is not None:
            return
        if not self._has_served:
            # It has said itself what is wrong.
            self._exit_code = status if status > 0 else 1
            return
        _log.error("worker %d %s after %.0f s", place.number, _how(status), lived)
        place.died(lived, time.monotonic())
        if not self._children() and all(each.deaths.hopeless for each in self._places):
            _log.error("every worker dies at its start: giving up")
            self._exit_code = 1
            self._forget_what_is_due()

    # Reloading.

    def _look_at_the_file(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            refused = any(place.has_refused for place in self._places)
            if self._watch.due(refused=refused):
                self._reload(self._places)

    def _reload(self, places: Sequence[Place]) -> int:
        """Have *places* read the configuration again, and return the number of this reload."""
        self._reloads = self._reloads % RELOAD_NUMBERS + 1
        self._candidates.pop(self._reloads, None)
        self._candidates[self._reloads] = self._candidate()
        for place in places:
            place.has_refused = False
            if place.child is not None:
                place.child.tell(self._reloads)
        return self._reloads

    def _candidate(self) -> Config | None:
        """Read what workers started from now on shall serve, once a living one serves it."""
        try:
            config = self._source.read()
        except ConfigErrors as errors:
            self._watch.unreadable(errors.files)
            return None  # every worker tells what is wrong
        self._watch.read(config)
        return None if needs_restart(self._config, config) else config

    def _adopt(self, number: int, place: Place) -> None:
        """Start workers from now on with what *place* serves: what was read for reload *number*."""
        place.has_refused = False
        config = self._candidates.get(number)
        if config is not None:
            self._config = config
            self._watch.in_force(config)
            configure(config.log)
            # What was read before it is history, whoever may still say so.
            read = list(self._candidates)
            for earlier in read[: read.index(number) + 1]:
                del self._candidates[earlier]

    # Ending.

    def _hear(self, numbers: set[int]) -> None:
        if signal.SIGHUP in numbers and self._stop_by is None:
            self._reload(self._places)
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self._stop(signal.SIGTERM if self._stop_by is None else signal.SIGQUIT)

    def _stop(self, how: signal.Signals) -> None:
        """Have every worker drain; asked again, end at once."""
        limits = self._config.limits
        patience = limits.drain_delay + limits.drain + _PATIENCE_SECONDS
        if how is signal.SIGQUIT:
            patience = _AT_ONCE_SECONDS
        self._stop_by = time.monotonic() + patience
        self._forget_what_is_due()
        for place in self._places:
            # Ours too, or whoever connects now would wait for somebody to accept.
            place.release()
        self._signal(how)

    def _lose_patience(self) -> None:
        if self._stop_by is not None and time.monotonic() >= self._stop_by:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children():
            os.kill(child.pid, number)

    def _forget_what_is_due(self) -> None:
        for place in self._places:
            place.due = None

    def _rest(self) -> float:
        """Seconds until something is due."""
        times = [place.due for place in self._places if place.due is not None]
        times += [] if self._stop_by is None else [self._stop_by]
        return max(0.0, min([*times, self._look_at]) - time.monotonic())


def _how(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit code {status}"
