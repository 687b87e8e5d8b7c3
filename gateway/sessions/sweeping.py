"""Removes what is over from the store, a little at a time, so that nobody has to wait for it."""

import asyncio

from gateway.sessions.store import Store, StoreUnavailable

_AT_ONCE = 500
_BREATH = 0.05


async def sweep_forever(store: Store, every: float = 60.0) -> None:
    """Sweep now and then; a store that is down is swept when it is back."""
    while True:
        pause = _BREATH if await _sweep(store) else every
        await asyncio.sleep(pause)


async def _sweep(store: Store) -> bool:
    """Sweep one step; return whether there seems to be more."""
    try:
        return await store.sweep(_AT_ONCE) >= _AT_ONCE
    except StoreUnavailable:
        return False
