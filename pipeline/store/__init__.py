"""The store: one schema for SQLite and PostgreSQL, and the identity of its rows."""

from pipeline.store.identity import config_digest, observation_id
from pipeline.store.records import InjectionResult, RoundRecord, SourceFreshness
from pipeline.store.store import Store

__all__ = [
    "InjectionResult",
    "RoundRecord",
    "SourceFreshness",
    "Store",
    "config_digest",
    "observation_id",
]
