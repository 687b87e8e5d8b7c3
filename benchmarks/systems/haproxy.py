"""HAProxy: `jwt_verify` on the cookie, the claims checked by rules, one thread."""

from functools import partial

from benchmarks.browser import COOKIE_NAME
from benchmarks.issuer import AUDIENCE, Algorithm
from benchmarks.processes import Command
from benchmarks.programs import find
from benchmarks.systems.system import Site, System, issued

_CONFIG = """
global
    nbthread 1
    maxconn 5000
    log /dev/null local0
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 60s
    timeout http-keep-alive 600s
    timeout tunnel 600s
frontend edge
    bind {address}{tls} backlog 4096
    http-request set-var(txn.token) req.cook({cookie})
    http-request deny deny_status 401 unless {{ var(txn.token) -m found }}
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,"{key}") 1 }}
    http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud')
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
    http-request set-var(txn.now) date()
    http-request set-var(txn.left) var(txn.token),jwt_payload_query('$.exp','int'),sub(txn.now)
    http-request deny deny_status 401 unless {{ var(txn.left) -m int gt 0 }}
    http-request set-header X-Forwarded-User %[var(txn.token),jwt_payload_query('$.sub')]
    http-request set-header X-Forwarded-For %[src]
    default_backend app
backend app
    http-reuse always
    server app {upstream}
"""


def _command(algorithm: Algorithm, site: Site) -> Command:
    config = site.folder / "haproxy.cfg"
    config.write_text(
        _CONFIG.format(
            address=site.address,
            tls=_tls(site),
            upstream=site.upstream,
            cookie=COOKIE_NAME,
            algorithm=algorithm,
            key=site.issuer.secret if algorithm is Algorithm.HS256 else site.issuer.public_pem,
            issuer=site.issuer.url,
            audience=AUDIENCE,
        )
    )
    return Command([str(find("haproxy")), "-db", "-f", str(config)], {}, site.folder)


def _tls(site: Site) -> str:
    if site.certificate is None or site.key is None:
        return ""
    both = site.folder / "both.pem"
    both.write_bytes(site.certificate.read_bytes() + site.key.read_bytes())
    return f" ssl crt {both} ssl-min-ver TLSv1.2 alpn http/1.1"


def _haproxy(name: str, algorithm: Algorithm) -> System:
    return System(
        name=name,
        does=f"`jwt_verify` on the cookie, {algorithm}",
        install="apt-get install haproxy",
        command=partial(_command, algorithm),
        tokens=partial(issued, algorithm),
        speaks_tls=True,
    )


HAPROXY = _haproxy("haproxy", Algorithm.ES256)
HAPROXY_HS256 = _haproxy("haproxy-hs256", Algorithm.HS256)
