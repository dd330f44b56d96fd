"""Static catalogues on disk: walked whole, never left, one bad file no reason to lose the rest."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.imagery_world import (
    BANDS,
    SINCE,
    UNTIL,
    acquisition,
    in_site,
    numbers,
    reflectance,
    small_site,
    source_config,
    write_item,
)

from pipeline.errors import HostileInputError, ReadError, SourceError
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source
from pipeline.model import Item
from pipeline.simulate.catalogue import write_catalogue

SITE = small_site()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    catalogue = tmp_path / "catalogue #1?"  # a folder's name may hold what an address may not
    bands, classes = reflectance(8)
    names = []
    for day in (0, 5):
        what = acquisition(day=day)
        write_item(catalogue, numbers(bands, 1000), classes, what)
        names.append(what.item_id)
    write_catalogue(catalogue, "two items", names)
    return catalogue


def search(folder: Path, **changes: Any) -> tuple[Item, ...]:
    return open_source(source_config("stac-static", "catalog.json", **changes), base=folder).search(
        SITE, SINCE, UNTIL
    )


def rewrite(path: Path, change: Any) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def item_path(folder: Path, day: int = 0) -> Path:
    name = acquisition(day=day).item_id
    return folder / "items" / name / f"{name}.json"


def test_a_catalogue_on_disk_is_read_to_the_last_number(folder: Path) -> None:
    source = open_source(source_config("stac-static", str(folder)), base=Path("/nowhere"))
    scenes, _ = scenes_from_items(source.search(SITE, SINCE, UNTIL), ["made"])
    assert [scene.scene_id for scene in scenes] == ["S2A_20231006_R103", "S2A_20231011_R103"]
    chip = source.read(SITE, scenes[0])
    bands, classes = reflectance(8)
    dn = numbers(bands, 1000)
    assert chip.bands == BANDS
    assert np.array_equal(chip.values[:4], in_site(np.stack([dn[name] for name in BANDS[:4]])))
    assert chip.classes is not None
    assert (chip.classes == in_site(classes)).mean() > 0.99
    assert chip.scale == (1e-4,) * 5
    assert chip.offset == (-0.1,) * 5


def test_dates_place_query_and_collection_are_checked_here(folder: Path) -> None:
    assert len(search(folder)) == 2
    when = acquisition().observed_at
    source = open_source(source_config("stac-static", "catalog.json"), base=folder)
    assert len(source.search(SITE, when, when)) == 1
    assert len(source.search(SITE, when + timedelta(seconds=1), UNTIL)) == 1
    collection = source_config("stac-static", "x").collections[0].model_dump()
    only_b = [{**collection, "query": {"platform": ["sentinel-2b"]}}]
    assert search(folder, collections=only_b) == ()
    early = [{**collection, "date_to": "2023-10-07"}]
    assert len(search(folder, collections=early)) == 1
    rewrite(item_path(folder), lambda d: d.update(geometry=None, bbox=[10, 10, 11, 11]))
    assert len(search(folder)) == 1


def test_one_broken_item_is_listed_and_the_rest_is_there(folder: Path) -> None:
    item_path(folder).write_text('{"type": "Feature", "id": ')
    found = search(folder)
    assert len(found) == 2
    scenes, ledger = scenes_from_items(found, ["made"])
    assert len(scenes) == 1
    assert "is not JSON" in ledger.of("failed")[0].detail


@pytest.mark.parametrize(
    "href", ["../../outside.json", "/etc/passwd", "file:///etc/passwd", "http://x.example/i.json"]
)
def test_a_link_out_of_the_folder_is_not_followed(folder: Path, href: str) -> None:
    (folder.parent / "outside.json").write_text(item_path(folder).read_text())
    rewrite(folder / "catalog.json", lambda d: d["links"].append({"rel": "item", "href": href}))
    found = search(folder)
    assert len([item for item in found if not item.problem]) == 2
    (said,) = [item.problem for item in found if item.problem]
    assert "leads out of" in said
    assert "root:" not in said


@pytest.mark.parametrize(
    "href", ["../../../secret.tif", "/etc/passwd", "/vsimem/x.tif", "https://x.example/blue.tif"]
)
def test_an_asset_out_of_the_folder_is_not_read(folder: Path, href: str) -> None:
    (folder.parent / "secret.tif").write_bytes((item_path(folder).parent / "blue.tif").read_bytes())
    rewrite(item_path(folder), lambda d: d["assets"]["blue"].update(href=href))
    source = open_source(source_config("stac-static", "catalog.json"), base=folder)
    scenes, _ = scenes_from_items(source.search(SITE, SINCE, UNTIL), ["made"])
    with pytest.raises(HostileInputError, match="asset blue"):
        source.read(SITE, scenes[0])


def test_a_symbolic_link_out_of_the_folder_is_not_read(folder: Path) -> None:
    blue = item_path(folder).parent / "blue.tif"
    (folder.parent / "secret.tif").write_bytes(blue.read_bytes())
    blue.unlink()
    blue.symlink_to(folder.parent / "secret.tif")
    source = open_source(source_config("stac-static", "catalog.json"), base=folder)
    scenes, _ = scenes_from_items(source.search(SITE, SINCE, UNTIL), ["made"])
    with pytest.raises(HostileInputError, match="leads out of"):
        source.read(SITE, scenes[0])


@pytest.mark.parametrize("content", [b"", b"II*\x00", b"<html>", b'<VRTDataset rasterXSize="1"/>', b"\x1f\x8b\x08"])
def test_a_corrupt_file_names_item_and_asset_and_is_not_worth_another_try(folder: Path, content: bytes) -> None:
    (item_path(folder).parent / "red.tif").write_bytes(content)
    source = open_source(source_config("stac-static", "catalog.json"), base=folder)
    scenes, _ = scenes_from_items(source.search(SITE, SINCE, UNTIL), ["made"])
    with pytest.raises(ReadError, match=r"item S2A_52TFM_20231006_0_L2A, asset red: ") as caught:
        source.read(SITE, scenes[0])
    assert not caught.value.transient
    assert source.read(SITE, scenes[1]).valid.all()


def test_a_file_cut_in_half_is_an_error_and_never_a_zero(folder: Path) -> None:
    red = item_path(folder).parent / "red.tif"
    red.write_bytes(red.read_bytes()[: red.stat().st_size // 2])
    source = open_source(source_config("stac-static", "catalog.json"), base=folder)
    scenes, _ = scenes_from_items(source.search(SITE, SINCE, UNTIL), ["made"])
    with pytest.raises(ReadError, match="asset red"):
        source.read(SITE, scenes[0])


def test_a_catalogue_in_a_circle_ends(folder: Path) -> None:
    circle = [{"rel": "child", "href": "./catalog.json"}, {"rel": "child", "href": "../catalogue #1?/catalog.json"}]
    rewrite(folder / "catalog.json", lambda d: d["links"].extend(circle))
    assert len(search(folder)) == 2


def test_a_catalogue_without_end_is_broken_off(folder: Path) -> None:
    for depth in range(20):
        child = {"type": "Catalog", "links": [{"rel": "child", "href": f"./c{depth + 1}.json"}]}
        (folder / f"c{depth}.json").write_text(json.dumps(child))
    rewrite(folder / "catalog.json", lambda d: d["links"].append({"rel": "child", "href": "./c0.json"}))
    with pytest.raises(SourceError, match="deeper than"):
        search(folder)


@pytest.mark.parametrize(
    ("content", "said"), [("", "is not JSON"), ("[]", "not a STAC document"), ("[" * 100_000, "is not JSON")]
)
def test_a_broken_root_is_an_error(folder: Path, content: str, said: str) -> None:
    (folder / "catalog.json").write_text(content)
    with pytest.raises(SourceError, match=said):
        search(folder)


def test_more_items_than_allowed_are_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match="more than 1 items"):
        search(folder, max_items=1)


def test_a_missing_catalogue_and_a_disabled_source_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no catalogue"):
        search(tmp_path)
    with pytest.raises(SourceError, match="disabled: needs an account"):
        search(tmp_path, enabled=False, disabled_reason="needs an account")


def test_a_token_that_is_not_set_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    with pytest.raises(SourceError, match="NO_SUCH_TOKEN"):
        search(folder, bearer_env="NO_SUCH_TOKEN")
