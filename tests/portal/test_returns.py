from tests.portal.house import PASSWORD


async def test_a_browser_that_keeps_no_cookies_learns_why_it_is_back(browser):
    await browser.submit("/login", {"username": "alice", "password": PASSWORD, "rd": "/a"})
    browser.forget("accessToken", "refreshToken")

    text = await (await browser.open("/login?rd=/a")).text()

    assert "your browser did not send our cookies back" in text
    assert "http://localhost:8080" in text


async def test_a_page_that_sends_people_back_again_and_again_ends_the_loop(browser):
    await browser.submit("/login", {"username": "alice", "password": PASSWORD, "rd": "/a"})

    answers = [await browser.open("/login?rd=/a") for _ in range(8)]

    assert [answer.status for answer in answers] == [303] * 5 + [200] * 3
    assert "keeps sending you back here" in await answers[-1].text()


async def test_a_first_visit_is_no_return(browser):
    text = await (await browser.open("/login?rd=/a")).text()

    assert "cookies" not in text


async def test_whoever_signs_out_is_rightly_back(browser):
    await browser.submit("/login", {"username": "alice", "password": PASSWORD})
    await browser.submit("/logout")

    text = await (await browser.open("/login")).text()

    assert "did not send our cookies" not in text


async def test_a_count_that_makes_no_sense_counts_as_none(browser):
    for nonsense in ("x", "-1", "999999999999", "\u0661"):
        answer = await browser.open("/login", Cookie=f"gatewayReturns={nonsense}")

        assert answer.status == 200
        assert "cookies" not in await answer.text()
