"""Kinds of railcar over time, and a note when their mix changes, at a stated rate of false notes a year.

In mid-2024 ore and tank cars stood at Tumangang where box cars had been: the number of cars is not all that a yard
says. Only looks that resolve kinds take part. The past mix is a Dirichlet-multinomial, because a yard holds trains
and a train is mostly of one kind: cars of one look are far from independent, by how much the past looks show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pipeline.config import AlarmSettings
from pipeline.model import Observation, Outcome, RailcarKind, Tier
from pipeline.traffic.likelihood import DAYS_A_YEAR, UNJUDGED

FloatArray = NDArray[np.float64]

KINDS = tuple(kind for kind in RailcarKind if kind is not RailcarKind.UNKNOWN)
LEAST_CARS = 10  # cars of a known kind; fewer make no mix
LEAST_SHARE = 0.25  # of the cars that would have to be of another kind: the effect floor
CALM_LOOKS = 2  # looks of the usual mix that end a change
DRAWS = 5_000  # simulated looks behind a rate
CONCENTRATIONS = np.geomspace(0.5, 500.0, 40)  # of the mix from look to look; the smaller, the more it varies
CONCENTRATION_PRIOR = (np.log(8.0), 1.2)  # mean and sd of its log: trains of twenty cars, mostly of one kind


@dataclass(frozen=True, slots=True)
class KindCount:
    """Railcars by kind in one look."""

    observation_id: str
    observed_at: datetime  # UTC
    railcars: Mapping[str, float]  # RailcarKind value to railcars, every kind named, `unknown` included


@dataclass(frozen=True, slots=True)
class KindChange:
    """A look whose mix of kinds is not that of the past."""

    observation_id: str
    observed_at: datetime
    tier: Tier
    rate_per_year: float  # how often quiet mixes give a look at least as unlike; never below what was simulated
    distance: float  # share of the cars that would have to be of another kind, 0..1
    shares: Mapping[str, float]  # of this look, kind to share
    usual: Mapping[str, float]  # of the past
    looks: int  # past looks behind it
    regime: bool  # True: the new mix has stayed so long that it is the usual one from here on
    sentence: str


def counts_by_kind(observations: Sequence[Observation]) -> tuple[KindCount, ...]:
    """Return the counts by kind of every look that resolves them, by date; of one day, the look with most cars."""
    days: dict[object, KindCount] = {}
    for row in sorted(observations, key=lambda row: (row.observed_at, row.observation_id)):
        if row.count is None or row.outcome not in (Outcome.COUNTED, Outcome.FLAGGED) or row.superseded_by:
            continue
        if not row.count.by_kind or not UNJUDGED.isdisjoint((*row.flags, *row.count.flags)):
            continue
        full = {kind.value: float(row.count.by_kind.get(kind.value, 0.0)) for kind in RailcarKind}
        at = row.observed_at.astimezone(UTC)
        made = KindCount(row.observation_id, at, full)
        former = days.get(at.date())
        if former is None or sum(former.railcars.values()) < sum(full.values()):
            days[at.date()] = made
    return tuple(days.values())


def kind_changes(observations: Sequence[Observation], settings: AlarmSettings) -> tuple[KindChange, ...]:
    """Return the looks at which the mix of kinds changed, by date.

    What is said of a look depends on looks up to it only. A change is told once, when it begins; while it lasts the
    past mix is frozen, and after `new_regime_days` the new mix is the usual one, which is told too.

    Parameters
    ----------
    observations : sequence of Observation
        Rows of the series in any order; those without kinds say nothing.
    settings : AlarmSettings
        Window, guard, dwell and the rates of the tiers are those of the total.
    """
    mixes = [(look, _vector(look)) for look in counts_by_kind(observations)]
    mixes = [(look, vector) for look, vector in mixes if vector.sum() >= LEAST_CARS]
    days = np.array([look.observed_at.timestamp() / 86400.0 for look, _ in mixes])
    usable = np.ones(len(mixes), dtype=np.bool_)  # looks that may stand behind later ones
    out: list[KindChange] = []
    began: float | None = None  # day on which the running change began
    calm: list[int] = []
    for i, (look, vector) in enumerate(mixes):
        frozen = days[i] if began is None else began
        past = np.flatnonzero(
            usable[:i]
            & (days[:i] < frozen - settings.guard_days)
            & (days[:i] >= frozen - settings.guard_days - settings.baseline_days)
        )
        past = _apart(past, days, settings.dwell_days)
        if len(past) < settings.min_baseline_looks:
            continue
        found = _judge(look, vector, np.array([mixes[j][1] for j in past]), days[past], settings)
        if began is None:
            if found is not None:
                out.append(found)
                began, calm = float(days[i]), []
            continue
        calm = [*calm, i] if found is None else []
        if len(calm) >= CALM_LOOKS:
            # A change that ended belongs to how much this yard's mix varies: left out, odd looks would seem rarer.
            began = None
        elif days[i] - began >= settings.new_regime_days:
            usable[days < began] = False
            began = None
            if found is not None:
                out.append(_as_regime(found))
    return tuple(out)


def _judge(
    look: KindCount, vector: FloatArray, past: FloatArray, days: FloatArray, settings: AlarmSettings
) -> KindChange | None:
    """Return the change that a look shows against past mixes (looks, kinds), None when it shows none."""
    usual = (past.sum(axis=0) + 0.5) / (past.sum() + 0.5 * len(KINDS))
    total = round(float(vector.sum()))
    shares = vector / vector.sum()
    distance = 0.5 * float(np.abs(shares - usual).sum())
    if distance < LEAST_SHARE:
        return None
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(look.observation_id.encode()).digest()[:8], "big"))
    drawn = _quiet_mixes(past, usual, total, rng)
    odd = int(np.sum(_unlike(drawn, usual) >= _unlike(vector[None, :], usual)[0] - 1e-9))
    years = max(float(days[-1] - days[0]), 60.0) / DAYS_A_YEAR
    rate = (odd + 1) / (len(drawn) + 1) * len(days) / years
    tier = _tier(rate, settings)
    if tier is None:
        return None
    named = [(kind.value, float(s), float(u)) for kind, s, u in zip(KINDS, shares, usual, strict=True)]
    moved = sorted((row for row in named if abs(row[1] - row[2]) >= 0.05), key=lambda row: -abs(row[1] - row[2]))
    told = ", ".join(f"{kind} {share:.0%} (usual {u:.0%})" for kind, share, u in moved[:4])
    sentence = (
        f"{look.observed_at:%Y-%m-%d}: the mix of kinds changed: {told}; {total} cars. "
        f"Such a mix is expected {_often(rate)}, judged on {len(past)} earlier looks."
    )
    return KindChange(
        look.observation_id,
        look.observed_at,
        tier,
        rate,
        distance,
        {kind: share for kind, share, _ in named},
        {kind: u for kind, _, u in named},
        len(past),
        False,
        sentence,
    )


def _as_regime(found: KindChange) -> KindChange:
    sentence = found.sentence.replace("the mix of kinds changed", "the changed mix of kinds is the usual one now", 1)
    return KindChange(
        found.observation_id,
        found.observed_at,
        found.tier,
        found.rate_per_year,
        found.distance,
        found.shares,
        found.usual,
        found.looks,
        True,
        sentence,
    )


def _quiet_mixes(past: FloatArray, usual: FloatArray, total: int, rng: np.random.Generator) -> FloatArray:
    """Draw (DRAWS, kinds) looks of `total` cars from past looks, whose mean and variability are uncertain."""
    size = past.sum(axis=1)
    others = past.sum(axis=0) - past + 0.5  # each look is held against the mean of the others, not its own
    others = others / others.sum(axis=1, keepdims=True)
    log_weight = np.array([_log_likelihood(past, size, others, c) for c in CONCENTRATIONS])
    middle, spread = CONCENTRATION_PRIOR
    log_weight = log_weight - 0.5 * ((np.log(CONCENTRATIONS) - middle) / spread) ** 2
    weight = np.exp(log_weight - log_weight.max())
    varied = rng.choice(CONCENTRATIONS, size=DRAWS, p=weight / weight.sum())
    # Cars of a look count for fewer, the more the mix varies: n looks like n (c + 1) / (n + c) independent ones.
    worth = (size[None, :] * (varied[:, None] + 1.0) / (size[None, :] + varied[:, None])).sum(axis=1)
    mean = _dirichlet(worth[:, None] * usual[None, :], rng)
    mixes = _dirichlet(varied[:, None] * mean, rng)
    return np.asarray(rng.multinomial(total, mixes), dtype=np.float64)


def _dirichlet(alpha: FloatArray, rng: np.random.Generator) -> FloatArray:
    drawn = rng.standard_gamma(np.maximum(alpha, 1e-3)) + 1e-12
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))


def _log_likelihood(past: FloatArray, size: FloatArray, usual: FloatArray, concentration: float) -> float:
    """Return the log likelihood of past looks under a Dirichlet-multinomial, constants of the looks left out."""
    alpha = concentration * usual
    each = gammaln(concentration) - gammaln(size + concentration)
    each = each + (gammaln(past + alpha) - gammaln(alpha)).sum(axis=1)
    return float(each.sum())


def _unlike(mixes: FloatArray, usual: FloatArray) -> FloatArray:
    """Return how unlike the usual mix each of (looks, kinds) is: twice the log likelihood ratio of a look."""
    total = mixes.sum(axis=1, keepdims=True)
    ratio = np.where(mixes > 0, mixes / (total * usual), 1.0)
    return np.asarray(2.0 * (mixes * np.log(ratio)).sum(axis=1))


def _vector(look: KindCount) -> FloatArray:
    return np.array([max(look.railcars[kind.value], 0.0) for kind in KINDS])


def _apart(past: NDArray[np.int64], days: FloatArray, dwell_days: float) -> NDArray[np.int64]:
    """Return looks of distinct states: those closer than a stay saw the same trains, and the later one stands."""
    kept: list[int] = []
    for i in past[::-1]:
        if not kept or days[kept[-1]] - days[i] >= dwell_days:
            kept.append(int(i))
    return np.array(kept[::-1], dtype=np.int64)


def _tier(rate: float, settings: AlarmSettings) -> Tier | None:
    if rate <= settings.high_per_year:
        return Tier.HIGH
    if rate <= settings.budget_per_year:
        return Tier.ALERT
    return Tier.WATCH if rate <= settings.watch_per_year else None


def _often(rate: float) -> str:
    if rate >= 1.0:
        return f"about {rate:.1f} times a year"
    years = 1.0 / rate
    return f"about once in {years:.0f} years" if years < 100 else f"less than once in {round(years, -1):.0f} years"
