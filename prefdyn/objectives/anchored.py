"""DPO with something that holds the chosen response up."""

from dataclasses import dataclass
from typing import Any

from prefdyn._errors import InputError
from prefdyn.objectives._objective import Objective, Stats
from prefdyn.objectives._pair import Pair
from prefdyn.objectives._parameters import number, positive, weight, word
from prefdyn.objectives.bradley_terry import Logistic
from prefdyn.objectives.likelihood import nll

Array = Any


@dataclass(frozen=True)
class DPOP(Logistic, id="dpop"):
    """DPO-Positive, of Smaug (arXiv 2402.13228).

    ``L = -log sigmoid(beta (h - lam max(0, -a)))``, the penalty inside the sigmoid and times beta;
    ``d_w = beta s (1 + lam 1[a < 0])``, ``d_l = beta s``.  Traps: gradients reach
    ``beta (1 + lam)``, 15.3 at the published values and 51 times DPO's, so clip them; and at
    policy = reference every a is 0, the kink, where the push is the one-sided beta/2 of a > 0.
    The formula is second-hand, not read in the paper.
    """

    beta: float = positive(0.3)
    lam: float = weight(50.0)

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (h - lam max(0, -a))``."""
        return self.beta * (pair.log_ratio_gap - self.lam * xp.relu(-pair.chosen_log_ratio))


@dataclass(frozen=True)
class DPONLL(Objective, id="dpo_nll"):
    """DPO plus the likelihood of the chosen response (arXiv 2404.19733; RPO, arXiv 2405.16436).

    ``L = -log sigmoid(beta h) - nll_weight log pi_w / n_w``; ``d_w = beta s + nll_weight/n_w``,
    ``d_l = beta s``.  The defaults are those of iterative reasoning preference optimisation, whose
    reference is the previous iterate.  Trap of scale: RPO's main code has ``beta eta log pi_w`` on
    the *sum* (``nll_norm="sum"``, nll_weight 5e-5 at beta 0.01), TRL's recipe puts 0.005 on the
    mean over all tokens of the batch; the two agree only for responses of about 1/beta tokens.
    """

    beta: float = positive(0.1)
    nll_weight: float = weight(1.0)
    nll_norm: str = word("mean", "sum", "batch_tokens")

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """DPO plus likelihood."""
        xp = xp or self.primitives(pair)
        likelihood = self.nll_weight * nll(pair, self.nll_norm, xp)
        return likelihood - xp.log_sigmoid(self.beta * pair.log_ratio_gap)


@dataclass(frozen=True)
class DPOShift(Logistic, id="dpo_shift"):
    """DPO-Shift (arXiv 2502.07599): the rejected log-ratio counts only a share f.

    ``L = -log sigmoid(beta (a - f b))``; ``d_w = beta s``, ``d_l = f beta s``.  With strategy
    ``"fixed"`` f is `f`; ``"increase_linear"`` and ``"decrease_linear"`` move it between `f_min`
    and `f_max` over `max_steps` updates, counted in the statistic ``"step"``.
    """

    beta: float = positive(0.01)
    f: float = number(0.95, above=0, most=1)
    strategy: str = word("fixed", "increase_linear", "decrease_linear")
    f_min: float = number(0.5, above=0, most=1)
    f_max: float = number(1.0, above=0, most=1)
    max_steps: int | None = number(None, least=1)

    def __post_init__(self):
        super().__post_init__()
        if self.strategy != "fixed" and self.max_steps is None:
            raise InputError(
                f"objective 'dpo_shift': strategy {self.strategy!r} needs max_steps, the number of "
                "updates over which f moves."
            )

    def initial_stats(self) -> Stats | None:
        """Step 0 of the schedule."""
        return None if self.strategy == "fixed" else {"step": 0}

    def update(self, stats: Stats | None, pair: Pair) -> Stats | None:
        """The next step."""
        if self.strategy == "fixed":
            return stats
        return {"step": self.statistic(stats or self.initial_stats(), "step") + 1}

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``beta (a - f b)``."""
        return self.beta * (pair.chosen_log_ratio - self._share(stats) * pair.rejected_log_ratio)

    def _share(self, stats: Stats | None) -> Any:
        if self.strategy == "fixed":
            return self.f
        passed = self.statistic(stats, "step") / self.max_steps
        passed = min(passed, 1.0) if isinstance(passed, int | float) else passed
        moved = (self.f_max - self.f_min) * passed
        return self.f_min + moved if self.strategy == "increase_linear" else self.f_max - moved


@dataclass(frozen=True)
class BalancedPO(Logistic, id="bpo"):
    """Balanced preference optimisation (arXiv 2506.03557): the worse side alone is pushed.

    ``L = -log sigmoid(min(beta a, -alpha beta b))``; where the chosen side is the smaller,
    ``d_w = beta s`` and ``d_l = 0``, otherwise ``d_l = alpha beta s`` and ``d_w = 0``, half of each
    at a tie, where all pairs start.  Trap: the authors' alpha is not known here, so it has no
    default; 0.3 to 1 is a range to study.  The formula is second-hand, not read in the paper.
    """

    beta: float = positive(0.1)
    alpha: float | None = number(None, above=0, most=1)

    def __post_init__(self):
        super().__post_init__()
        if self.alpha is None:
            raise InputError(
                "objective 'bpo' needs alpha in (0, 1]: the published value is not known, so none "
                "is assumed."
            )

    def margin(self, pair: Pair, xp: Any, stats: Stats | None = None) -> Array:
        """``min(beta a, -alpha beta b)``."""
        rejected = -self.alpha * self.beta * pair.rejected_log_ratio  # pyright: ignore
        return xp.min2(self.beta * pair.chosen_log_ratio, rejected)


@dataclass(frozen=True)
class ProximalizedPO(Objective, id="pro"):
    """Proximalized preference optimisation (arXiv 2505.23316).

    ``L = -log sigmoid(beta h) - (w/2) [log sigmoid(+-beta a) + log sigmoid(+-beta b)]``, the sum
    over both signs; ``d_w = beta (sigmoid(-beta h) - (w/2) tanh(beta a/2))``,
    ``d_l = beta (sigmoid(-beta h) + (w/2) tanh(beta b/2))``.  Bounded: at w = 1 it rests at
    ``beta a = -beta b = 0.7563``.  Reconstructed here from third-party code, with the reward of
    the hyper-response at 0; the paper's own weight and its treatment of that response are not
    known.
    """

    beta: float = positive(1.0)
    reg_weight: float = weight(1.0)

    def loss(self, pair: Pair, xp: Any = None, stats: Stats | None = None) -> Array:
        """DPO plus a proximal term for each side."""
        xp = xp or self.primitives(pair)
        sides = [self.beta * pair.chosen_log_ratio, self.beta * pair.rejected_log_ratio]
        proximal = sum(xp.log_sigmoid(x) + xp.log_sigmoid(-x) for x in sides)
        return -xp.log_sigmoid(self.beta * pair.log_ratio_gap) - self.reg_weight / 2 * proximal
