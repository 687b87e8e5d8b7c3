"""Metrics, reload and configuration over a real socket."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families


async def test_metrics_are_what_prometheus_asks_for(running, serve):
    running.metrics.request("/*", 200, "forward", 0.01)
    client = await serve()

    plain = await client.get("/metrics")
    modern = await client.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )

    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    line = 'gateway_requests_total{code_class="2xx",decision="forward",route="/*"} 1.0'
    assert line in (await plain.text()).splitlines()
    assert modern.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in text_string_to_metric_families(await modern.text())}
    assert {"gateway_requests", "gateway_request_duration_seconds", "gateway_build"} <= families


async def test_a_good_configuration_is_reloaded(serve):
    reloads = []

    async def reload() -> list[str]:
        reloads.append(1)
        return []

    client = await serve(reload=reload)

    answer = await client.post("/reload")

    assert answer.status == 200
    assert await answer.json() == {"status": "reloaded"}
    assert reloads == [1]


async def test_a_bad_configuration_is_refused_with_every_problem(serve):
    async def reload() -> list[str]:
        return ["config.yaml:3:5: routes[0].upstream: unknown", "config.yaml:9:1: wat"]

    client = await serve(reload=reload)

    answer = await client.post("/reload")

    assert answer.status == 422
    assert answer.content_type == "application/problem+json"
    assert (await answer.json())["errors"] == [
        "config.yaml:3:5: routes[0].upstream: unknown",
        "config.yaml:9:1: wat",
    ]


async def test_the_configuration_in_effect_is_shown(serve):
    client = await serve(config=lambda: {"listen": "127.0.0.1:8080", "login": [{"users": "u"}]})

    answer = await client.get("/config")

    assert answer.status == 200
    assert (await answer.json())["listen"] == "127.0.0.1:8080"


async def test_reload_is_not_a_get(serve):
    async def reload() -> list[str]:
        raise AssertionError

    client = await serve(reload=reload)

    assert (await client.get("/reload")).status == 405
