"""How many files may be open: as many as the configuration can need, where the system lets us.

Most systems start a process with 1024 and allow it far more, for programs that use select(2); a
gateway that stays there drops clients long before it has as many as it was told to take.
"""

import resource
from contextlib import suppress

from gateway.config.values import Limits

# Listening sockets, files, the store, the operations port, the two ends of each connection to the
# portal.
_BESIDE = 512


def wanted(limits: Limits, upstreams: int) -> int:
    """Return how many descriptors there can be at most, nearly."""
    return limits.connections + upstreams * limits.upstream_connections + _BESIDE


def make_room(limits: Limits, upstreams: int) -> str | None:
    """Have the system allow what is wanted; return what is to be told when it does not."""
    want = wanted(limits, upstreams)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= want:
        return None
    most = want if hard == resource.RLIM_INFINITY else min(want, hard)
    with suppress(OSError, ValueError):  # there are systems that promise more than they give
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft >= want:
        return None
    return (
        f"limits.connections is {limits.connections}, and with {limits.upstream_connections} to "
        f"each upstream {want} files may be open, but the system allows {soft}: "
        "raise it (LimitNOFILE, ulimit -n), or lower the limits"
    )
