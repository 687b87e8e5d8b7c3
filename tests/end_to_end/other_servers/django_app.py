"""A Django site in one module that answers with the path and the headers it was given."""

import json

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import re_path

settings.configure(
    SECRET_KEY="a site of the test's own, gone with it",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    APPEND_SLASH=False,
)


def told(request: HttpRequest) -> HttpResponse:
    """What Django's URL resolver and its views look at."""
    heard = {name: value for name, value in request.META.items() if name.startswith("HTTP_")}
    path = request.path_info
    return HttpResponse(
        json.dumps(heard) if path == "/headers" else path, content_type="text/plain; charset=utf-8"
    )


urlpatterns = [re_path(r"(?s)^.*$", told)]
application = get_wsgi_application()
