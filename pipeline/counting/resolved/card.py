"""The model card: what the trained counter is, what it was taught on, what it cannot do; JSON and plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card_text(card: Mapping[str, Any]) -> str:
    """Return a card as Markdown for a reader; every figure in it comes from the training run.

    Parameters
    ----------
    card : mapping
        As `teach` writes it to JSON.
    """
    low, high = card["gsd_m"]
    scenes, steps = card["scenes"], " and ".join(str(number) for number in card["steps"])
    figures = card["calibration_figures"]
    ranges = "\n".join(
        f"- `{name}`: {limits[0]:g} to {limits[1]:g}" for name, limits in sorted(card["trained"].items())
    )
    return f"""# Model card: {card["name"]}

{card["what"]} For images of {low:g} to {high:g} m. Made by `{card["made_by"]}`; sha256 `{card["sha256"]}`.

- Taught on {scenes["training"]} simulated looks in {steps} steps, seed {card["seed"]}; weights set on
  {scenes["tuning"]} others, intervals and known ranges on {scenes["calibration"]} others, no yard in two parts.
- The second network goes on from the first with {scenes["other"]} of these looks besides: two thirds of them are
  simplified worlds whose tones, textures, shadows, paints and shapes follow rules drawn anew for each, a third are
  enlarged, stretched, sharpened and compressed pictures. The first never saw those.
- Conditions: half of the others clear days; sun of 17 to 70 degrees from any side, told to the network in half of the
  lessons; haze, overcast, snow on ground and roofs, wet ballast, contrast from 0.32, tracks off by up to 2.5 m, lean
  up to 20 degrees, 8 and 16 bit, one, three and four bands, sharpening, block compression, cars of any colour from
  coal black to white, plain pictures without track beds, rails or shadows, look-alikes beside the tracks and on
  lines without rails.
- On the calibration scenes, a third of them hard in one respect, some in several, an eighth unlike the rest: mean
  absolute error {figures["mean_absolute_error"]} cars, MAPE {100 * figures["mape"]:.1f} % (of at least 5 cars);
  the 90 % interval holds the truth in {100 * figures["coverage"]:.1f} % of the scenes.
- Libraries: {", ".join(f"{name} {version}" for name, version in sorted(card["libraries"].items()))}.

A look is refused as unlike the training scenes when one of these figures leaves its range:

{ranges}

Limits. {card["limits"]} Empty flat cars and tank cars on dark ballast are the first to be missed; two containers on
one flat car are one car; trailers parked end to end along a line that has no rails may be taken for cars.
"""
