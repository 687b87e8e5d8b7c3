"""The gateway itself, configured as its users would, its tokens got by signing in."""

import json
import sys
from dataclasses import replace
from http.cookies import SimpleCookie
from pathlib import Path

from argon2 import PasswordHasher
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.browser import COOKIE_NAME
from benchmarks.issuer import SUBJECT, Tokens, bad_siblings
from benchmarks.processes import Command
from benchmarks.programs import NotInstalled
from benchmarks.systems.system import Site, System

OPERATIONS_SOCKET = "operations.sock"
_PASSWORD = "correct horse battery staple"
_ROOT = Path(__file__).resolve().parents[2]


class SignInFailed(Exception):
    """The gateway did not take the benchmark's user."""


def _command(site: Site, **sections: object) -> Command:
    if not (_ROOT / "gateway" / "__main__.py").is_file():
        raise NotInstalled("gateway")
    users = site.folder / "users.yaml"
    user = {
        "password": PasswordHasher().hash(_PASSWORD),
        "email": "alice@example.com",
        "name": "Alice Example",
        "groups": ["admins", "editors"],
    }
    users.write_text(json.dumps({"users": {SUBJECT: user}}))
    config = site.folder / "config.yaml"
    config.write_text(
        json.dumps(  # YAML reads JSON
            {
                "listen": site.address,
                "public_url": site.url,
                "tls": _tls(site),
                "upstreams": {"app": f"http://{site.upstream}"},
                "routes": [{"path": "/*", "upstream": "app"}],
                "login": [{"users": str(users)}],
                # The same cookie with and without TLS, as with the peers.
                "cookies": {"prefix": "none"},
                "tokens": {"keys": str(site.folder / "keys"), "access_lifetime": "12h"},
                "sessions": {"store": f"sqlite:///{site.folder}/gateway.db"},
                "limits": {"idle_timeout": "600s", "upstream_connections": 4096},
                "log": {"access": False},
                **sections,
            }
        )
    )
    argv = [sys.executable, "-m", "gateway", "run", "-c", str(config)]
    # An installed gateway is compiled; from the clone it compiles itself at its first start.
    environment = {"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    return Command(argv, environment, site.folder)


def _tls(site: Site) -> dict[str, str] | None:
    if site.certificate is None:
        return None
    return {"certificate": str(site.certificate), "key": str(site.key)}


def quiet(site: Site) -> Command:
    return _command(site)


def logging(site: Site) -> Command:
    return _command(site, log={"access": True})


def in_memory(site: Site) -> Command:
    return _command(site, sessions={"store": "memory:"})


def signed_in(site: Site) -> Tokens:
    """Sign in over HTTP; the bad siblings of the token are made with the key of the key folder."""
    connection = site.connect()
    body = json.dumps({"username": SUBJECT, "password": _PASSWORD})
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/v1/auth/login", body, headers)
    answer = connection.getresponse()
    said = answer.read()
    cookies: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_all("Set-Cookie", []):
        cookies.load(line)
    connection.close()
    if COOKIE_NAME not in cookies:
        raise SignInFailed(f"{answer.status}: {said[:500]!r}")
    pem = next((site.folder / "keys").glob("*.pem")).read_bytes()
    return bad_siblings(cookies[COOKIE_NAME].value, load_pem_private_key(pem, None))


GATEWAY = System(
    name="gateway",
    does="the whole way, access log off",
    install="it is this repository",
    command=quiet,
    tokens=signed_in,
    speaks_tls=True,
)
GATEWAY_LOG = System(
    name="gateway-log",
    does="the whole way, access log on",
    install="it is this repository",
    command=logging,
    tokens=signed_in,
    speaks_tls=True,
)
GATEWAY_MEMORY = System(
    name="gateway-memory",
    does="the whole way, sessions in memory, access log off",
    install="it is this repository",
    command=in_memory,
    tokens=signed_in,
)


def with_workers(number: int) -> System:
    """Return the gateway as so many processes, whose operations port is a socket in its folder."""

    def several(site: Site) -> Command:
        return _command(site, workers=number, operations=f"unix:{site.folder}/{OPERATIONS_SOCKET}")

    return replace(
        GATEWAY, name=f"gateway-workers-{number}", does=f"{number} workers", command=several
    )
