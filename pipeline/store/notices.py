"""The record of messages: claimed before they are sent, settled after."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, select, update

from pipeline.store.database import Database
from pipeline.store.tables import notifications

Claim = Literal["send", "sent", "uncertain"]


class StoredNotifications:
    """A ledger of messages in the store; each call is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, key: str) -> Claim:
        """Ask for the right to send the message called `key`.

        Returns
        -------
        str
            ``send``: it is now recorded as being sent, and the caller must send it; ``sent``: it was sent;
            ``uncertain``: a process claimed it and never said what became of it.
        """
        with self._database.write() as connection:
            state = connection.execute(select(notifications.c.state).where(notifications.c.key == key)).scalar()
            if state == "sent":
                return "sent"
            if state == "sending":
                return "uncertain"
            if state is None:
                connection.execute(notifications.insert().values(key=key, state="sending", why=""))
            else:
                self._settle(connection, key, "sending", "")
            return "send"

    def sent(self, key: str) -> None:
        """Record that the message went out."""
        with self._database.write() as connection:
            self._settle(connection, key, "sent", "")

    def failed(self, key: str, why: str) -> None:
        """Record that the message did not go out, and why; it may be claimed again."""
        with self._database.write() as connection:
            self._settle(connection, key, "failed", why)

    def states(self) -> dict[str, tuple[str, str]]:
        """Return (state, why) of each message by key."""
        with self._database.read() as connection:
            rows = connection.execute(select(notifications).order_by(notifications.c.key)).mappings()
            return {row["key"]: (row["state"], row["why"]) for row in rows}

    @staticmethod
    def _settle(connection: Connection, key: str, state: str, why: str) -> None:
        connection.execute(update(notifications).where(notifications.c.key == key).values(state=state, why=why))
