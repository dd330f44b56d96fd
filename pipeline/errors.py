"""Every error that railwatch raises on purpose: one clear sentence each, under one base."""

from __future__ import annotations


class RailwatchError(Exception):
    """Base of all deliberate errors; its text is one sentence that names the thing and what to do."""

    exit_code: int = 1


class ConfigError(RailwatchError):
    """A configuration file, key or command-line value is wrong; names file and key."""

    exit_code = 2


class SourceError(RailwatchError):
    """A catalogue, tile service or folder cannot be searched; names the source and address."""


class ReadError(RailwatchError):
    """A scene's pixels cannot be read; names item and asset. Becomes a `failed` row, never a zero.

    `transient` is True when the network or a server was at fault: such a scene is tried again in the next
    round. A broken file is not, until its catalogue entry changes.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class HostileInputError(ReadError):
    """A document asks for something outside its source: another host, scheme, path or size."""


class ArchiveError(RailwatchError):
    """A chip in the archive is missing or does not match its checksum; names the file."""


class ImageError(RailwatchError):
    """An image cannot be counted (wrong place, projection, bands, size); names the image and why."""


class StoreError(RailwatchError):
    """The store cannot be opened, migrated or written; names its URL without the password."""


class SeriesError(RailwatchError):
    """A series of counts cannot be judged (impossible numbers); names the observation."""


class ReportError(RailwatchError):
    """A report or evidence pack cannot be written; names the path."""
