"""Who may sit at the desk: one-time tokens, and the sessions they are exchanged for."""

from __future__ import annotations

import hmac
import secrets
import threading
from dataclasses import dataclass

SESSIONS_MAX = 64  # more people than ever sit at one desk; the oldest leaves
INVITATIONS_MAX = 16


@dataclass(frozen=True, slots=True)
class Session:
    """One person at the desk."""

    session_id: str  # value of the cookie
    csrf: str  # every form of this session carries it
    name: str  # as the person signs, and as the words are signed


class Door:
    """Exchanges one-time tokens for sessions; everything is in memory and ends with the process."""

    def __init__(self, token: str) -> None:
        self._tokens = [token]
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def knows(self, token: str) -> bool:
        """Tell whether the token still opens the desk, without using it up."""
        with self._lock:
            return self._find(token) is not None

    def enter(self, token: str, name: str) -> Session | None:
        """Use the token up and open a session; None when the token is wrong or already used."""
        with self._lock:
            found = self._find(token)
            if found is None:
                return None
            self._tokens.remove(found)
            session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), name)
            while len(self._sessions) >= SESSIONS_MAX:
                self._sessions.pop(next(iter(self._sessions)))
            self._sessions[session.session_id] = session
            return session

    def invite(self) -> str:
        """Return a fresh one-time token for another person."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens = [*self._tokens, token][-INVITATIONS_MAX:]
        return token

    def session(self, session_id: str) -> Session | None:
        """Return the session of a cookie, None when there is none."""
        with self._lock:
            return self._sessions.get(session_id)

    def leave(self, session_id: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(session_id, None)

    def _find(self, token: str) -> str | None:
        given = token.encode()
        hits = [known for known in self._tokens if hmac.compare_digest(known.encode(), given)]
        return hits[0] if hits and hits[0] else None
