"""A new configuration, or a new certificate, while requests are served (R7)."""

import http.client
import signal
import ssl
import threading
from collections import Counter
from contextlib import closing

import pytest

from tests.certificates import make_pair, written
from tests.end_to_end.running import until
from tests.end_to_end.workers.site import OPEN, Site


@pytest.mark.parametrize("workers", [1, 2])
class TestReload:
    @pytest.fixture
    def serving(self, site: Site, workers: int) -> Site:
        site.config |= {"workers": workers}
        site.start()
        return site

    def test_r7_no_request_is_lost_while_configurations_alternate(self, serving: Site):
        """Every answer is whole, and what one of the two configurations says."""
        site = serving
        old = [{"path": "/*", "upstream": "app", "access": "public"}]
        new = [{"path": "/only", "upstream": "app", "access": "public"}]
        stop = threading.Event()
        statuses: Counter[int] = Counter()
        broken: list[str] = []

        def ask(keeping: bool) -> None:
            kept = site.kept()
            while not stop.is_set():
                try:
                    statuses[kept.get("/x")] += 1
                except (OSError, http.client.HTTPException) as error:
                    broken.append(repr(error))
                if not keeping:
                    kept.connection.close()
                    kept = site.kept()

        threads = [threading.Thread(target=ask, args=(n % 2 == 0,)) for n in range(4)]
        for thread in threads:
            thread.start()
        workers = site.config["workers"]
        for number, routes in enumerate([old, new] * 4, start=1):
            site.write(routes=routes)
            site.gateway.process.send_signal(signal.SIGHUP)
            until(lambda n=number: site.reloads("reloaded") >= n * workers, "all have reloaded")
        stop.set()
        for thread in threads:
            thread.join(10)

        assert broken == []
        assert set(statuses) == {200, 401, 404}
        assert site.reloads("refused") == 0

    def test_a_change_of_the_file_is_noticed(self, serving: Site):
        serving.write(routes=OPEN)

        until(
            lambda: all(serving.client().get("/x").status == 200 for _ in range(8)),
            "every worker serves the new routes",
        )

    def test_a_bad_file_is_refused_told_and_measured_and_the_old_one_goes_on(self, serving: Site):
        site, workers = serving, serving.config["workers"]
        assert site.client().get("/x").status == 401
        (site.folder / "config.yaml").write_text("routes: [{path: no, upstream: nowhere}]\n")
        site.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: site.reloads("refused") >= workers, "all have refused")

        assert site.client().get("/x").status == 401
        assert site.client().sign_in().status == 200
        told = site.gateway.events("config.refused")[0]["detail"]
        assert "config.yaml:1:" in told
        if workers == 2:
            until(lambda: site.last_reloads() == {"0": 0.0, "1": 0.0}, "both say so")

        site.write(routes=OPEN)
        site.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: site.client().get("/x").status == 200, "a good one is taken")

    @pytest.mark.parametrize("bad", ["users: [not, a, mapping]\n", None], ids=["bad", "missing"])
    def test_r7_what_a_file_kept_from_being_used_is_tried_again_when_the_file_is_mended(
        self, serving: Site, bad: str | None
    ):
        site, workers = serving, serving.config["workers"]
        others = site.folder / "others.yaml"
        if bad is not None:
            others.write_text(bad)
        site.write(routes=OPEN, login=[{"users": "others.yaml"}])
        until(lambda: site.reloads("refused") >= workers, "all have refused")
        assert site.client().get("/x").status == 401

        others.write_text("users: {}\n")

        until(
            lambda: all(site.client().get("/x").status == 200 for _ in range(8)),
            "every worker serves the new routes",
        )
        assert site.client().sign_in().status == 401, "nobody is in the new file"

    def test_a_reload_that_an_operator_asked_for_is_tried_again_too(self, site: Site, workers: int):
        written(site.folder, *make_pair("first"))
        tls = {"certificate": "tls.crt", "key": "tls.key"}
        site.config |= {"workers": workers}
        site.start(tls=tls, public_url="https://localhost", routes=OPEN)
        certificate, key = make_pair("second")
        (site.folder / "tls.crt").write_bytes(certificate)
        assert site.operations.request("POST", "/reload").status == 422

        (site.folder / "tls.key").write_bytes(key)

        until(lambda: site.reloads("reloaded") >= workers, "all have reloaded")

    def test_operators_reload_and_hear_what_is_wrong(self, serving: Site):
        site = serving
        site.write(routes=OPEN)
        assert site.operations.request("POST", "/reload").status == 200
        until(
            lambda: all(site.client().get("/x").status == 200 for _ in range(8)),
            "the others follow",
        )
        assert site.operations.get("/config").json()["routes"][0]["access"] == "public"

        site.write(listen="127.0.0.1:1")
        answer = site.operations.request("POST", "/reload")
        assert answer.status == 422
        assert answer.json()["errors"] == [
            "listen: 127.0.0.1:0 became 127.0.0.1:1, which needs a restart"
        ]
        assert site.client().get("/x").status == 200


def test_an_exchanged_certificate_is_shown_by_every_worker(site: Site):
    written(site.folder, *make_pair("first"))
    tls = {"certificate": "tls.crt", "key": "tls.key"}
    site.start(tls=tls, public_url="https://localhost", routes=OPEN)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def names() -> set[bytes]:
        shown = set()
        for _ in range(12):
            connection = http.client.HTTPSConnection(
                "localhost", site.gateway.port, context=context, timeout=10
            )
            with closing(connection):
                connection.connect()
                der = connection.sock.getpeercert(binary_form=True)
                shown |= {name for name in (b"first", b"second") if name in der}
                connection.request("GET", "/x", headers={"Host": "localhost"})
                assert connection.getresponse().status == 200
        return shown

    assert names() == {b"first"}
    written(site.folder, *make_pair("second"))
    until(lambda: names() == {b"second"}, "both show the new one")

    another, _ = make_pair("mismatched")
    (site.folder / "tls.crt").write_bytes(another)
    site.gateway.said("key values mismatch")
    assert names() == {b"second"}
