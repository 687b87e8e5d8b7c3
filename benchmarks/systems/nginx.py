"""nginx as a plain proxy, one worker: what proxying alone costs, and the measure of throughput."""

from functools import partial

from benchmarks.issuer import Algorithm
from benchmarks.processes import Command
from benchmarks.programs import find
from benchmarks.systems.system import Site, System, issued

_CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 0;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  map $http_upgrade $upstream_connection {{ default upgrade; '' ''; }}
  upstream app {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_read_timeout 600s;
      proxy_set_header Connection $upstream_connection;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


def command(site: Site) -> Command:
    config = site.folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(folder=site.folder, upstream=site.upstream, address=site.address)
    )
    argv = [str(find("nginx")), "-c", str(config), "-p", str(site.folder)]
    return Command(argv, {}, site.folder)


NGINX = System(
    name="nginx",
    does="plain proxy",
    install="apt-get install nginx",
    command=command,
    tokens=partial(issued, Algorithm.ES256),
    checks_token=False,
)
