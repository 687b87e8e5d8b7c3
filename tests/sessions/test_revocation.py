from gateway.sessions.revocation import DenySet, Revocation

NOW = 1_800_000_000.0
LIFE = 910_000


def of_session(session_id, at=int(NOW * 1000)):
    return Revocation(at=at, until=at + LIFE, session_id=session_id)


def of_subject(subject, at=int(NOW * 1000)):
    return Revocation(at=at, until=at + LIFE, subject=subject)


def test_nothing_is_denied_before_an_announcement():
    assert not DenySet().denies("s", "alice", NOW, NOW)


def test_tokens_of_an_ended_session_are_denied_and_no_others():
    deny = DenySet()

    deny.add(of_session("s"), NOW)

    assert deny.denies("s", "alice", NOW - 5, NOW)
    assert deny.denies("s", "alice", NOW + 5, NOW + 5)
    assert not deny.denies("t", "alice", NOW - 5, NOW)
    assert deny.ended("s")
    assert not deny.ended("t")


def test_tokens_of_a_subject_from_before_the_announcement_are_denied():
    deny = DenySet()

    deny.add(of_subject("alice"), NOW)

    assert deny.denies("s", "alice", NOW - 1, NOW)
    assert not deny.denies("s", "alice", NOW, NOW)
    assert not deny.denies("s", "bob", NOW - 1, NOW)


def test_an_announcement_for_a_subject_is_exact_to_the_millisecond():
    deny = DenySet()
    at = int(NOW * 1000) + 900

    deny.add(of_subject("alice", at=at), NOW)

    assert deny.denies("old", "alice", (at - 1) / 1000, NOW)
    assert not deny.denies("new", "alice", at / 1000, NOW)


def test_a_later_announcement_for_a_subject_replaces_an_earlier_one_and_never_the_reverse():
    deny = DenySet()
    deny.add(of_subject("alice", at=int(NOW * 1000) + 60_000), NOW)

    assert not deny.add(of_subject("alice"), NOW)
    assert deny.denies("s", "alice", NOW + 30, NOW)
    assert deny.add(of_subject("alice", at=int(NOW * 1000) + 90_000), NOW)
    assert deny.denies("s", "alice", NOW + 80, NOW)
    assert len(deny) == 1


def test_an_entry_outlives_every_token_issued_before_it_and_then_goes():
    deny = DenySet()
    deny.add(of_session("s"), NOW)
    deny.add(of_subject("alice"), NOW)

    assert deny.denies("s", "", NOW, NOW + 909)
    assert len(deny) == 2
    assert not deny.denies("s", "alice", NOW - 1, NOW + 911)
    assert len(deny) == 0


def test_the_store_clock_may_be_far_from_ours():
    deny = DenySet()

    deny.add(of_session("s", at=1), NOW)

    assert deny.denies("s", "", NOW, NOW + 900)
    assert not deny.denies("s", "", NOW, NOW + 912)


def test_more_announcements_than_room_deny_every_token_issued_so_far():
    deny = DenySet(capacity=10)

    for number in range(11):
        deny.add(of_session(f"s{number}"), NOW)

    assert deny.overflows == 1
    assert len(deny) == 0
    assert deny.denies("s3", "alice", NOW - 1, NOW)
    assert deny.denies("innocent", "bob", NOW - 1, NOW)
    assert not deny.denies("innocent", "bob", NOW, NOW)


def test_a_purge_is_bounded_and_catches_up():
    deny = DenySet()
    for number in range(2500):
        deny.add(of_session(f"s{number}"), NOW)
    later = NOW + 911

    sizes = []
    for _ in range(3):
        deny.denies("x", "y", later, later)
        sizes.append(len(deny))

    assert sizes == [1500, 500, 0]


def test_listeners_hear_of_every_new_announcement_once():
    deny = DenySet()
    heard = []
    stop = deny.listen(heard.append)
    first, second = of_session("s"), of_subject("alice")

    deny.add(first, NOW)
    deny.add(first, NOW)
    deny.add(second, NOW)
    stop()
    deny.add(of_session("t"), NOW)

    assert heard == [first, second]


def test_a_listener_may_leave_while_it_listens():
    deny = DenySet()
    heard = []

    def once(revocation):
        heard.append(revocation)
        stop()

    stop = deny.listen(once)
    deny.listen(heard.append)

    deny.add(of_session("s"), NOW)
    deny.add(of_session("t"), NOW)

    assert len(heard) == 3
