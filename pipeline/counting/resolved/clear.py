"""Whether a fine look shows rails and cars clearly enough to be believed: rows of trailers and lanes are refused.

Rails alone do not tell: the edges of a lane or a row of tanks draw some votes too. What gives such lines away is that
the networks are unsure of them, while a yard whose rails are faint still shows its cars plainly, or its rails plainly
where cars are faint. So evidence of rails, certainty of the cars and what is left in doubt are weighed together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.counting.resolved.cars import Scored

# Evidence of rails below which a line is no railway in this image, at samplings in metres. Simulated yards of any
# condition had at least 0.85, 0.53 and 0.38 at up to 0.7, 1.2 and 1.7 m, yards of flat rectangles by another renderer
# at least 0.42, 0.39 and 0.32; lines along trailers and roofs on which cars were seen 0.06 to 0.58 at 0.3 m.
RAILS_AT_M, RAILS_LEAST = (0.6, 1.0, 1.6), (0.48, 0.36, 0.28)
# Weights of the clarity: of a logistic regression of 564 looks at yards of three renderers against 130 lines along
# look-alikes, simulated and real, on which cars were seen, relative to that of the evidence of rails.
OF_CARS, OF_DOUBT = 0.5, -2.0
# Least clarity, at samplings in metres. Yards of the shapes that figures are for had at least 2.3 at up to 1.2 m,
# 2.0 at 1.5 m. Of calibration yards one in a hundred had less than is asked, most of those miscounted; of lines along
# look-alikes at 0.3 m on which cars were seen, all.
CLEAR_AT_M, CLEAR_LEAST = (0.6, 1.0, 1.6), (2.0, 2.0, 1.6)
SURE = 1e-4  # from 0 and 1, within which a car's score tells no more


def clarity(cars: Sequence[Scored], rails: float, unsure: float) -> float:
    """Return how clearly a look shows cars on rails.

    Parameters
    ----------
    cars : sequence of Scored
        At least one.
    rails : float
        Evidence of rails, see `rails.Rails.evidence`.
    unsure : float
        Share of the seen track that is neither clearly occupied nor clearly empty.

    Returns
    -------
    float
        Log-odds, up to scale: yards have more than 2, look-alikes less.
    """
    scores = np.clip([car.score for car, _ in cars], SURE, 1 - SURE)
    return rails + OF_CARS * float(np.log(scores / (1 - scores)).mean()) + OF_DOUBT * unsure


def unclear(figures: Mapping[str, float], gsd_m: float, name: str) -> str:
    """Say what a look does not show clearly along the lines of a site of this name, "" when all is clear."""
    words = (
        ("rails", RAILS_AT_M, RAILS_LEAST, f"shows no rails along the lines of {name}"),
        ("clarity", CLEAR_AT_M, CLEAR_LEAST, f"shows along the lines of {name} what may be no railcars on rails"),
    )
    for figure, at_m, least_at, what in words:
        least = float(np.interp(gsd_m, at_m, least_at))
        if figures.get(figure, least) < least:  # without that figure nothing could tell
            return (
                f"{what} (evidence {figures[figure]:.2f}, needed {least:.2f}): "
                "check that image and tracks lie on one another."
            )
    return ""
