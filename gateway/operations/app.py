"""The operations port: health, metrics and sessions for those who run the gateway.

It has no sign-in: whoever reaches it may do everything. It is bound only where the configuration
says so, which should be loopback or a cluster's own network.
"""

from http import HTTPStatus

from aiohttp import web

from gateway.operations.answers import json_answer, problem
from gateway.operations.guard import guard
from gateway.operations.health import alive, ready
from gateway.operations.operations import OPERATIONS, Operations
from gateway.operations.sessions_api import end_session, end_sessions, list_sessions

_LARGEST_BODY = 1024  # no endpoint reads one


def build(operations: Operations) -> web.Application:
    """Return the application; `listen` puts it on its address."""
    application = web.Application(middlewares=[guard], client_max_size=_LARGEST_BODY)
    application[OPERATIONS] = operations
    application.add_routes(
        [
            web.get("/healthz", alive),
            web.get("/ping", alive),
            web.get("/readyz", ready),
            web.get("/metrics", metrics),
            web.get("/sessions", list_sessions),
            web.delete("/sessions", end_sessions),
            web.delete("/sessions/{id:[A-Za-z0-9_-]{1,128}}", end_session),
        ]
    )
    if operations.reload is not None:
        application.router.add_post("/reload", reload)
    if operations.config is not None:
        application.router.add_get("/config", config)
    return application


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in the Prometheus text format or OpenMetrics."""
    text, content_type = await request.app[OPERATIONS].metrics(request.headers.get("Accept", ""))
    return web.Response(body=text, headers={"Content-Type": content_type})


async def reload(request: web.Request) -> web.Response:
    """POST /reload: the new configuration is in force, or the old one is, and why."""
    reload_now = request.app[OPERATIONS].reload
    problems = [] if reload_now is None else await reload_now()
    if problems:
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The configuration has errors; the old one stays in force.",
            "config-refused",
            errors=list(problems),
        )
    return json_answer({"status": "reloaded"})


async def config(request: web.Request) -> web.Response:
    """GET /config: the configuration in effect, secrets hidden."""
    in_effect = request.app[OPERATIONS].config
    return json_answer({} if in_effect is None else in_effect())
