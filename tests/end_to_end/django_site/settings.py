"""Settings as the Django documentation has them for REMOTE_USER behind a proxy."""

import os

SECRET_KEY = "a site of the test's own, gone with it"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.end_to_end.django_site.urls"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DJANGO_DATABASE"]}
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tests.end_to_end.django_site.middleware.BehindTheGateway",
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
USE_TZ = True
