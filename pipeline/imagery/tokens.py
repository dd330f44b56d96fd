"""Access tokens from the environment, sent to the hosts that they are meant for and to no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from pipeline.config.schema import SourceConfig
from pipeline.errors import SourceError


def bearer(config: SourceConfig) -> Callable[[str], Mapping[str, str]]:
    """Return a function that gives the authorisation header for an address.

    Raises
    ------
    SourceError
        When the configuration names an environment variable that is not set.
    """
    if not config.bearer_env:
        return lambda _: {}
    token = os.environ.get(config.bearer_env, "")
    if not token or any(ord(c) <= 32 or ord(c) > 126 for c in token):
        raise SourceError(
            f"source {config.name}: environment variable {config.bearer_env} holds no access token; set it or "
            "disable the source."
        )
    hosts = frozenset(host.lower() for host in config.token_hosts)

    def headers(url: str) -> Mapping[str, str]:
        parts = urlsplit(url)
        named = (parts.hostname or "").lower() in hosts
        return {"Authorization": f"Bearer {token}"} if named and parts.scheme == "https" else {}

    return headers
