"""Apache with mod_auth_openidc as an OAuth 2.0 resource server, token in the cookie, one worker."""

from functools import partial

from benchmarks.browser import COOKIE_NAME
from benchmarks.issuer import AUDIENCE, KID, Algorithm, Issuer
from benchmarks.processes import Command
from benchmarks.programs import find
from benchmarks.systems.system import Site, System, issued

_CONFIG = """
ServerRoot {folder}
ServerName 127.0.0.1
Listen {address}
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/apache-error.log
LogLevel error
User www-data
Group www-data

LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule headers_module {modules}/mod_headers.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so

StartServers 1
ServerLimit 1
ThreadsPerChild {threads}
ThreadLimit {threads}
MaxRequestWorkers {threads}
AsyncRequestWorkerFactor 100
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600

{verify}
OIDCOAuthAcceptTokenAs cookie:{cookie}
OIDCOAuthRemoteUserClaim sub

ProxyPass / http://{upstream}/ keepalive=On upgrade=websocket
ProxyPreserveHost On
<Location />
    AuthType oauth20
    Require claim aud:{audience}
    RequestHeader set X-Forwarded-User expr=%{{REMOTE_USER}}
</Location>
"""
_MODULES = "/usr/lib/apache2/modules"
_THREADS = 128


def _command(algorithm: Algorithm, site: Site) -> Command:
    site.folder.chmod(0o755)
    config = site.folder / "apache.conf"
    config.write_text(
        _CONFIG.format(
            folder=site.folder,
            address=site.address,
            upstream=site.upstream,
            modules=_MODULES,
            threads=_THREADS,
            verify=_verify(algorithm, site.issuer),
            audience=AUDIENCE,
            cookie=COOKIE_NAME,
        )
    )
    argv = [str(find("apache2")), "-D", "FOREGROUND", "-f", str(config)]
    return Command(argv, {}, site.folder)


def _verify(algorithm: Algorithm, issuer: Issuer) -> str:
    if algorithm is Algorithm.HS256:
        return f"OIDCOAuthVerifySharedKeys plain#{KID}#{issuer.secret}"
    # Key files can only be RSA here, and key sets are only fetched by https.
    return f"OIDCOAuthVerifyJwksUri {issuer.secure_url}/jwks.json\nOIDCOAuthSSLValidateServer Off"


def _apache(name: str, algorithm: Algorithm) -> System:
    return System(
        name=name,
        does=f"mod_auth_openidc on the cookie, {algorithm}",
        install="apt-get install apache2 libapache2-mod-auth-openidc",
        command=partial(_command, algorithm),
        tokens=partial(issued, algorithm),
    )


APACHE = _apache("apache", Algorithm.ES256)
APACHE_HS256 = _apache("apache-hs256", Algorithm.HS256)
