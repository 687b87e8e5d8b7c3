"""The operations port: what it asks of this process, and of its neighbours."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from gateway.app.foundation import Foundation
from gateway.app.generation import Generation
from gateway.app.seat import Neighbours
from gateway.app.sockets import CannotListen
from gateway.config.effective import as_file
from gateway.config.values import Address, UnixAddress
from gateway.identity.usernames import fold
from gateway.observability.metrics import Exposition
from gateway.observability.worker_metrics import OPEN_METRICS, of_workers
from gateway.operations.app import build
from gateway.operations.checks import feed_is_fresh, store_answers
from gateway.operations.listen import listen
from gateway.operations.operations import Component, Operations

_FEED_MAY_LAG_SECONDS = 30.0

Reload = Callable[[], Awaitable[Sequence[str]]]


class Operating:
    """Answers for the process; *generation* is asked anew each time, a reload exchanges it."""

    def __init__(
        self,
        foundation: Foundation,
        generation: Callable[[], Generation],
        draining: Callable[[], bool],
        neighbours: Neighbours | None,
    ) -> None:
        self._foundation = foundation
        self._generation = generation
        self._draining = draining
        self._neighbours = neighbours
        self._exposition = Exposition(foundation.observation.metrics)

    async def listen(
        self, address: Address, reload: Reload | None, closing: AsyncExitStack
    ) -> None:
        """Serve on *address* until *closing*. Raises CannotListen."""
        application = build(
            Operations(
                components=self._components(),
                draining=self._draining,
                metrics=self._metrics,
                sessions=lambda: self._generation().sign_in.lifecycle,
                observe=self._foundation.observation.observer.event,
                reload=reload,
                config=self._config,
                subject=fold,
            )
        )
        try:
            if isinstance(address, UnixAddress):
                runner = await listen(application, path=address.path)
            else:
                runner = await listen(application, host=address.host, port=address.port)
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotListen(f"operations: cannot listen on {address}: {reason}") from error
        closing.push_async_callback(runner.cleanup)

    def own_metrics(self) -> str:
        """Return the metrics of this process alone, in OpenMetrics text."""
        return self._exposition.render(OPEN_METRICS)[0].decode()

    async def unready(self) -> str | None:
        """Return what this process lacks to serve, None for nothing."""
        if self._draining():
            return "draining"
        for name, component in self._of_this_process().items():
            wrong = await component.check()
            if wrong is not None and component.required:
                return f"{name}: {wrong}"
        return None

    def _components(self) -> Mapping[str, Component]:
        own = self._of_this_process()
        if self._neighbours is None:
            return own
        # Not required: this process still serves its share, and the parent starts the others again.
        return own | {"workers": Component(self._neighbours.unready, required=False)}

    def _of_this_process(self) -> dict[str, Component]:
        follower = self._foundation.follower
        lag = feed_is_fresh(
            lambda: follower.lag() if follower.ready else None, _FEED_MAY_LAG_SECONDS
        )
        return {
            "store": Component(store_answers(self._foundation.store)),
            "revocation-feed": Component(lag),
            "upstreams": Component(self._upstreams_answer, required=False),
        }

    async def _upstreams_answer(self) -> str | None:
        pools = self._generation().plane.upstreams.values()
        down = [pool.name for pool in pools if not pool.available()]
        return f"no target of {', '.join(down)} answers" if down else None

    async def _metrics(self, accept: str) -> tuple[bytes, str]:
        if self._neighbours is None:
            return self._exposition.render(accept)
        theirs = await self._neighbours.metrics()
        return of_workers({0: self.own_metrics(), **theirs}, accept)

    def _config(self) -> Mapping[str, object]:
        return as_file(self._generation().config)
