"""What a browser sends: sixteen request headers, the access token among the app's own cookies."""

COOKIE_NAME = "accessToken"


def headers(host: str, token: str | None, authorization: str | None = None) -> dict[str, str]:
    """The head of a page's own fetch in a current Chrome, in its order."""
    sent = {
        "Host": host,
        "Connection": "keep-alive",
        "sec-ch-ua-platform": '"Linux"',
        "User-Agent": (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/141.0.0.0 Safari/537.36"
        ),
        "sec-ch-ua": '"Google Chrome";v="141", "Not?A_Brand";v="8", "Chromium";v="141"',
        "sec-ch-ua-mobile": "?0",
        "Accept": "application/json, text/plain, */*",
        "X-Requested-With": "XMLHttpRequest",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
        "Referer": f"http://{host}/projects/42/board?view=list",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
        "Cache-Control": "no-cache",
        "Cookie": _cookies(token),
    }
    if authorization:
        sent["Authorization"] = authorization
    return sent


def _cookies(token: str | None) -> str:
    cookies = {
        "theme": "dark",
        "_ga": "GA1.1.1234567890.1700000000",
        "csrftoken": "J8s7dT2LkQ9vX4mN6bW1cZ3rY5pH0aGf",
    }
    if token is not None:
        cookies[COOKIE_NAME] = token
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
