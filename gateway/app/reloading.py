"""A new configuration in the place of the one in force: as a whole, or not at all.

Requests under way are finished by the configuration that they began with; none is lost.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from gateway.app.config_watch import ConfigWatch
from gateway.app.foundation import Foundation
from gateway.app.generation import BAD_FILES, Generation, build
from gateway.app.restart import needs_restart
from gateway.app.source import Source, watch
from gateway.config.problem import ConfigErrors
from gateway.config.values import Config
from gateway.observability.audit import AuditEvent, AuditKind

_log = logging.getLogger("gateway")

# Requests that began before may still ask for what only the old configuration had. None of them
# waits longer than this for its connection.
_RETIRE_AFTER_SECONDS = 60.0


class Replaceable(Protocol):
    """Something that serves by one generation at a time."""

    foundation: Foundation
    generation: Generation
    draining: bool

    def put_in_force(self, generation: Generation) -> None: ...


class Reloading:
    """Reads *source* again when asked to; one reload at a time."""

    def __init__(self, gateway: Replaceable, source: Source) -> None:
        self._gateway = gateway
        self._source = source
        self._watch = ConfigWatch(source, gateway.generation.config)
        self._refused_over_files = False
        self._tell: Callable[[], object] | None = None
        self._one_at_a_time = asyncio.Lock()

    def tell_refusals(self, tell: Callable[[], object]) -> None:
        """Call *tell* whenever a reload was refused that a change of some file may mend."""
        self._tell = tell

    def spawn(self) -> None:
        """Reload in the background; what comes of it is in the log."""
        self._gateway.foundation.tasks.spawn("reload", self.reload())

    async def watch(self) -> None:
        """Reload whenever the file changes, one read with it, or one that it was refused over."""
        if self._source.path is None:
            return
        await self._catch_up()
        await watch(lambda: self._watch.due(refused=self._refused_over_files), self.spawn)

    async def _catch_up(self) -> None:
        """Reload when the file changed after it was read, and before anybody watched it."""
        try:
            read = await asyncio.to_thread(self._source.read)
            missed = read != self._gateway.generation.config
        except ConfigErrors:
            missed = True
        if missed:
            self.spawn()

    async def reload(self) -> Sequence[str]:
        """Put the configuration as it is now in force, or return why the old one stays."""
        async with self._one_at_a_time:
            problems = await self._reload()
            self._record(problems)
            if self._refused_over_files and self._tell is not None:
                self._tell()
        return problems

    async def _reload(self) -> Sequence[str]:
        self._refused_over_files = False
        if self._gateway.draining:
            return ["the gateway is about to stop"]
        try:
            # Beside the event loop: a large file takes its time (R9).
            config = await asyncio.to_thread(self._source.read)
        except ConfigErrors as errors:
            self._watch.unreadable(errors.files)
            self._refused_over_files = True
            return [str(problem) for problem in errors.problems]
        self._watch.read(config)
        if problems := needs_restart(self._gateway.generation.config, config):
            return problems
        problems = await self._replace(config)
        self._refused_over_files = bool(problems)
        return problems

    async def _replace(self, config: Config) -> list[str]:
        shelf = self._gateway.foundation.shelf
        draft = shelf.draft()
        try:
            generation = await build(config, self._gateway.foundation, draft)
        except BaseException as error:
            await draft.abandon()
            if not isinstance(error, Exception):
                raise
            if not isinstance(error, (*BAD_FILES, OSError)):
                _log.exception("the new configuration could not be built")
            return [str(error)]
        for warning in config.warnings:
            _log.warning("%s", warning)
        self._gateway.put_in_force(generation)
        self._watch.in_force(config)
        self._gateway.foundation.tasks.spawn("retire", _retire(shelf.commit(draft)))
        return []

    def _record(self, problems: Sequence[str]) -> None:
        for problem in problems:
            _log.error("%s", problem)
        kind = AuditKind.CONFIG_REFUSED if problems else AuditKind.CONFIG_RELOADED
        detail = f"{len(problems)} problems: {problems[0]}" if problems else None
        self._gateway.foundation.observation.observer.event(AuditEvent(kind, detail=detail))


async def _retire(old: AsyncExitStack) -> None:
    try:
        await asyncio.sleep(_RETIRE_AFTER_SECONDS)
    finally:
        await old.aclose()
