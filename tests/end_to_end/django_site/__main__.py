"""Serves the site and prints its port.

wsgiref joins `Remote-User` and `Remote_User` into one variable, which makes it the harshest server
to stand in front of.
"""

from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Say nothing: what is printed is the port."""


application = get_wsgi_application()
call_command("migrate", verbosity=0)
with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
