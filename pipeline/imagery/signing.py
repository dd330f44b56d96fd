"""Signed links are made at the moment of the read, and made anew when they have run out."""

from __future__ import annotations

from typing import Protocol

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError


class Signer(Protocol):
    """Turns an address as the catalogue gave it into one that can be read now."""

    def sign(self, href: str, *, fresh: bool = False) -> str:
        """Return a readable address; with `fresh` no earlier signature is used again."""
        ...


class NoSigner:
    """For sources whose links can be read as they are."""

    def sign(self, href: str, *, fresh: bool = False) -> str:
        """Return the address unchanged."""
        del fresh
        return href


class PlanetaryComputerSigner:
    """Signs links of Planetary Computer's storage with a short-lived token, by the `planetary-computer` package."""

    def sign(self, href: str, *, fresh: bool = False) -> str:
        """Return the address with a token.

        Raises
        ------
        ReadError
            When no token can be had (`transient`).
        """
        import warnings

        import requests

        with warnings.catch_warnings():
            # The package (1.0.0) declares its models in a manner that pydantic gives up: nothing a user can act on.
            warnings.simplefilter("ignore")
            import planetary_computer
            from planetary_computer import sas

        if fresh:
            # The package keeps a token until its stated end; a server that ends it earlier needs a new one.
            sas.TOKEN_CACHE.clear()
        try:
            return str(planetary_computer.sign_url(href))
        except (requests.RequestException, ValueError) as error:
            raise ReadError(
                f"the link could not be signed ({type(error).__name__}); try again later.", transient=True
            ) from error


def open_signer(config: SourceConfig) -> Signer:
    """Return the signer that a source's configuration names."""
    return PlanetaryComputerSigner() if config.signing == "planetary-computer" else NoSigner()
