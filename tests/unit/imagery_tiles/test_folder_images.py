"""A folder of images: dates, places, bands, and every way an image can be wrong."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasterio.warp import transform_bounds
from shapely.geometry import LineString, box

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.folder import open_folder
from pipeline.model import Item, Scene, Site, Track

EAST, NORTH = 632000.0, 4698000.0
AREA = box(EAST, NORTH - 200.0, EAST + 300.0, NORTH)
SITE = Site(
    "yard",
    "Yard",
    "EPSG:32652",
    AREA,
    (Track("t1", "1", LineString([(EAST + 40, NORTH - 100), (EAST + 260, NORTH - 100)]), "yard"),),
)
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


def source(folder: Path, **extra: object):
    return open_folder(SourceConfig(name="drop", title="Drop", kind="folder", path=str(folder), **extra), folder)


def scene_of(item: Item) -> Scene:
    return Scene(item.item_id, item.source, "vhr", "folder", item.observed_at, item.assets[0].gsd_m or 1.0, (item,))


def picture(bands: int = 3, dtype: str = "uint8", size: tuple[int, int] = (800, 1200)) -> np.ndarray:
    rows, cols = np.mgrid[: size[0], : size[1]]
    top = 200 if dtype == "uint8" else 4000
    return np.stack([(rows * (b + 1) + cols) % top + 1 for b in range(bands)]).astype(dtype)


def write(
    path: Path,
    values: np.ndarray,
    *,
    gsd: float = 0.5,
    crs: str | None = "EPSG:32652",
    west: float = EAST - 100,
    north: float = NORTH + 100,
    driver: str = "GTiff",
    **extra: object,
) -> Path:
    profile = {
        "driver": driver,
        "count": values.shape[0],
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype,
        "transform": Affine(gsd, 0, west, 0, -gsd, north),
    }
    if crs:
        profile["crs"] = crs
    with rasterio.open(path, "w", **profile, **extra) as out:
        out.write(values)
    return path


def read_one(folder: Path, **extra: object):
    reader = source(folder, **extra)
    (item,) = reader.search(SITE, *EVER)
    return reader.read(SITE, scene_of(item))


@pytest.mark.parametrize(
    ("bands", "names"), [(1, ("pan",)), (3, ("red", "green", "blue")), (4, ("red", "green", "blue", "nir"))]
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_own_pixels_are_read_unchanged(tmp_path: Path, bands: int, names: tuple[str, ...], dtype: str) -> None:
    values = picture(bands, dtype)
    colours = {"photometric": "RGB", "alpha": "NO"} if bands == 4 else {}
    write(tmp_path / "img_20231005T021500.tif", values, **colours)
    chip = read_one(tmp_path)
    assert chip.bands == names
    assert chip.values.dtype == values.dtype
    assert chip.grid.gsd_m == 0.5
    assert chip.grid.bounds == (EAST, NORTH - 200.0, EAST + 300.0, NORTH)
    assert chip.valid.all()
    np.testing.assert_array_equal(chip.values, values[:, 200:600, 200:800])
    assert chip.scene.observed_at == datetime(2023, 10, 5, 2, 15, tzinfo=UTC)


def test_other_projection_lands_on_the_right_ground(tmp_path: Path) -> None:
    lon0, lat0, lon1, lat1 = transform_bounds(
        "EPSG:32652", "EPSG:4326", EAST - 50, NORTH - 250, EAST + 350, NORTH + 50
    )
    cols, rows = 900, 700
    dx, dy = (lon1 - lon0) / cols, (lat1 - lat0) / rows
    lon = lon0 + (np.arange(cols) + 0.5) * dx
    lat = lat1 - (np.arange(rows) + 0.5) * dy
    east, north = rasterio.warp.transform("EPSG:4326", "EPSG:32652", np.tile(lon, rows), np.repeat(lat, cols))
    pattern = 2000 + 800 * np.sin(np.array(east) / 9) + 800 * np.cos(np.array(north) / 7)
    values = pattern.reshape(1, rows, cols).astype("uint16")
    path = tmp_path / "a_2023-10-05.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=rows,
        width=cols,
        dtype="uint16",
        crs="EPSG:4326",
        transform=Affine(dx, 0, lon0, 0, -dy, lat1),
    ) as out:
        out.write(values)
    chip = read_one(tmp_path)
    assert chip.grid.crs == "EPSG:32652"
    assert 0.3 < chip.grid.gsd_m < 0.6
    x, y = chip.grid.to_xy(*np.meshgrid(np.arange(chip.grid.width) + 0.5, np.arange(chip.grid.height) + 0.5))
    expected = 2000 + 800 * np.sin(x / 9) + 800 * np.cos(y / 7)
    inner = (slice(5, -5), slice(5, -5))
    assert np.abs(chip.values[0][inner].astype(float) - expected[inner])[chip.valid[inner]].max() < 25


@pytest.mark.parametrize("beside", ["prj", "csv"])
def test_png_with_world_file(tmp_path: Path, beside: str) -> None:
    values = picture(3)
    Image.fromarray(values.transpose(1, 2, 0)).save(tmp_path / "shot_20240617.png")
    (tmp_path / "shot_20240617.pgw").write_text(f"0.5\n0\n0\n-0.5\n{EAST - 100 + 0.25}\n{NORTH + 100 - 0.25}\n")
    if beside == "prj":
        (tmp_path / "shot_20240617.prj").write_text(rasterio.crs.CRS.from_epsg(32652).to_wkt(version="WKT1_ESRI"))
    else:
        (tmp_path / "images.csv").write_text("file,observed_at,crs\nshot_20240617.png,,EPSG:32652\n")
    chip = read_one(tmp_path)
    np.testing.assert_array_equal(chip.values, values[:, 200:600, 200:800])


def test_jpeg2000(tmp_path: Path) -> None:
    values = picture(1, "uint16")
    write(tmp_path / "x_20240617.jp2", values, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES")
    np.testing.assert_array_equal(read_one(tmp_path).values, values[:, 200:600, 200:800])


def test_alpha_and_nodata_are_masks(tmp_path: Path) -> None:
    values = np.concatenate([picture(3), np.full((1, 800, 1200), 255, "uint8")])
    values[3, 300:310, 300:310] = 0
    path = write(tmp_path / "a_20240101.tif", values, photometric="RGB")
    with rasterio.open(path, "r+") as out:
        out.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    chip = read_one(tmp_path)
    assert chip.bands == ("red", "green", "blue")
    assert not chip.valid[100:110, 100:110].any()
    assert chip.valid.sum() == chip.valid.size - 100


def test_dates_in_their_order_of_trust(tmp_path: Path) -> None:
    for name in ("a_20200101.tif", "b_20190101_acq20210709T0217.tif", "c.tif", "d_20230303.tif", "e.tif"):
        write(tmp_path / name, picture(1, size=(400, 600)), west=EAST, north=NORTH)
    with rasterio.open(tmp_path / "c.tif", "r+") as out:
        out.update_tags(TIFFTAG_DATETIME="2022:05:06 02:17:00")
    (tmp_path / "images.csv").write_text("file,observed_at\nd_20230303.tif,2023-04-04T11:00+09:00\n")
    reader = source(tmp_path, time_pattern=r"acq(?P<time>\d{8}T\d{4})")
    items = reader.search(SITE, *EVER)
    found = {item.item_id: item.observed_at for item in items if not item.problem}
    assert found["a_20200101"].date().isoformat() == "2020-01-01"
    assert found["a_20200101"].hour == 3  # local noon at 130.6 E
    assert found["b_20190101_acq20210709T0217"] == datetime(2021, 7, 9, 2, 17, tzinfo=UTC)
    assert found["c"] == datetime(2022, 5, 6, 2, 17, tzinfo=UTC)
    assert found["d_20230303"] == datetime(2023, 4, 4, 2, 0, tzinfo=UTC)
    (undated,) = [item for item in items if item.problem]
    assert undated.problem.startswith("e.tif: no acquisition date")
    assert undated.item_id == "e"
    assert any(text.startswith("e.tif: no acquisition date") for text in reader.problems(SITE))


def test_search_keeps_to_its_window_and_says_when_a_file_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "a_20200101.tif", picture(1, size=(400, 600)), west=EAST, north=NORTH)
    reader = source(tmp_path)
    assert reader.search(SITE, datetime(2020, 2, 1, tzinfo=UTC), EVER[1]) == ()
    before = reader.search(SITE, *EVER)[0].updated
    assert before == reader.search(SITE, *EVER)[0].updated
    write(path, picture(1, size=(400, 600))[:, ::-1], west=EAST, north=NORTH)
    assert reader.search(SITE, *EVER)[0].updated != before


def _bad_cases() -> dict[str, tuple[object, str]]:
    small = picture(1, size=(400, 600))
    nan = np.full((1, 400, 600), np.nan, "float32")
    here = {"west": EAST, "north": NORTH}
    return {
        "another-place": (lambda p: write(p, small, west=EAST + 90000, north=NORTH), "another place"),
        "wrong-projection": (lambda p: write(p, small, crs="EPSG:4326", west=EAST, north=NORTH), "projection"),
        "no-projection": (lambda p: write(p, small, crs=None, **here), "has no projection"),
        "two-bands": (lambda p: write(p, picture(2, size=(400, 600)), **here), "2 bands"),
        "nan": (lambda p: write(p, nan, **here), "no valid pixel"),
        "one-pixel": (lambda p: write(p, small[:, :1, :1], **here), "1 x 1"),
        "constant": (lambda p: write(p, np.full_like(small, 7), **here), "constant"),
        "not-an-image": (lambda p: p.write_bytes(b"<html>sorry</html>"), "cannot be read"),
        "truncated": (lambda p: _truncate(write(p, small, **here)), "cannot be read"),
        "empty": (lambda p: p.write_bytes(b""), "cannot be read"),
        "float64": (lambda p: write(p, small.astype("float64"), **here), "float64"),
        "vrt": (lambda p: p.write_text('<VRTDataset rasterXSize="9" rasterYSize="9"/>'), "cannot be read"),
    }


def _truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])


@pytest.mark.parametrize("left", [0.3, 0.7, 0.999])
def test_a_png_that_is_cut_off_is_an_error_and_never_filled(tmp_path: Path, left: float) -> None:
    path = tmp_path / "cut_20240101.png"
    Image.fromarray(picture(3, size=(400, 600)).transpose(1, 2, 0)).save(path)
    (tmp_path / "cut_20240101.pgw").write_text(f"0.5\n0\n0\n-0.5\n{EAST + 0.25}\n{NORTH - 0.25}\n")
    (tmp_path / "images.csv").write_text("file,crs\ncut_20240101.png,EPSG:32652\n")
    assert read_one(tmp_path).valid.all()
    data = path.read_bytes()
    path.write_bytes(data[: int(left * len(data))])
    with pytest.raises(ReadError, match=r"cut_20240101\.png: the image cannot be read"):
        read_one(tmp_path)


@pytest.mark.parametrize("case", sorted(_bad_cases()))
def test_each_bad_image_is_one_clear_sentence(tmp_path: Path, case: str) -> None:
    make, words = _bad_cases()[case]
    make(tmp_path / f"{case}_20240101.tif")  # type: ignore[operator]
    with pytest.raises(ReadError) as caught:
        read_one(tmp_path)
    text = str(caught.value)
    assert words in text
    assert f"{case}_20240101.tif" in text
    assert "\n" not in text
    assert str(tmp_path) not in text


def test_links_out_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    outside = write(tmp_path / "secret_20240101.tif", picture(1, size=(400, 600)), west=EAST, north=NORTH)
    (tmp_path / "in" / "link_20240101.tif").symlink_to(outside)
    assert source(tmp_path / "in").search(SITE, *EVER) == ()


def test_an_item_cannot_name_a_path(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "secret_20240101.tif", picture(1, size=(400, 600)), west=EAST, north=NORTH)
    item = Item("../secret_20240101", "folder", "drop", "", EVER[0], ())
    scene = Scene("x", "drop", "vhr", "folder", EVER[0], 0.5, (item,))
    with pytest.raises(ReadError, match="no longer"):
        source(tmp_path / "in").read(SITE, scene)


def test_missing_folder_and_bad_notes(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        source(tmp_path / "none").search(SITE, *EVER)
    (tmp_path / "images.csv").write_text("name,observed_at\nx,2020\n")
    with pytest.raises(SourceError, match="columns"):
        source(tmp_path).search(SITE, *EVER)
    (tmp_path / "images.csv").write_text("file,observed_at\nx.tif,yesterday\n")
    with pytest.raises(SourceError, match="line 2"):
        source(tmp_path).search(SITE, *EVER)


@pytest.mark.parametrize("crs", ["EPSG:32652", "EPSG:32653"])
def test_a_huge_image_is_read_by_its_window(tmp_path: Path, crs: str) -> None:
    """30,000 x 30,000 pixels of 3 x 16 bits are 5.4 GB; only the site's window may be held."""
    path = tmp_path / "huge_20240617.tif"
    west, south, east, north = rasterio.warp.transform_bounds("EPSG:32652", crs, *AREA.bounds)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=3,
        width=30000,
        height=30000,
        dtype="uint16",
        crs=crs,
        transform=Affine(0.5, 0, west - 7000, 0, -0.5, north + 7000),
        tiled=True,
        compress="deflate",
        sparse_ok=True,
    ) as out:
        size = (int((north - south) * 2) + 40, int((east - west) * 2) + 40)
        out.write(picture(3, "uint16", size), window=rasterio.windows.Window(13980, 13980, size[1], size[0]))
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_folder_images as t
chip = t.read_one(Path({str(tmp_path)!r}))
assert chip.valid.mean() > 0.99, chip.valid.mean()
# The kernel hands ru_maxrss on over fork and exec, so that it would be this test run's own peak; VmHWM starts anew.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(int(peak.split()[1]) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 500
