"""One view, which tells who Django believes is there."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path


def who(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "user": request.user.get_username(),
            "signed_in": request.user.is_authenticated,
            "csrf": get_token(request),
            "posted": request.POST.dict(),
            "cookies": sorted(request.COOKIES),
        }
    )


urlpatterns = [path("who/", who), path("open/who/", who)]
