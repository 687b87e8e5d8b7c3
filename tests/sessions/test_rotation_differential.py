"""The rules once more, in another language: whatever happens, both say and leave the same."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sessions.rotation import Refused, Renewed, Rules, Theft, confirm, present
from tests.sessions.examples import EPOCH, session

RULES = Rules(grace=3, delivery=6, idle=40, ahead=2)
ABSOLUTE = 100

# SESSIONS, decision table: the first row that fits, on one hash; but a generation that the store
# has forgotten is taken as the head that it was (docs/decisions/session-rotation.md).
REFERENCE = """
local key, verb, g, now = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local grace, delivery = tonumber(ARGV[4]), tonumber(ARGV[5])
local idle, ahead = tonumber(ARGV[6]), tonumber(ARGV[7])
local f = {}
for i, name in ipairs({'head', 'parent', 'sent', 'confirmed', 'ends', 'idle_ends', 'revoked'}) do
  f[name] = tonumber(redis.call('HGET', key, name))
end
local function set(...) redis.call('HSET', key, ...) end
local function theft(why) set('revoked', now, 'why', why); return 'theft' end
local function succeed(parent, why)
  set('parent', parent, 'head', parent + 1, 'sent', now, 'confirmed', 0,
      'idle_ends', math.min(f.ends, now + idle))
  return why
end

local dead = f.revoked ~= 0 or now >= f.ends or now >= f.idle_ends
if verb == 'confirm' then
  if not dead and g == f.head and f.confirmed == 0 then set('confirmed', now) end
  return 'ok'
end
if verb == 'revoke' then
  if f.revoked == 0 then set('revoked', now, 'why', 'logout') end
  return 'ok'
end
if f.revoked ~= 0 then return 'revoked' end
if dead then return 'expired' end
if g > f.head + ahead then return 'ahead' end
if g > f.head then
  succeed(g - 1, '')
  set('confirmed', now)
  return 'fast-forward'
end
if g == f.head then
  local seen_long_ago = f.confirmed ~= 0 and now - f.confirmed >= grace
  if (seen_long_ago and now - f.sent >= delivery) or now - f.sent >= delivery + grace then
    return succeed(g, 'rotate')
  end
  if f.confirmed == 0 then set('confirmed', now) end
  return 'keep'
end
if g ~= f.parent then return theft('theft:ancestor') end
if f.confirmed == 0 then set('sent', now); return 'redeliver' end
if now - f.confirmed <= grace then set('sent', now); return 'grace' end
return theft('theft:parent')
"""

FIELDS = ("head", "parent", "sent", "confirmed", "ends", "idle_ends", "revoked", "why")

steps = st.lists(
    st.tuples(
        st.sampled_from(["show"] * 8 + ["confirm"] * 3 + ["revoke"]),
        st.integers(-4, 4),  # generations relative to the head
        st.sampled_from([0, 0, 1, 1, 2, 3, 4, 6, 7, 9, 30, -5]),  # how the clock moves
    ),
    max_size=30,
)


def here(kept, verb, generation, now):
    if verb == "confirm":
        return "ok", confirm(kept, generation, now)
    if verb == "revoke":
        return "ok", kept if kept.revoked else kept.revoke(now, "logout")
    outcome = present(kept, generation, now, RULES)
    match outcome:
        case Renewed(why, after):
            return why.value, after
        case Theft(after):
            return "theft", after
        case Refused(why):
            return why.value, kept


@settings(max_examples=150, deadline=None)
@given(steps)
def test_i12_the_rules_agree_with_their_reference(redis_client, steps):
    now = EPOCH
    kept = session(ends=now + ABSOLUTE, idle_ends=now + RULES.idle)
    there = {name: getattr(kept, name) for name in FIELDS}
    redis_client.delete("reference")
    redis_client.hset("reference", mapping=there)
    rules = (RULES.grace, RULES.delivery, RULES.idle, RULES.ahead)

    for verb, relative, moved in steps:
        now += moved
        generation = max(1, kept.head + relative)
        verdict, kept = here(kept, verb, generation, now)

        told = redis_client.eval(REFERENCE, 1, "reference", verb, generation, now, *rules)

        assert told == verdict
        left = redis_client.hgetall("reference")
        assert {name: str(getattr(kept, name)) for name in FIELDS} == left
