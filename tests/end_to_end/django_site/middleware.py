"""All that a Django site adds to believe the gateway."""

from django.contrib.auth.middleware import RemoteUserMiddleware


class BehindTheGateway(RemoteUserMiddleware):
    """Takes the person from the header that the gateway's preset `remote` sets."""

    header = "HTTP_REMOTE_USER"
