"""Lets go of kept connections when the name that they were opened by leads elsewhere.

A busy connection would be used for as long as both ends keep it, and the new place get nothing. One
that carries a request is closed after its answer; a tunnel lasts.
"""

import asyncio
from contextlib import suppress

from gateway.app.names import Names
from gateway.proxy.balancing import Target
from gateway.proxy.pool import Pool

LOOK_SECONDS = 10.0


async def follow_name(pool: Pool, target: Target, names: Names, host: str, port: int) -> None:
    """Look for ever where *host* is. As long as the name server does not answer, it stays."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if target.open:
            with suppress(OSError):
                places = await names.places(host, port)
                pool.moved(target, {str(where[0]) for *_, where in places})
