"""oauth2-proxy accepting a bearer token of an issuer that it discovers, on one processor.

It takes from a cookie only sessions of its own making, so the token rides in Authorization.
"""

from functools import partial

from benchmarks.issuer import AUDIENCE, Algorithm
from benchmarks.processes import Command
from benchmarks.programs import find
from benchmarks.systems.system import Site, System, issued


def command(site: Site) -> Command:
    argv = [
        str(find("oauth2-proxy")),
        f"--http-address={site.address}",
        f"--upstream=http://{site.upstream}/",
        "--provider=oidc",
        f"--oidc-issuer-url={site.issuer.url}",
        f"--client-id={AUDIENCE}",
        "--client-secret=not-used-with-bearer-tokens",
        "--cookie-secret=0123456789abcdef0123456789abcdef",
        "--email-domain=*",
        "--skip-jwt-bearer-tokens=true",
        "--pass-user-headers=true",
        "--request-logging=false",
        "--auth-logging=false",
        "--standard-logging=false",
    ]
    return Command(argv, {"GOMAXPROCS": "1"}, site.folder)


OAUTH2_PROXY = System(
    name="oauth2-proxy",
    does="bearer token in Authorization, ES256",
    install="go install github.com/oauth2-proxy/oauth2-proxy/v7@latest",
    command=command,
    tokens=partial(issued, Algorithm.ES256),
    bearer=True,
)
