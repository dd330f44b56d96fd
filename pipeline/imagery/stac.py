"""Source kind `stac-api`: a STAC API, searched with pystac-client; the whole list is taken or none of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pystac import STACError
from pystac_client import Client
from pystac_client.conformance import ConformanceClasses
from pystac_client.exceptions import APIError
from requests import RequestException
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from pipeline.config.schema import CollectionConfig, SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.guard import GuardedIO, PageTooLargeError
from pipeline.imagery.hosts import gate_for, shorten
from pipeline.imagery.items import parse_item
from pipeline.imagery.remote import Web
from pipeline.imagery.select import area_degrees, select_items
from pipeline.imagery.signing import Signer, open_signer
from pipeline.imagery.tokens import bearer
from pipeline.imagery.window import read_scene
from pipeline.model import Chip, Item, Scene, Site

MAX_PAGES = 2000
Found = tuple[Item, Mapping[str, Any]]


class _PassingError(SourceError):
    """A failure that may pass: the server or the network was at fault."""


@dataclass(frozen=True)
class StacSource:
    """A STAC API."""

    config: SourceConfig
    web: Web
    attempts: int = 4
    wait_s: float = 1.0  # first pause between attempts, doubled each time, with jitter

    def search(self, site: Site, since: datetime, until: datetime) -> tuple[Item, ...]:
        """List the items of the configured collections over the site in a window of time.

        Only what every STAC API understands is asked of the server: collection, box, dates, page size. A
        collection's `query` goes to servers that declare it. All of it is checked and sorted again here.

        Parameters
        ----------
        site : Site
        since, until : datetime
            UTC, both inclusive.

        Returns
        -------
        tuple of Item
            In order of acquisition time, then of id.

        Raises
        ------
        SourceError
            When the server cannot be reached, dies between pages, or sends what is no list of items.
        """
        # A search that died between pages is begun anew: half a list would make scenes look as if they were gone.
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=self.wait_s, max=30.0) + wait_random(0, self.wait_s),
            retry=retry_if_exception_type(_PassingError),
            reraise=True,
        )
        found = retrying(self._search_once, site, since, until)
        return select_items(found, self.config, site, since, until)

    def read(self, site: Site, scene: Scene) -> Chip:
        """Read the site's window of a scene; see `pipeline.imagery.window.read_scene`."""
        return read_scene(self.config, self.web, site, scene)

    def _search_once(self, site: Site, since: datetime, until: datetime) -> list[Found]:
        name, address = self.config.name, shorten(self.config.url)
        try:
            client = self._client()
            found: list[Found] = []
            for collection in self.config.collections:
                found += self._collection(client, collection, site, since, until, self.config.max_items - len(found))
        except (ReadError, PageTooLargeError, APIError) as error:
            raise self._explain(error) from error
        except (RequestException, OSError) as error:
            raise _PassingError(
                f"source {name}: {address} cannot be reached ({type(error).__name__}); is there a network?"
            ) from error
        except (
            STACError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            NotImplementedError,  # pystac-client's word for an API that offers no item search
            RecursionError,
        ) as error:
            raise SourceError(f"source {name}: {address} does not answer as a STAC API does.") from error
        return found

    def _explain(self, error: Exception) -> SourceError:
        """Turn what went wrong into a sentence; pystac-client wraps our own errors into its APIError."""
        inner = error.__context__ if isinstance(error, APIError) else error
        if isinstance(inner, ReadError):
            return _PassingError(str(inner)) if inner.transient else SourceError(str(inner))
        if isinstance(inner, PageTooLargeError):
            return SourceError(f"source {self.config.name}: {inner}")
        status = getattr(error, "status_code", None)
        problem = f"source {self.config.name}: {shorten(self.config.url)} "
        if status is None:
            return _PassingError(problem + "cannot be reached or broke off; is there a network?")
        if status in (408, 425, 429) or status >= 500:
            return _PassingError(f"{problem}answers {status}; try again later or use another source.")
        return SourceError(f"{problem}answers {status}; check key 'url' and the collections.")

    def _client(self) -> Client:
        with warnings.catch_warnings():
            # Servers that forget to declare what they can do are common; we check every answer ourselves.
            warnings.simplefilter("ignore")
            return Client.open(self.config.url, stac_io=GuardedIO(self.web))

    def _collection(
        self, client: Client, collection: CollectionConfig, site: Site, since: datetime, until: datetime, room: int
    ) -> list[Found]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Servers disagree on how "one of several" is written in a query (stac-fastapi 7 refuses `in`): only
            # single values are asked of them.
            single = {key: value for key, value in collection.query.items() if not isinstance(value, tuple)}
            post = _takes_post(client)
            query = single if post and client.conforms_to(ConformanceClasses.QUERY) else {}
            search = client.search(
                method="POST" if post else "GET",
                collections=[collection.id],
                bbox=area_degrees(site).bounds,
                datetime=(max(since, _start(collection, since)), until),
                limit=self.config.page_limit,
                query={key: {"in": list(v)} if isinstance(v, tuple) else {"eq": v} for key, v in query.items()}
                or None,
            )
            return self._pages(search.pages_as_dicts(), collection, room)

    def _pages(self, pages: Any, collection: CollectionConfig, room: int) -> list[Found]:
        name = self.config.name
        found: list[Found] = []
        seen: set[str] = set()
        for number, page in enumerate(pages, start=1):
            features = page.get("features") if isinstance(page, Mapping) else None
            if not isinstance(features, list):
                raise SourceError(f"source {name}: a page of the search holds no list of items.")
            if len(found) + len(features) > room:
                raise SourceError(
                    f"source {name}: more than {self.config.max_items} items; ask for fewer dates, or raise "
                    "'max_items' if that is meant."
                )
            fresh = [f for f in features if isinstance(f, Mapping) and str(f.get("id")) not in seen]
            if features and not fresh:
                raise SourceError(f"source {name}: page {number} of the search repeats earlier pages without end.")
            if number > MAX_PAGES:
                raise SourceError(f"source {name}: the search does not end after {MAX_PAGES} pages.")
            seen.update(str(feature.get("id")) for feature in fresh)
            # A server that ignores `collections` must not slip other products in.
            kept = [f for f in fresh if f.get("collection") in (collection.id, None)]
            found += [(parse_item(feature, self.config, collection), feature) for feature in kept]
        return found


def _takes_post(client: Client) -> bool:
    """Tell whether the server declares searches by POST, whose next pages more servers get right."""
    links = client.get_links("search")
    return any(str(link.extra_fields.get("method", "GET")).upper() == "POST" for link in links)


def _start(collection: CollectionConfig, since: datetime) -> datetime:
    if collection.date_from is None:
        return since
    return datetime.combine(collection.date_from, datetime.min.time(), tzinfo=since.tzinfo)


def open_stac(config: SourceConfig, *, signer: Signer | None = None) -> StacSource:
    """Open a STAC API; nothing is sent before the first search.

    Parameters
    ----------
    config : SourceConfig
        Key `url` is the API's root.
    signer : Signer, optional
        By default the one that the configuration names.

    Raises
    ------
    SourceError
        When the address is not http or no collection is configured.
    """
    if not config.url.startswith(("http://", "https://")):
        raise SourceError(f"source {config.name}: key 'url' must be the http address of a STAC API.")
    if not config.collections:
        raise SourceError(f"source {config.name}: key 'collections' is empty; name at least one.")
    return StacSource(config, Web(gate_for(config), signer or open_signer(config), bearer(config)))
