"""The work of railwatch: a scene becomes a chip, a chip a count, counts become surges, surges pages."""

__version__ = "0.1.0"
