"""Tells sessions, beside the requests, that a generation of their tokens is in use.

A few are told at a time. After a start everybody's token is new to this process: asking the store
for all of them at once would take memory, and time that renewals need.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.pipeline import Authenticated
from gateway.tasks import Tasks

MOST_AT_ONCE: Final = 16


class Confirming:
    """Call it with what a request proved; *confirm* takes a session's id and the generation."""

    def __init__(
        self, confirm: Callable[[str, int], Coroutine[Any, Any, None]], tasks: Tasks
    ) -> None:
        self._confirm = confirm
        self._tasks = tasks
        self._under_way = 0

    def __call__(self, authenticated: Authenticated) -> None:
        token = authenticated.token
        if not token.session_id:
            return
        if self._under_way >= MOST_AT_ONCE:
            authenticated.seen = False  # the next request that shows the token tells of it
            return
        self._under_way += 1
        confirming = self._confirm(token.session_id, token.generation)
        self._tasks.spawn("confirm", confirming).add_done_callback(self._ended)

    def _ended(self, _task: object) -> None:
        self._under_way -= 1
