"""Signed links are made at the moment of the read, and made anew when they have run out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from pipeline.config.schema import S3Config, SourceConfig
from pipeline.errors import ReadError, SourceError

VALID_S = 3600  # seconds that a link to S3 is good for


class Signer(Protocol):
    """Turns an address as the catalogue gave it into one that can be read now."""

    @property
    def refused(self) -> str:
        """What a refusal means, half a sentence."""
        ...

    def sign(self, href: str, *, fresh: bool = False) -> str:
        """Return a readable address; with `fresh` no earlier signature is used again."""
        ...


GONE = "it is gone or needs an account"


class NoSigner:
    """For sources whose links can be read as they are."""

    refused = GONE

    def sign(self, href: str, *, fresh: bool = False) -> str:
        """Return the address unchanged."""
        del fresh
        return href


class PlanetaryComputerSigner:
    """Signs links of Planetary Computer's storage with a short-lived token, by the `planetary-computer` package."""

    refused = GONE

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


@dataclass(frozen=True)
class S3Signer:
    """Turns s3://bucket/key into a signed https link; other addresses stay as they are."""

    config: S3Config

    @property
    def refused(self) -> str:
        """What a refusal means, half a sentence."""
        keys = f"the keys in {self.config.key_env} and {self.config.secret_env}"
        if self.config.requester_pays:
            return f"it is gone, or {keys} may not read what the requester pays for"
        return f"it is gone, or {keys} may not read it"

    def sign(self, href: str, *, fresh: bool = False) -> str:
        """Return a link that is good for an hour.

        Raises
        ------
        ReadError
            When the address names no object.
        """
        del fresh  # a link is made at each call
        parts = urlsplit(href)
        if parts.scheme != "s3":
            return href
        bucket, key = parts.netloc, unquote(parts.path.lstrip("/"))
        if not bucket or not key or "@" in bucket or parts.query or parts.fragment:
            raise ReadError(f"{parts.scheme}://{bucket[:60]} is not the address of an object in S3.")
        from botocore.exceptions import BotoCoreError

        named = {"Bucket": bucket, "Key": key}
        try:
            return str(_s3_client(self.config).generate_presigned_url("get_object", Params=named, ExpiresIn=VALID_S))
        except BotoCoreError as error:  # a bucket of impossible name
            raise ReadError(f"s3://{bucket[:60]} is not the address of an object in S3.") from error


@lru_cache(maxsize=8)
def _s3_client(config: S3Config) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    client = Session().create_client(
        "s3",
        region_name=config.region,
        endpoint_url=config.endpoint or None,
        aws_access_key_id=os.environ[config.key_env],
        aws_secret_access_key=os.environ[config.secret_env],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path" if config.path_style else "virtual"}),
    )
    if config.requester_pays:
        # botocore would sign it as a header, which who follows the link must send; S3 takes it in the query too.
        client.meta.events.register("before-sign.s3.GetObject", _say_who_pays)
    return client


def _say_who_pays(request: Any, **_: Any) -> None:
    request.params["x-amz-request-payer"] = "requester"


def open_signer(config: SourceConfig) -> Signer:
    """Return the signer that a source's configuration names.

    Raises
    ------
    SourceError
        When it needs keys or a package that are not there.
    """
    if config.signing == "planetary-computer":
        return PlanetaryComputerSigner()
    if config.signing == "none":
        return NoSigner()
    from importlib.util import find_spec

    if find_spec("botocore") is None:
        raise SourceError(
            f"source {config.name}: signing 's3' needs the package botocore; install railwatch[s3] or disable it."
        )
    for name in (config.s3.key_env, config.s3.secret_env):
        if not os.environ.get(name):
            raise SourceError(
                f"source {config.name}: environment variable {name} holds no key for S3; set it or disable it."
            )
    return S3Signer(config.s3)
