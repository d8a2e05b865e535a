"""What one gradient step on one pair does, to first order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from prefdyn._errors import InputError
from prefdyn.displacement import _words, scores
from prefdyn.objectives import Objective
from prefdyn.policies import Policy
from prefdyn.rules import Training

ROUNDING = 1e-12
"""Rates this small beside the two terms they are the difference of are taken for none."""


class Gainer(NamedTuple):
    """A response whose log-probability rises: its rate, and its share of all mass gained."""

    index: int
    name: str
    rate: float
    share: float


@dataclass(frozen=True)
class Entanglement:
    """Why the two responses move as they do (claim ENT-1; arXiv 2410.13828).

    The chosen response moves at the rate ``chosen_own - chosen_overlap``, what its own push brings
    less what the rejected one's push takes through ``<g_w, g_l>``; the rejected response at
    ``rejected_overlap - rejected_own``.  If all tokens of a response are pushed alike these are
    ``d_w |g_w|^2``, ``d_l <g_w, g_l>``, ``d_w <g_w, g_l>`` and ``d_l |g_l|^2``.

    Attributes
    ----------
    inner, chosen_square, rejected_square : float
        ``<g_w, g_l>``, ``|g_w|^2``, ``|g_l|^2`` of the gradients of the summed log-probabilities.
    chosen_own, chosen_overlap, rejected_own, rejected_overlap : float
        As above, nats per unit of learning rate.
    """

    inner: float
    chosen_square: float
    rejected_square: float
    chosen_own: float
    chosen_overlap: float
    rejected_own: float
    rejected_overlap: float

    @property
    def chosen_sign(self) -> int:
        """1 if the chosen response rises, -1 if it falls, 0 if it stays."""
        return _sign(self.chosen_own, self.chosen_overlap)

    @property
    def rejected_sign(self) -> int:
        """1 if the rejected response rises, -1 if it falls, 0 if it stays."""
        return _sign(self.rejected_overlap, self.rejected_own)

    @property
    def cosine(self) -> float:
        """Of the angle between the two gradients; 0 where one of them vanishes."""
        size = float(np.sqrt(self.chosen_square * self.rejected_square))
        return self.inner / size if size else 0.0

    @property
    def kind(self) -> str:
        """``"ideal"``, ``"both down"``, ``"both up"``, ``"reversed"``, or ``"still"``.

        ``"reversed"`` (chosen down, rejected up) needs a push below 0.  A response that stays
        counts as moving the way the objective wants; ``"still"`` means that neither moves.
        """
        up, down = self.chosen_sign, -self.rejected_sign
        if up == down == 0:
            return "still"
        return {
            (True, True): "ideal",
            (False, True): "both down",
            (True, False): "both up",
            (False, False): "reversed",
        }[up >= 0, down >= 0]


@dataclass(frozen=True, eq=False)
class PairDiagnosis:
    """What a small step on a pair does to every response; made by `diagnose_pair`.

    ``print`` it for the sentences.

    Attributes
    ----------
    chosen, rejected : int
        The pair.
    names : tuple of str
        Names (K,) of the responses.
    objective : str
        Id of the objective.
    d_w, d_l : float
        Pushes: ``-dL/dlog pi_w`` and ``dL/dlog pi_l``, the mean over the tokens where these are
        pushed differently.
    chosen_pushes, rejected_pushes : numpy.ndarray
        The same for each token.
    rates : numpy.ndarray
        ``d log pi_i`` of every response (K,), nats per unit of learning rate.
    log_probs : numpy.ndarray
        Log-probabilities (K,) before the step.
    entanglement : Entanglement
        The two terms of each rate of the pair.
    scores : dict
        ``ches``, ``ln_ches``, ``last_hidden``, ``edit_distance``, ``length_difference``; None where
        the policy lacks what they are made of.
    reasons : dict
        For each score that is None: why.
    complete : bool
        Whether the responses are all there are; else the mass may go elsewhere too.
    """

    chosen: int
    rejected: int
    names: tuple[str, ...]
    objective: str
    d_w: float
    d_l: float
    chosen_pushes: np.ndarray
    rejected_pushes: np.ndarray
    rates: np.ndarray
    log_probs: np.ndarray
    entanglement: Entanglement
    scores: dict[str, float | None]
    reasons: dict[str, str] = field(default_factory=dict)
    complete: bool = True

    @property
    def chosen_falls(self) -> bool:
        """Whether the step lowers the chosen response: likelihood displacement."""
        return self.entanglement.chosen_sign < 0

    @property
    def rejected_rises(self) -> bool:
        """Whether the step raises the rejected response."""
        return self.entanglement.rejected_sign > 0

    @property
    def margin_rate(self) -> float:
        """``d (log pi_w - log pi_l)``, nats per unit of learning rate."""
        return float(self.rates[self.chosen] - self.rates[self.rejected])

    @property
    def kind(self) -> str:
        """``"ideal"``, ``"both down"``, ``"both up"``, ``"reversed"`` or ``"still"``.

        See `Entanglement.kind`.
        """
        return self.entanglement.kind

    @property
    def gainers(self) -> tuple[Gainer, ...]:
        """Responses whose log-probability rises, fastest first."""
        rising = np.flatnonzero(self.rates > ROUNDING * np.abs(self.rates).max(initial=0.0))
        if len(rising) == 0:
            return ()
        shifted = np.exp(self.log_probs - self.log_probs[rising].max())
        mass = shifted[rising] * self.rates[rising]
        order = np.argsort(-self.rates[rising], kind="stable")
        return tuple(
            Gainer(int(i), self.names[i], float(self.rates[i]), float(share))
            for i, share in zip(rising[order], (mass / mass.sum())[order], strict=True)
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The diagnosis in plain words."""
        return _words.sentences(self)

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def diagnose_pair(
    policy: Policy,
    chosen: int | str,
    rejected: int | str,
    objective: Objective | str = "dpo",
    *,
    params: ArrayLike | None = None,
    reference: Any = None,
    stats: dict[str, Any] | None = None,
    extra: Mapping[str, ArrayLike] | None = None,
    names: Sequence[str] | None = None,
) -> PairDiagnosis:
    r"""First-order diagnosis of a pair: whether its chosen response will fall, who gains, and why.

    In closed form (claim KER-1): with pushes :math:`p_{jt}` on the tokens and the
    Gram matrix K of the gradients of their log-probabilities,

    .. math:: \frac{d \log\pi_i}{d\,\text{step}}
              = \sum_{s} \sum_{j \in \{w, l\}, t} K_{is, jt}\, p_{jt}
              = d_w K_{iw} - d_l K_{il},

    the second form where all tokens of a response are pushed alike.  A step of size eta moves
    ``log pi_i`` by eta times this, up to O(eta^2), under gradient descent; Adam needs its moments.
    At a kink of the loss, such as DPOP's at the reference, it is the step itself that is predicted;
    the next one may be pushed otherwise.

    Parameters
    ----------
    policy
        Any policy, also `KernelPolicy` with a measured Gram matrix.
    chosen, rejected
        Two different responses by index, or by name if there are `names`.
    objective
        Objective or its id, with default hyper-parameters.
    params
        Parameters (P,) of the policy; its start by default.
    reference
        Reference, as `prefdyn.rules.GradientStep` takes it; by default the policy at `params`.
    stats
        Statistics of an objective that keeps some; those of a batch of this pair alone by default.
    extra
        Further fields of `prefdyn.objectives.Pair`, e.g. win rates for `SPPO`, one entry each.
    names
        Names (K,) of the responses, for the words.

    Returns
    -------
    PairDiagnosis

    Raises
    ------
    InputError
        If a response is unknown or the same twice, for a batch of parameters, or one that the
        policy or the objective refuses.

    References
    ----------
    arXiv 2410.08847 (displacement, CHES) and 2410.13828 (gradient entanglement).

    Examples
    --------
    >>> import numpy as np
    >>> from prefdyn.policies import UnconstrainedFeatures
    >>> W = [[1, 0], [-1, 1], [-1.6, 1], [0.3, 0.2], [-0.9, 0.6]]
    >>> policy = UnconstrainedFeatures(W, [2.5, 7], kappa_W=0)
    >>> names = ["Yes", "No", "Never", "Maybe", "_No"]
    >>> found = diagnose_pair(policy, "No", "Never", names=names)
    >>> found.kind, found.gainers[0].name
    ('both down', 'Yes')
    """
    if not isinstance(policy, Policy):
        raise InputError(f"policy is a {type(policy).__name__}: give one of prefdyn.policies.")
    names = _names(names, policy.K)
    w, r = _index(chosen, names, "chosen"), _index(rejected, names, "rejected")
    if w == r:
        raise InputError(f"chosen and rejected are both {names[w]}: give two different responses.")
    policy = policy if params is None else policy.at(np.asarray(params, dtype=float))
    if policy.batch_shape:
        raise InputError(
            f"the policy is a batch of shape {policy.batch_shape}: diagnose one member at a time."
        )
    pair, extra = [(w, r)], extra or {}
    training = Training(objective, policy, pair, reference=reference, extra=extra)
    pushes = _pushes(training, stats)
    rates, entanglement = _first_order(policy, pushes, w, r)
    kept = policy.mask.astype(bool)
    found, reasons = _scores(policy, w, r)
    return PairDiagnosis(
        chosen=w,
        rejected=r,
        names=names,
        objective=getattr(training.objective, "id", type(objective).__name__),
        d_w=float(pushes[w][kept[w]].mean()),
        d_l=float(0.0 - pushes[r][kept[r]].mean()),
        chosen_pushes=pushes[w][kept[w]],
        rejected_pushes=0.0 - pushes[r][kept[r]],
        rates=rates,
        log_probs=np.asarray(policy.log_probs(), dtype=float),
        entanglement=entanglement,
        scores=found,
        reasons=reasons,
        complete=policy.complete,
    )


def _pushes(training: Training, stats: dict[str, Any] | None) -> np.ndarray:
    """``-dL/dlog pi`` of every token, (K, T)."""
    params = training.policy.params
    if stats is None:
        stats = training.updated(training.initial_stats, params)
    return np.asarray(training.pushes(params, stats))


def _first_order(policy: Policy, pushes: np.ndarray, w: int, r: int):
    """Rates of all responses, and their two terms for the pair."""
    mask = policy.mask
    alike = all(np.ptp(pushes[i][mask[i] > 0]) == 0 for i in (w, r))
    gram = policy.gram()
    if alike:
        by_chosen, by_rejected = (gram[:, i] * pushes[i][np.argmax(mask[i])] for i in (w, r))
    else:
        tokens = policy.token_gram().sum(1)  # (K, K, T): <d log pi_i, d log pi_jt>
        by_chosen, by_rejected = (tokens[:, i] @ (pushes[i] * mask[i]) for i in (w, r))
    terms = (by_chosen[w], 0.0 - by_rejected[w], 0.0 - by_rejected[r], by_chosen[r])
    squares = (gram[w, r], gram[w, w], gram[r, r])
    return by_chosen + by_rejected, Entanglement(*(float(x) for x in (*squares, *terms)))


def _scores(policy: Policy, w: int, r: int) -> tuple[dict[str, float | None], dict[str, str]]:
    """Scores of the pair, None where the policy lacks what they are made of, and why."""
    kind = type(policy).__name__
    hidden = "ches", "ln_ches", "last_hidden"
    found: dict[str, float | None] = dict.fromkeys((*hidden, "edit_distance"))
    reasons = {}
    try:
        states = policy.hidden_states(w), policy.hidden_states(r)
    except InputError:
        reasons |= dict.fromkeys(hidden, f"{kind} has no hidden states")
    else:
        rankers = scores.ches, scores.length_normalised_ches, scores.last_hidden_similarity
        found |= {name: float(score(*states)) for name, score in zip(hidden, rankers, strict=True)}
    if policy.responses is None:
        reasons["edit_distance"] = f"{kind} has no tokens"
    else:
        pair = policy.responses[w], policy.responses[r]
        found["edit_distance"] = scores.edit_distance_similarity(*pair)
    found["length_difference"] = float(scores.length_difference(*policy.lengths[[w, r]]))
    return found, reasons


def _sign(gain: float, loss: float) -> int:
    """Sign of gain - loss, 0 where rounding alone could have made the difference."""
    if abs(gain - loss) <= ROUNDING * (abs(gain) + abs(loss)):
        return 0
    return 1 if gain > loss else -1


def _names(names: Sequence[str] | None, K: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"response {i}" for i in range(K))
    found = tuple(str(name) for name in names) if isinstance(names, Iterable) else ()
    if len(found) != K or len(set(found)) != K:
        raise InputError(f"names is {names!r}: give {K} different names, one per response.")
    return found


def _index(response: int | str, names: tuple[str, ...], what: str) -> int:
    if isinstance(response, str):
        if response not in names:
            raise InputError(f"{what} {response!r} is not known: the names are {', '.join(names)}.")
        return names.index(response)
    whole = isinstance(response, (int, np.integer)) and not isinstance(response, bool)
    if not whole or not 0 <= response < len(names):
        raise InputError(
            f"{what} is {response!r}: give an index from 0 to {len(names) - 1}, or a name."
        )
    return int(response)
