"""The real Sentinel-2 dates as a public catalogue: items behind a STAC API by others, files behind byte ranges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.imagery_servers import LocalServer, local_server, rustac_server
from support.imagery_world import collection_document
from support.real_cube import Cube, write_real_catalogue, write_real_configuration


@contextmanager
def real_catalogue(cube: Cube, folder: Path) -> Iterator[tuple[Path, LocalServer]]:
    """Serve every date; yields the configuration folder and the server of the files."""
    with local_server(folder) as files:
        items = write_real_catalogue(cube, folder)
        for item in items:
            for asset in item["assets"].values():
                asset["href"] = f"{files.url}/items/{item['id']}/{asset['href'].lstrip('./')}"
        (folder / "collection.json").write_text(json.dumps(collection_document()), encoding="utf-8")
        document = {"type": "FeatureCollection", "features": items}
        (folder / "items.json").write_text(json.dumps(document), encoding="utf-8")
        with rustac_server(folder / "collection.json", folder / "items.json") as url:
            config = folder / "config"
            write_real_configuration(
                cube,
                config,
                kind="stac-api",
                url=url,
                extra={"allow_loopback": True, "allowed_hosts": ["127.0.0.1"]},
            )
            yield config, files
