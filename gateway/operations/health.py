"""Alive is not ready: a gateway that cannot reach its store lives, and wants no traffic.

Liveness asks nobody, so that an outage elsewhere never makes an orchestrator restart us.
"""

import asyncio
import logging
from http import HTTPStatus

from aiohttp import web

from gateway.operations.answers import json_answer
from gateway.operations.operations import OPERATIONS, Check, Component

_log = logging.getLogger("gateway.operations")

CHECK_SECONDS = 2.0


async def alive(_request: web.Request) -> web.Response:
    """GET /healthz, GET /ping."""
    return json_answer({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """GET /readyz: 503 names what is missing; while draining it is always 503."""
    operations = request.app[OPERATIONS]
    names = list(operations.components)
    components = [operations.components[name] for name in names]
    wrongs = await asyncio.gather(
        *(_wrong(name, operations.components[name].check) for name in names)
    )
    draining = operations.draining()
    missing = [
        name
        for name, component, wrong in zip(names, components, wrongs, strict=True)
        if wrong is not None and component.required
    ]
    body = {
        "status": "draining" if draining else "not ready" if missing else "ready",
        "missing": missing,
        "components": {
            name: _shown(component, wrong)
            for name, component, wrong in zip(names, components, wrongs, strict=True)
        },
    }
    is_ready = not draining and not missing
    return json_answer(body, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


async def _wrong(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except Exception:  # noqa: BLE001 - a probe must be answered, and a check that fails is no yes
        _log.exception("the readiness check of %s failed", name)
        return "the check itself failed, see the log"


def _shown(component: Component, wrong: str | None) -> dict[str, object]:
    shown: dict[str, object] = {"ok": wrong is None}
    if wrong is not None:
        shown |= {"detail": wrong, "required": component.required}
    return shown
