"""Alembic's entry: runs inside the transaction of the store that is being opened."""

from __future__ import annotations

from alembic import context

from pipeline.store.tables import metadata


def run() -> None:
    """Run what is missing on the connection that was handed in."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,  # SQLite cannot alter most of a table in place
    )
    # No transaction of Alembic's own: the opening store already holds one, and with it the write lock.
    context.run_migrations()


run()
