"""How much of the simplex a stable fixed point attracts: RUN-4."""

import numpy as np

from analysis import Check
from analysis.how_sampling_shapes.bistable import EXAMPLES
from prefdyn import MRSIPO, basins


class FixedPointsBasin(Check):
    """Share of the fixed point among the attractors found."""

    claim = "RUN-4"
    part = "share of uniform starts that return: 1.7 % in (a) at 1.05, 0 in (b) at .95 beta_c"
    tolerance = 0.012
    cases = ((0, 1.05, 0.017), (1, 0.95, 0.0))

    def predict(self, instance):
        return np.array([instance[2], 1 - instance[2], 0.0])

    def observe(self, instance):
        example, ratio, _ = instance
        game, alpha, beta = (
            EXAMPLES[example].game,
            EXAMPLES[example].alpha,
            EXAMPLES[example].beta_c,
        )
        found = basins(MRSIPO(game, ratio * beta, alpha, 1.0), 45)
        still = np.array([attractor.kind == "fixed point" for attractor in found.attractors])
        return np.array([*(found.fractions @ np.stack([still, ~still]).T), found.undecided])
