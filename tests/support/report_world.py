"""A made-up record for the report's tests and benchmark: two quiet years, a surge to 73, looks as arrays."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from shapely.geometry import LineString, Polygon, box

from pipeline.model import (
    COUNT_MAX,
    Alarm,
    Asset,
    Baseline,
    Count,
    Item,
    Ledger,
    LedgerEntry,
    Look,
    Observation,
    Outcome,
    PublishedCount,
    Railcar,
    RailcarKind,
    Scene,
    Site,
    Surge,
    SurgeStatus,
    Tier,
    Track,
    Verdict,
)
from pipeline.report.data import NextPass, ReportData, SourceState, SourceTerms

EAST, NORTH = 633_000.0, 4_697_000.0
HOSTILE = (
    '</script><script>window.pwned=1</script><img src=x onerror="window.pwned=1">\'"&quot;`${1}{{7*7}}'
    "\u202eevil\u200f\u2028../../etc javascript:alert(1) " + "A" * 10_000
)


def an_id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"report-test:{text}"))


def a_site(hostile: bool = False) -> Site:
    extra = HOSTILE if hostile else ""
    tracks = tuple(
        Track(
            f"yard{i:02d}{extra}",
            f"Yard track {i + 1}{extra}",
            LineString([(EAST + 970 * f, NORTH - 240 * f + 5.15 * i) for f in (0.0, 0.5, 1.0)]),
            "yard",
            valid_from=date(2022, 1, 1) if i == 9 else None,
            provisional=True,
        )
        for i in range(10)
    )
    published = (
        PublishedCount(
            date(2023, 10, 5), date(2023, 10, 5), "count", "73", "railcars", "Planet", f"Beyond Parallel{extra}",
            "stated", "https://example.org/record", scope="yard",
        ),
        PublishedCount(
            date(2018, 10, 1), date(2023, 9, 30), "upper_bound", "20", "railcars", "public imagery",
            "Beyond Parallel", "stated", "https://example.org/record",
        ),
        PublishedCount(
            date(2023, 9, 22), date(2023, 9, 22), "length_m", "320", "m of cargo", "Planet", "38 North", "stated",
            "javascript:alert(1)",
        ),
    )  # fmt: skip
    area = box(EAST - 300, NORTH - 500, EAST + 1300, NORTH + 350)
    return Site("tumangang", f"Tumangang{extra}", "EPSG:32652", area, tracks, (), published)


def likelihood(n: float, sd: float) -> tuple[float, ...]:
    z = (np.arange(COUNT_MAX + 1) - n) / sd
    values = np.exp(-0.5 * z**2)
    return tuple(float(f"{v:.6g}") for v in values / values.max())


def cars_on(site: Site, number: int) -> tuple[Railcar, ...]:
    out = []
    for i in range(number):
        track = site.tracks[(3 * (i // 20) + i // 45) % len(site.tracks)]
        at = 80.0 + 14.6 * (i % 45)
        a, b = track.line.interpolate(at - 6.5), track.line.interpolate(at + 6.5)
        shape = Polygon(LineString([a, b]).buffer(1.55, cap_style="flat").exterior.coords)
        kind = (RailcarKind.ORE, RailcarKind.BOX, RailcarKind.BOX, RailcarKind.TANK)[i % 4]
        out.append(Railcar(shape, track.track_id, at, 13.0, kind, 0.93))
    return tuple(out)


def a_look(site: Site, scene_id: str, at: datetime, gsd: float, number: int, *, cloud: float = 0.0) -> Look:
    rng = np.random.default_rng(int(at.timestamp()) % 2**31)
    grid = site.grid(gsd)
    from scipy.ndimage import gaussian_filter, zoom

    land = np.random.default_rng(7)
    coarse = gaussian_filter(land.normal(0, 1, (40, 64)), 1.4)
    texture = zoom(coarse, (grid.height / 40, grid.width / 64), order=1)[: grid.height, : grid.width]
    rows, cols = np.mgrid[0 : grid.height, 0 : grid.width]
    x, y = grid.to_xy(cols + 0.5, rows + 0.5)
    across = y - NORTH + 240 / 970 * (x - EAST) - 24
    base = 0.11 + 0.05 * texture
    base = np.where(np.abs(across) < 32, 0.19, base)
    base = np.where(np.abs(across - 90) < 16, 0.26, base)
    layers = np.stack([base * f for f in (1.08, 1.0, 0.88, 1.5)])
    step = max(1, int(gsd // 2))
    for car in cars_on(site, number):
        west, south, east, north = car.polygon.bounds
        share = min(1.0, 3.0 / gsd)
        (col0, row0), (col1, row1) = grid.to_pixel(west - gsd, north + gsd), grid.to_pixel(east + gsd, south - gsd)
        part = slice(max(0, int(row0)), int(row1) + 1), slice(max(0, int(col0)), int(col1) + 1)
        px, py = x[part], y[part]
        hit = (px > west - gsd / 2) & (px < east + gsd / 2) & (py > south - gsd / 2) & (py < north + gsd / 2)
        layers[:, *part] = np.where(hit, layers[:, *part] * (1 - 0.45 * share / step * 1.4), layers[:, *part])
    layers += rng.normal(0, 0.004, layers.shape)
    clear = np.ones(grid.shape, dtype=bool)
    if cloud:
        clear = texture < np.quantile(texture, 1 - cloud)
        layers[:, ~clear] += 0.35
    item = Item(
        scene_id, "sentinel-2-c1-l2a", "earth-search", "05.09", at, (Asset("red", "red.tif"),),
        self_href=f"https://example.org/items/{at:%Y%m%d}",
    )  # fmt: skip
    sensor = "vhr" if gsd < 5 else "sentinel-2"
    scene = Scene(
        scene_id,
        "earth-search",
        sensor,
        "S2A",
        at,
        gsd,
        (item,),
        "R103",
        sun_elevation_deg=41.0,
        sun_azimuth_deg=164.0,
    )
    bands = ("red", "green", "blue", "nir")
    return Look(site.name, scene, grid, bands, layers.astype(np.float32), clear, 1.0 - cloud)


def spread(site: Site, number: float) -> dict[str, float]:
    cars = cars_on(site, round(number))
    return {t.track_id: float(sum(c.track_id == t.track_id for c in cars)) for t in site.tracks}


def an_observation(site: Site, i: int, at: datetime, number: float | None, why: str, hostile: bool) -> Observation:
    extra = HOSTILE if hostile else ""
    scene_id = f"S2{'AB'[i % 2]}_{at:%Y%m%d}_R{'103' if i % 2 else '003'}{extra}"
    fine = number is not None and number >= 70
    outcome = {"cloud": Outcome.REJECTED, "snow": Outcome.REJECTED, "broken": Outcome.FAILED}.get(
        why, Outcome.FLAGGED
    )
    sd = 1.5 if fine else 3.2
    count = None
    if number is not None:
        low, high = max(0.0, number - 1.645 * sd), number + 1.645 * sd
        cars = cars_on(site, round(number)) if fine else ()
        kinds: dict[str, float] = {}
        for car in cars:
            kinds[car.kind.value] = kinds.get(car.kind.value, 0.0) + 1.0
        count = Count(
            number, round(low, 1), round(high, 1), 3.0 if fine else 12.0, likelihood(number, sd),
            "resolved" if fine else "occupancy", "1.0", ("TRACKS_PROVISIONAL",), kinds,
            spread(site, number), 2.0, cars,
        )  # fmt: skip
    flags = {"cloud": ("CLOUDY",), "snow": ("SNOW",), "broken": ()}.get(why, ("TRACKS_PROVISIONAL",))
    detail = {
        "cloud": "12 % of the track area was clear, 60 % are asked for.",
        "snow": "NDSI over the tracks is 0.61, snow above 0.35.",
        "broken": f"item {scene_id[:40]}, asset red: the file ends in the middle of a block.",
    }.get(why, "")
    return Observation(
        an_id(f"o{i}"), site.name, scene_id, at, "vhr" if fine else "sentinel-2", "S2A", "R103",
        1.0 if fine else 10.0, outcome, 0.12 if why == "cloud" else 1.0, flags,
        count.method if count else "occupancy", "1.0", "c" * 32, detail + (extra if detail else ""), count,
        (f"S2A_52TFM_{at:%Y%m%d}_0_L2A{extra}", f"S2A_52TFN_{at:%Y%m%d}_0_L2A"), "earth-search", "05.09",
        sun_elevation_deg=41.0,
    )  # fmt: skip


def a_surge(
    site: Site, obs: Sequence[Observation], first: int, last: int, *, open_: bool, tier: Tier, extra: str
) -> Surge:
    seen = [o for o in obs[first : last + 1] if o.count is not None]
    before = [o for o in obs[:first] if o.count is not None][-1]
    peak = max(seen, key=lambda o: o.count.railcars if o.count else 0.0)
    assert peak.count is not None
    return Surge(
        an_id(f"surge{first}"), site.name, tier, SurgeStatus.CONFIRMED if open_ else SurgeStatus.ENDED,
        before.observed_at, seen[0].observed_at, seen[0].observed_at, peak.observed_at, peak.count.railcars, 6.0, 0.0,
        14.0, peak.count.railcars / 6.0, 0.05, None if open_ else obs[last].observed_at, "",
        tuple(o.observation_id for o in seen),
        f"{peak.observed_at:%Y-%m-%d}: saw {peak.count.railcars:.0f} ({peak.count.low:.0f}–{peak.count.high:.0f}). "
        "Expected 6 (90 %: 0–14). Ratio 12 (8–20). Such a look is expected less than once in 20 years. Highest in 2 "
        f"years. Onset between {before.observed_at:%m-%d} and {seen[0].observed_at:%m-%d}. Confirmed by the next "
        f"clear look: yes.{extra}",
    )  # fmt: skip


def a_report(
    *,
    years: float = 2.0,
    surges: int = 1,
    step_days: float = 5.0,
    hostile: bool = False,
    seed: int = 3,
    resolved: bool = False,
) -> ReportData:
    """Make a record that ends on 2023-10-12 with an open surge; earlier surges are spaced over the past."""
    site, rng = a_site(hostile), np.random.default_rng(seed)
    end = datetime(2023, 10, 11, 2, 20, tzinfo=UTC)
    total = int(years * 365.25 / step_days)
    start = end - timedelta(days=step_days * (total - 1))
    starts = [total - 4] + [int((k + 1) * total / (surges + 1)) for k in range(surges - 1)]
    spans = {s: (s, min(s + 3, total - 1)) for s in starts}
    observations = []
    for i in range(total):
        at = start + timedelta(days=step_days * i, minutes=float(rng.integers(0, 9)))
        inside = next((k for k, (a, b) in spans.items() if a <= i <= b), None)
        draw = rng.uniform()
        month = at.month
        if inside is not None:
            number: float | None = float(
                [48, 73, 66, 61][i - inside] if inside == total - 4 else (70 if resolved else 30) + 4 * (i - inside)
            )
            why = ""
        elif draw < (0.55 if month in (5, 6, 7, 8) else 0.25):
            number, why = None, "cloud"
        elif month in (12, 1, 2) and draw < 0.5:
            number, why = None, "snow"
        elif draw > 0.985:
            number, why = None, "broken"
        else:
            number, why = float(min(20, max(0, round(rng.gamma(1.2, 5.0))))), ""
        observations.append(an_observation(site, i, at, number, why, hostile))
    counted = [o for o in observations if o.count is not None]
    baselines = tuple(Baseline(o.observed_at, 6.0, 0.0, 14.0 + (k % 3), 40) for k, o in enumerate(counted) if k > 8)
    extra = HOSTILE if hostile else ""
    found = [
        a_surge(
            site,
            observations,
            a,
            b,
            open_=a == total - 4,
            tier=Tier.HIGH if a == total - 4 else Tier.WATCH,
            extra=extra,
        )
        for a, b in spans.values()
    ]
    by_id = {o.observation_id: o for o in observations}
    alarms = tuple(
        Alarm(site.name, s.observation_ids[0], s.first_alarm_at, s.tier, "look", s.alarm_rate_per_year, 8.0)
        for s in found
    )
    verdicts = (
        Verdict(an_id("v1"), site.name, "surge", found[0].surge_id, "confirm", f"A. Analyst{extra}",
                f"Rows of box cars on tracks 1 to 4.{extra}", end + timedelta(hours=7)),
        Verdict(an_id("v2"), site.name, "count", counted[-6].observation_id, "correct", "B. Analyst",
                "Seven, by eye.",
                end + timedelta(hours=8), railcars=7.0),
    )  # fmt: skip

    @lru_cache(maxsize=8)
    def look_for(scene_id: str) -> Look | None:
        row = next((o for o in observations if o.scene_id == scene_id), None)
        if row is None:
            return None
        number = round(row.count.railcars) if row.count else 0
        return a_look(site, scene_id, row.observed_at, row.gsd_m, number, cloud=0.1)

    failed = tuple(
        LedgerEntry("acquire", o.scene_id, "failed", o.detail) for o in by_id.values() if o.outcome is Outcome.FAILED
    )
    return ReportData(
        site, date(2023, 10, 12), tuple(observations), tuple(found), baselines, alarms, verdicts,
        (
            SourceState("earth-search", f"Earth Search v1{extra}", end, end + timedelta(hours=20)),
            SourceState("planetary-computer", "Planetary Computer", end - timedelta(days=40), end,
                        f"the server answered 503{extra}"),
        ),
        Ledger(failed[-3:]),
        (
            NextPass(end + timedelta(days=2, minutes=5), "S2B", "R003", "sentinel-2", "10-day repeat"),
            NextPass(end + timedelta(days=5, minutes=-3), "S2A", "R103", "sentinel-2", "10-day repeat"),
        ),
        (SourceTerms("earth-search", f"Contains modified Copernicus Sentinel data{extra}", "Free and open",
                     "https://earth-search.aws.element84.com/v1"),
         SourceTerms("folder", "An image", "As agreed", "javascript:alert(1)")),
        {"railwatch": "0.1.0", "occupancy": "1.0", "resolved": "1.0"},
        {"simulated quiet years": 600, "false alarms a year, tier alert": 0.46,
         "interval coverage on held-out simulated looks": 0.91, f"note{extra[:30]}": f"simulated{extra}"},
        "c" * 32, "", (f"A late look of 2023-10-01 changed nothing.{extra}",), (), 12, (), look_for,
    )  # fmt: skip


def quiet_report() -> ReportData:
    """The same record without its surge."""
    data = a_report()
    return replace(data, surges=(), alarms=(), verdicts=(), observations=data.observations[:-4])
