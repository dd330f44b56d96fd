"""Where the yard lies among coarse pixels: which pixels see track, in which direction it runs, what lies off it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from pipeline.counting.occupancy.beds import bed_shares
from pipeline.model import Grid, Site, Track, Zone

YARD_REACH_M = 7.0  # beyond half a pixel from a centre line: half a car and most of its shadow
OFF_YARD_M = 45.0  # pixels nearer to a track than this are no control: shadows, embankments, platforms
RING_M = 350.0  # controls within this distance of the tracks speak of the sky above the yard
TILE_M = 80.0  # squares of ground whose light is compared with their own past
SMOOTH_ALONG_M, SMOOTH_ACROSS_M = 14.0, 6.0  # a rake is long and narrow
FLANK_M = (22.0, 65.0)  # from the nearest track: past roofs, shadows and blur, and still the same ground
BESIDE_M = 25.0  # Gaussian radius within which ground beside the tracks speaks for them
OFF_MAX = 2400  # controls beyond this number add time, not knowledge


@dataclass(frozen=True, eq=False)
class Yard:
    """The site as the pixels of one grid see it on one day. N yard pixels, M control pixels."""

    grid: Grid
    index: NDArray[np.intp]  # (N,) flat indices of yard pixels
    axes: NDArray[np.float64]  # (N, 2) position along and across the yard's long axis, scaled to about -1..1
    smooth: csr_matrix  # (N, N) weights of a kernel along the tracks, rows not normalised
    track_share: NDArray[np.float64]  # (T, N) share of a yard pixel that belongs to each track; columns sum to 1
    track_ids: tuple[str, ...]
    heading_rad: float  # of the yard, anticlockwise from east
    track_m: float  # metres of visible track inside the grid
    off: NDArray[np.intp]  # (M,) flat indices of controls
    ring: NDArray[np.bool_]  # (M,) controls near the yard
    tile: NDArray[np.intp]  # (M,) square of ground near the yard that a control belongs to, -1: none
    apron: NDArray[np.intp]  # flat indices of apron pixels
    flank: NDArray[np.intp]  # (F,) flat indices of ground close beside the tracks
    beside: csr_matrix  # (N, F) weights of that ground for each yard pixel
    ballast: NDArray[np.float64]  # (widths, 2, N) share of a pixel's light that comes from track beds, `bed_shares`
    key: str  # digest of everything above


def yard_of(site: Site, grid: Grid, day: date) -> Yard | None:
    """Return the yard as a grid sees it on a day, None when no track lies inside.

    Parameters
    ----------
    site : Site
        Tracks and zones in force on `day` are used; canopy, ignored and apron areas are no yard.
    grid : Grid
        In the site's CRS, north up.
    day : date
    """
    tracks = tuple(sorted(site.tracks_on(day), key=lambda track: track.track_id))
    zones = tuple(zone for kind in ("apron", "canopy", "ignore", "water") for zone in site.zones_on(day, kind))
    digest = hashlib.sha256(repr((grid, site.crs)).encode())
    for track in tracks:
        digest.update(track.track_id.encode() + shapely.to_wkb(track.line))
    for zone in zones:
        digest.update(zone.kind.encode() + shapely.to_wkb(zone.area))
    return _build(_Key(digest.hexdigest()[:24], grid, tracks, zones))


@dataclass(frozen=True)
class _Key:
    """Arguments of the cached build, compared by digest alone."""

    digest: str
    grid: Grid
    tracks: tuple[Track, ...]
    zones: tuple[Zone, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.digest == self.digest

    def __hash__(self) -> int:
        return int(self.digest[:15], 16)


@lru_cache(maxsize=16)
def _build(key: _Key) -> Yard | None:
    grid, tracks = key.grid, key.tracks
    if not tracks:
        return None
    frame = shapely.box(*grid.bounds)
    lines = unary_union([track.line for track in tracks]).intersection(frame)
    hidden = unary_union([zone.area for zone in key.zones if zone.kind != "water"])
    lines = lines.difference(hidden) if not hidden.is_empty else lines
    if lines.is_empty or lines.length < grid.gsd_m:
        return None
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = (np.asarray(v, dtype=np.float64).ravel() for v in grid.to_xy(cols, rows))
    reach = grid.gsd_m / 2 + YARD_REACH_M
    near = _inside(lines.buffer(reach), grid)
    if not hidden.is_empty:
        near &= ~_inside(hidden, grid)
    index = np.flatnonzero(near)
    if index.size < 8:
        return None
    points = np.asarray(shapely.points(x[index], y[index]))
    distance = np.stack([shapely.distance(track.line, points) for track in tracks])
    share = np.exp(-0.5 * (distance / (0.45 * grid.gsd_m)) ** 2) + 1e-12
    share /= share.sum(axis=0)
    xy = np.stack([x[index], y[index]], axis=1)
    centred = xy - xy.mean(axis=0)
    _, _, basis = np.linalg.svd(centred, full_matrices=False)
    axes = centred @ basis.T
    axes /= np.maximum(np.abs(axes).max(axis=0), grid.gsd_m)
    headings = _headings(tracks, distance, points)
    away = ~_inside(lines.buffer(OFF_YARD_M), grid)
    zones = unary_union([zone.area.buffer(grid.gsd_m) for zone in key.zones])
    if not zones.is_empty:
        away &= ~_inside(zones, grid)
    off = np.flatnonzero(away)
    ring_all = _inside(lines.buffer(RING_M), grid).ravel()
    off = _thin(off, ring_all)
    squares = np.floor(x[off] / TILE_M).astype(np.intp) * 100_003 + np.floor(y[off] / TILE_M).astype(np.intp)
    tile = np.where(ring_all[off], np.unique(squares, return_inverse=True)[1], -1)
    apron_area = unary_union([zone.area for zone in key.zones if zone.kind == "apron"])
    apron = np.flatnonzero(_inside(apron_area, grid)) if not apron_area.is_empty else np.empty(0, dtype=np.intp)
    near_by = _inside(lines.buffer(FLANK_M[1]), grid) & ~_inside(lines.buffer(FLANK_M[0]), grid)
    if not zones.is_empty:
        near_by &= ~_inside(zones, grid)
    flank = np.flatnonzero(near_by)
    beside = _beside(xy, np.stack([x[flank], y[flank]], axis=1), max(BESIDE_M, grid.gsd_m))
    doubled = np.exp(2j * headings).mean()
    return Yard(
        grid, index, axes, _kernel(xy, headings, grid.gsd_m), share, tuple(track.track_id for track in tracks),
        float(np.angle(doubled) / 2), float(lines.length), off, ring_all[off], tile, apron, flank,
        beside, bed_shares(lines, grid, index), key.digest,
    )  # fmt: skip


def _inside(area: BaseGeometry, grid: Grid) -> NDArray[np.bool_]:
    """Return pixels whose centre lies inside, (rows, columns)."""
    return np.asarray(
        rasterize([(area, 1)], out_shape=grid.shape, transform=Affine(*grid.transform), fill=0, dtype="uint8") > 0
    )


def _thin(off: NDArray[np.intp], ring: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Keep an even spread of controls, those near the yard twice as densely."""
    chosen = []
    for part, most in ((off[ring[off]], OFF_MAX * 2 // 3), (off[~ring[off]], OFF_MAX // 3)):
        step = max(part.size / most, 1.0)
        chosen.append(part[np.unique((np.arange(int(part.size / step)) * step).astype(np.intp))])
    return np.sort(np.concatenate(chosen))


def _headings(
    tracks: tuple[Track, ...], distance: NDArray[np.float64], points: NDArray[np.object_]
) -> NDArray[np.float64]:
    """Return the direction of the nearest track at each pixel, radians anticlockwise from east."""
    nearest = distance.argmin(axis=0)
    out = np.zeros(len(points))
    for number, track in enumerate(tracks):
        mine = np.flatnonzero(nearest == number)
        if mine.size == 0:
            continue
        at = shapely.line_locate_point(track.line, points[mine])
        ends = [shapely.line_interpolate_point(track.line, np.clip(at + d, 0, track.line.length)) for d in (-5, 5)]
        dx, dy = shapely.get_x(ends[1]) - shapely.get_x(ends[0]), shapely.get_y(ends[1]) - shapely.get_y(ends[0])
        out[mine] = np.arctan2(dy, dx)
    return out


def _beside(yard: NDArray[np.float64], flank: NDArray[np.float64], radius: float) -> csr_matrix:
    """Return Gaussian weights of flank pixels for each yard pixel."""
    if len(flank) == 0:
        return csr_matrix((len(yard), 0))
    pairs = cKDTree(yard).sparse_distance_matrix(cKDTree(flank), 3.0 * radius, output_type="coo_matrix")
    weight = np.exp(-0.5 * (pairs.data / radius) ** 2)
    return csr_matrix((weight, (pairs.row, pairs.col)), shape=(len(yard), len(flank)))


def _kernel(xy: NDArray[np.float64], headings: NDArray[np.float64], gsd_m: float) -> csr_matrix:
    """Return Gaussian weights between yard pixels, long along the track and narrow across it."""
    along, across = max(SMOOTH_ALONG_M, 0.7 * gsd_m), max(SMOOTH_ACROSS_M, 0.4 * gsd_m)
    tree = cKDTree(xy)
    pairs = tree.sparse_distance_matrix(tree, 2.5 * along, output_type="coo_matrix")
    i, j = np.r_[pairs.row, np.arange(len(xy))], np.r_[pairs.col, np.arange(len(xy))]
    d = xy[j] - xy[i]
    u = d[:, 0] * np.cos(headings[i]) + d[:, 1] * np.sin(headings[i])
    v = -d[:, 0] * np.sin(headings[i]) + d[:, 1] * np.cos(headings[i])
    weight = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    keep = weight > 0.02
    matrix = csr_matrix((weight[keep], (i[keep], j[keep])), shape=(len(xy), len(xy)))
    matrix.sum_duplicates()
    return matrix
