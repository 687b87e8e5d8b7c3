"""Puts the operations application on its one address, and nowhere else."""

from aiohttp import web

_KEEP_ALIVE_SECONDS = 75.0


async def listen(
    application: web.Application, *, host: str = "", port: int = 0, path: str = ""
) -> web.AppRunner:
    """Serve on host and port, or on the unix socket *path*; `cleanup()` of the result ends it.

    Raises OSError when the address cannot be had, ValueError when there is none: an empty host
    would mean every interface of the machine.
    """
    if not host and not path:
        raise ValueError("the operations port needs an address")
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    site = web.UnixSite(runner, path) if path else web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
