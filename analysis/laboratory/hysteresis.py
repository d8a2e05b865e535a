"""How often another attractor is left just above the boundary: LAB-5."""

import numpy as np

from analysis import Check
from analysis.laboratory._games import cyclic_games, last_crossing
from prefdyn import MRSDPO, MRSIPO, ensemble, stability
from prefdyn.policies import log_softmax

ABOVE = 1.01
"""beta over beta_c."""
GAMES, STARTS, ROUNDS = 250, 8, 4000
MOVING = 1e-6
"""Cycle strength from which a run counts as moving."""


class BistableShare(Check):
    """Far starts that keep moving although the fixed point is stable."""

    claim = "LAB-5"
    part = (
        "alpha = 1/2, beta = 1.01 beta_c: share of cyclic games on which a far start keeps moving"
    )
    comparison = "report"
    cases = tuple((K, rule) for K in (3, 4, 5) for rule in (MRSIPO, MRSDPO))

    def observe(self, instance):
        K, rule = instance
        drawn = cyclic_games(np.random.default_rng(K), K, GAMES)
        beta = ABOVE * last_crossing(rule(drawn, 1.0, 0.5, 1.0))
        unstable_below = np.isfinite(beta)
        above = rule(drawn[unstable_below], beta[unstable_below], 0.5, 1.0)
        stable = stability(above).spectral_radius < 1
        far = log_softmax(4 * np.random.default_rng(0).normal(size=(STARTS, 1, K)))
        run = ensemble(
            above, log_starts=far, rounds=ROUNDS, burn_in=0.9, reducers=["cycle_strength"]
        )
        share = np.mean((run["cycle_strength"].max(axis=0) > MOVING)[stable])
        return K, rule.__name__, float(share)

    def summary(self, observations):
        return "; ".join(f"K = {K}, {name}: {share:.1%}" for K, name, share in observations)
