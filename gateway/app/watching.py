"""Sees to it that what a session has open ends with it."""

import asyncio

from gateway.proxy.streams import Streams
from gateway.sessions.revocation import DenySet, Revocation
from gateway.sessions.store import Store, StoreUnavailable

_RECHECK_SECONDS = 30.0


def end_streams_of_ended_sessions(deny: DenySet, streams: Streams) -> None:
    """Close WebSockets and event streams as soon as the end of their session is announced."""

    def announced(revocation: Revocation) -> None:
        if revocation.session_id is not None:
            streams.end_session(revocation.session_id)
        if revocation.subject is not None:
            streams.end_subject(revocation.subject)

    deny.listen(announced)


async def recheck_streams(streams: Streams, store: Store) -> None:
    """Ask the store now and then whether sessions with something open are still alive.

    An access token's expiry ends nothing while its session lives; the session's own end does. Who
    cannot be asked has not said no.
    """
    while True:
        await asyncio.sleep(_RECHECK_SECONDS)
        for session_id in streams.sessions():
            try:
                stored = await store.get(session_id)
            except StoreUnavailable:
                break
            if stored is None or not stored.session.alive(stored.now):
                streams.end_session(session_id)
