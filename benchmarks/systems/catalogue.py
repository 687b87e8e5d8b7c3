"""Every system that can be measured, in the order of the table."""

from benchmarks.systems.apache import APACHE, APACHE_HS256
from benchmarks.systems.caddy import CADDY
from benchmarks.systems.envoy import ENVOY, ENVOY_HS256
from benchmarks.systems.gateway import GATEWAY, GATEWAY_LOG
from benchmarks.systems.haproxy import HAPROXY, HAPROXY_HS256
from benchmarks.systems.nginx import NGINX, NGINX_LARGE
from benchmarks.systems.oauth2_proxy import OAUTH2_PROXY
from benchmarks.systems.system import System

ALL: tuple[System, ...] = (
    GATEWAY,
    GATEWAY_LOG,
    HAPROXY_HS256,
    HAPROXY,
    ENVOY_HS256,
    ENVOY,
    APACHE_HS256,
    APACHE,
    OAUTH2_PROXY,
    NGINX,
    CADDY,
)
# Measured where it is named, and by scenarios about bodies.
NAMED = (*ALL, NGINX_LARGE)
REFERENCES = (HAPROXY_HS256.name, HAPROXY.name)
