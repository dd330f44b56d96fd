"""Which addresses a source may name: everything that a document asks for passes here before it is touched."""

from __future__ import annotations

import ipaddress
import socket
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from pipeline.config.schema import SourceConfig
from pipeline.errors import HostileInputError, ReadError, SourceError

MAX_URL = 8192  # characters; a signed link has about 600
# Cloud providers' metadata services; all but the first lie outside the link-local range.
METADATA = frozenset({"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192"})
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Gate:
    """What one source may open.

    A remote source may open http and https addresses of its own host and of `allowed_hosts`; a source on disk
    may open files below its own folder. Nothing else, whatever a document says.
    """

    source: str
    hosts: tuple[str, ...] = ()
    allow_loopback: bool = False
    root: Path | None = None  # folder of a source on disk

    def check_url(self, url: str) -> str:
        """Return `url` when it may be fetched.

        Raises
        ------
        HostileInputError
            When scheme, host or address is not allowed.
        ReadError
            When it lies in S3, or the host's name cannot be resolved (`transient`).
        """
        shown = shorten(url)
        if len(url) > MAX_URL or any(ord(c) <= 32 or ord(c) == 127 or c == "\\" for c in url):
            raise HostileInputError(f"source {self.source}: {shown} is not a well-formed address; nothing was read.")
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").rstrip(".").lower()
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise HostileInputError(f"source {self.source}: {shown} is not a well-formed address.") from error
        if parts.scheme == "s3":
            raise ReadError(
                f"source {self.source}: {shown} lies in S3, which is read with keys only; set 'signing' to s3 and "
                "give the keys in the environment, or take another source."
            )
        if parts.scheme not in ("http", "https"):
            raise HostileInputError(
                f"source {self.source}: {shown} is not an http or https address; nothing was read."
            )
        if parts.username is not None or parts.password is not None:
            raise HostileInputError(f"source {self.source}: {shown} carries a user name; nothing was read.")
        if not any(_matches(host, pattern) for pattern in self.hosts):
            raise HostileInputError(
                f"source {self.source}: host '{host}' of {shown} is not allowed; nothing was read. Add it to "
                "'allowed_hosts' if it belongs to the source."
            )
        for address in self._addresses(url, host, port):
            self._check_address(address, shown)
        return url

    def local_path(self, href: str, base: Path) -> Path:
        """Return the file that `href`, written in a document of folder `base`, means.

        Raises
        ------
        HostileInputError
            When the file lies outside the source's folder, links included.
        ReadError
            When there is no such file.
        """
        if self.root is None:
            raise HostileInputError(f"source {self.source}: {shorten(href)} is a local file; nothing was read.")
        if len(href) > MAX_URL or any(ord(c) < 32 for c in href):
            raise HostileInputError(f"source {self.source}: {shorten(href)} is not a well-formed path.")
        text = unquote(urlsplit(href).path) if href.startswith("file://") else href
        if "://" in text or text.startswith("/vsi"):
            raise HostileInputError(f"source {self.source}: {shorten(href)} is not a plain file; nothing was read.")
        root = self.root.resolve()
        try:
            path = (base / text).resolve()
            found = path.is_file()
        except (OSError, ValueError, RuntimeError) as error:
            raise HostileInputError(f"source {self.source}: {shorten(href)} is not a usable path.") from error
        if not path.is_relative_to(root):
            raise HostileInputError(
                f"source {self.source}: {shorten(href)} leads out of the catalogue's folder; nothing was read."
            )
        if not found:
            raise ReadError(f"source {self.source}: there is no file {path.relative_to(root)}.")
        return path

    def _addresses(self, url: str, host: str, port: int) -> tuple[Address, ...]:
        """Return the addresses behind a host; none when a proxy resolves it for us."""
        try:
            return (ipaddress.ip_address(host),)
        except ValueError:
            pass
        scheme = urlsplit(url).scheme
        if scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
            return ()
        try:
            return _resolve(host, port)
        except OSError as error:
            raise ReadError(
                f"source {self.source}: host '{host}' cannot be found; is there a network?", transient=True
            ) from error

    def _check_address(self, address: Address, shown: str) -> None:
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if address.is_loopback and self.allow_loopback:
            return
        if (
            address.is_loopback
            or address.is_link_local
            or address.is_unspecified
            or address.is_multicast
            or str(address) in METADATA
        ):
            raise HostileInputError(
                f"source {self.source}: {shown} leads to {address}, an address of this machine or its provider; "
                "nothing was read."
            )


@lru_cache(maxsize=256)
def _resolve(host: str, port: int) -> tuple[Address, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(sorted({ipaddress.ip_address(entry[4][0]) for entry in found}, key=str))


def gate_for(config: SourceConfig, base: Path | None = None) -> Gate:
    """Return the gate of a source from its configuration.

    Parameters
    ----------
    config : SourceConfig
    base : Path, optional
        Folder at which a relative `url` of a source on disk starts.

    Raises
    ------
    SourceError
        When the source has no `url`.
    """
    if not config.url:
        raise SourceError(f"source {config.name}: key 'url' is empty; give the catalogue's address.")
    if is_remote(config.url):
        host = (urlsplit(config.url).hostname or "").lower()
        return Gate(config.name, tuple(dict.fromkeys((host, *config.allowed_hosts))), config.allow_loopback)
    root = catalogue_path(config, base or Path()).parent
    return Gate(config.name, config.allowed_hosts, config.allow_loopback, root)


def catalogue_path(config: SourceConfig, base: Path) -> Path:
    """Return the root document of a static catalogue on disk; a folder means its catalog.json."""
    text = unquote(urlsplit(config.url).path) if config.url.startswith("file://") else config.url
    path = base / Path(text).expanduser()
    return path / "catalog.json" if path.is_dir() else path


def is_remote(href: str) -> bool:
    """Tell whether `href` names something over a network (or any scheme other than file)."""
    return "://" in href and not href.startswith("file://")


def absolute(href: str, document: str) -> str:
    """Return `href` as written in the document at `document`, an address or a path."""
    if not document or is_remote(href) or href.startswith("file://"):
        return href
    return urljoin(document, href) if is_remote(document) else str(Path(document).parent / href)


def shorten(href: str) -> str:
    """Return an address fit for a sentence: no query (signatures stand there), no control characters, 120 long."""
    text = href.split("?", 1)[0].split("#", 1)[0]
    if "@" in text.split("://", 1)[-1].split("/", 1)[0]:  # a user name or password never reaches a log
        head, _, rest = text.partition("://")
        text = f"{head}://…@{rest.split('@', 1)[-1]}"
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 120 else f"{text[:70]}…{text[-45:]}"


def _matches(host: str, pattern: str) -> bool:
    pattern = pattern.lower()
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return bool(host) and host == pattern
