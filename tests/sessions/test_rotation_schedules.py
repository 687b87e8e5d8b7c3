"""Many short random schedules of one honest browser, against the pure rules alone.

Some wrong rules need tens of thousands of schedules to sign somebody out: requests that cross
answers that cross each other. Seeded, so that a failure can be looked at.
"""

import random
from dataclasses import dataclass, field

from gateway.sessions import rotation
from gateway.sessions.rotation import Renewed, Rules, confirm
from tests.sessions.examples import EPOCH, session

RULES = Rules(grace=3, delivery=6, idle=10_000, ahead=2)


@dataclass
class Browser:
    """Tabs that share a jar, and a network that keeps its two promises and no others."""

    dice: random.Random
    now: int = EPOCH
    jar: int = 1
    access: int = 1
    requests: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    log: list = field(default_factory=list)
    fails_over: bool = False

    def __post_init__(self):
        self.kept = session(ends=EPOCH + 100_000, idle_ends=EPOCH + 10_000)
        self.replica = self.kept

    def step(self):
        if self.fails_over and self.dice.random() < 0.02:
            self.kept = self.replica
        before = self.kept
        self.move()
        # What a failover would take back: the last write, if that was a rotation.
        self.replica = before if self.kept.head > before.head else self.kept

    def move(self):
        move = self.dice.choices(
            [self.send, self.arrive, self.deliver, self.lose, self.use, self.wait],
            [4, 5, 4, 1, 1, 4],
        )[0]
        move()

    def send(self):
        self.requests.append((self.now, self.jar))

    def arrive(self):
        if not self.requests:
            return
        _, generation = self.requests.pop(self.dice.randrange(len(self.requests)))
        outcome = rotation.present(self.kept, generation, self.now, RULES)
        self.log.append((self.now - EPOCH, generation, self.kept, outcome))
        assert isinstance(outcome, Renewed), self.log
        self.kept = outcome.after
        head = self.kept.head if outcome.sends_refresh_token else None
        self.answers.append((self.now, head, self.kept.head))

    def deliver(self):
        if self.answers:
            _, head, access = self.answers.pop(self.dice.randrange(len(self.answers)))
            self.jar, self.access = head or self.jar, access

    def lose(self):
        if self.answers:
            self.answers.pop(self.dice.randrange(len(self.answers)))

    def use(self):
        self.kept = confirm(self.kept, self.access, self.now)

    def wait(self):
        self.now += self.dice.choice([1, 1, 1, 2, 3, 5, 8])
        # Less than grace: at exactly grace after the head was seen, one request may rotate and
        # another still claim the grace of the parent, and in that order the second is a thief.
        self.requests = [one for one in self.requests if self.now - one[0] < RULES.grace]
        self.answers = [one for one in self.answers if self.now - one[0] < RULES.delivery]


def play(schedules, seed, **how):
    dice = random.Random(seed)
    for _ in range(schedules):
        browser = Browser(dice, **how)
        for _ in range(45):
            browser.step()


def test_i2_no_schedule_of_an_honest_browser_signs_it_out():
    play(10_000, seed=20)


def test_r3_no_failover_that_forgets_a_rotation_signs_an_honest_browser_out():
    play(10_000, seed=21, fails_over=True)
