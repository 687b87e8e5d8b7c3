"""The portal: an aiohttp application of all our own endpoints, mounted by the data plane.

What it believes of a request's origin (address, scheme, host, request id) the data plane has set.
"""

from aiohttp import web

from gateway.portal import detour, own_sessions, pages, registration, renewal, sign_in, sign_out
from gateway.portal.edge import edge
from gateway.portal.intake import LARGEST_BODY
from gateway.portal.portal import PORTAL, Portal

__all__ = ["Portal", "build"]

_JWKS_CACHE = "public, max-age=300"


def build(portal: Portal) -> web.Application:
    """Return the application; its routes hold the whole path, prefix included."""
    app = web.Application(middlewares=[edge], client_max_size=LARGEST_BODY)
    app[PORTAL] = portal
    pages.set_up(app)
    at = portal.prefix
    app.router.add_routes(
        [
            web.get(f"{at}/login", sign_in.sign_in_page),
            web.post(f"{at}/login", sign_in.sign_in),
            web.get(f"{at}/register", registration.register_page),
            web.post(f"{at}/register", registration.register),
            web.post(f"{at}/refresh-token", renewal.refresh_token),
            web.route("*", f"{at}/refresh", detour.renew_and_return),
            web.get(f"{at}/session", renewal.session),
            web.get(f"{at}/logout", sign_out.sign_out_page),
            web.post(f"{at}/logout", sign_out.sign_out),
            web.get(f"{at}/sessions", own_sessions.list_sessions),
            web.post(f"{at}/sessions/others/end", own_sessions.end_others),
            web.delete(f"{at}/sessions/{{id}}", own_sessions.end_session),
            web.post(f"{at}/sessions/{{id}}/end", own_sessions.end_session),
            web.get(f"{at}/jwks.json", _jwks),
            web.get(f"{at}/health", _health),
            web.get(f"{at}/static/{{name}}", pages.static_file),
        ]
    )
    return app


async def _jwks(request: web.Request) -> web.Response:
    return web.json_response(
        request.app[PORTAL].jwks(),
        content_type="application/jwk-set+json",
        headers={"Cache-Control": _JWKS_CACHE},
    )


async def _health(request: web.Request) -> web.Response:
    """Say that the process lives, and nothing else on the public port."""
    del request
    return web.Response(text="ok")
