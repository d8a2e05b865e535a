"""Which objective here is which loss of TRL.

Checked on the same batch against TRL 1.16.  Where the two differ, they differ on purpose:

- ``sigmoid`` in TRL's DPO trainer ignores ``label_smoothing``; conservative DPO is
  `ConservativeDPO`.
- ``ipo`` and ``sigmoid_norm`` divide by response length: `IPOMean`, `LengthNormDPO`; `IPO`, on
  sums, has no counterpart.
- Likelihood terms are means over the tokens of the batch: ``nll_norm="batch_tokens"``.
- ``bco_pair`` has no running mean (``delta=0``), and there is no BCO trainer any more.
- The alpha-divergence is parametrised by ``1 - alpha``.
- The KTO trainer averages over responses, which is half of the mean over pairs, and takes the
  mismatched answers from the neighbours in its own batch.
- ORPO's likelihood runs over prompt and response; here it is that of the response.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prefdyn import objectives
from prefdyn._errors import InputError
from prefdyn._inputs import choice
from prefdyn.objectives import Objective, WeightedSum

TRAINERS = ("dpo", "cpo", "kto", "orpo", "tpo")


@dataclass(frozen=True)
class Equivalent:
    """A loss of TRL in this package's terms: ``scale`` times the mean of the objective.

    Attributes
    ----------
    objective : Objective
        Its mean over the pairs is meant.
    reference : bool
        Whether log-ratios to the reference enter; if not, take 0 as the reference's
        log-probabilities, also where the objective has some.
    scale : float
        TRL's value is this many times ours.
    exact : bool
        False for ORPO, whose likelihood term TRL takes over prompt and response.
    """

    objective: Objective
    reference: bool = True
    scale: float = 1.0
    exact: bool = True


def trl_equivalent(trainer: str, **settings: Any) -> Equivalent:
    """The objective that one of TRL's trainers minimises with these settings.

    Parameters
    ----------
    trainer
        ``"dpo"``, ``"cpo"`` (also SimPO and AlphaPO), ``"kto"``, ``"orpo"`` or ``"tpo"``.
    **settings
        Fields of the trainer's configuration by TRL's names (``loss_type``, ``beta``,
        ``label_smoothing``, ``cpo_alpha``, ...); those left out have TRL's defaults.

    Returns
    -------
    Equivalent

    Raises
    ------
    InputError
        For a trainer, a loss or a combination of settings that has no counterpart here.

    Examples
    --------
    >>> trl_equivalent("cpo", loss_type="simpo", cpo_alpha=0.0, beta=2.0).objective
    SimPO(beta=2.0, gamma=0.5, label_smoothing=0.0)
    """
    choice(trainer, TRAINERS, "trainer")
    known = dict(DEFAULTS[trainer])
    for name in settings:
        choice(name, known, f"setting of TRL's {trainer} trainer")
    return _MAKERS[trainer](known | settings)


# The settings that choose a loss, as TRL 1.16 has them.
DEFAULTS: dict[str, dict[str, Any]] = {
    "dpo": {
        "loss_type": ("sigmoid",),
        "loss_weights": None,
        "beta": 0.1,
        "label_smoothing": 0.0,
        "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5,
        "ld_alpha": None,
        "use_weighting": False,
        "discopop_tau": 0.05,
    },
    "cpo": {
        "loss_type": "sigmoid",
        "beta": 0.1,
        "label_smoothing": 0.0,
        "cpo_alpha": 1.0,
        "simpo_gamma": 0.5,
        "alpha": 0.0,
    },
    "kto": {
        "loss_type": "kto",
        "beta": 0.1,
        "desirable_weight": 1.0,
        "undesirable_weight": 1.0,
    },
    "orpo": {"beta": 0.1},
    "tpo": {"loss_type": "sigmoid", "beta": 0.01, "tpo_alpha": 1.0, "label_smoothing": 0.0},
}

# Losses of DPOTrainer: the objective's id and which of its parameters is which setting.
_DPO: dict[str, tuple[str, dict[str, str]]] = {
    "sigmoid": ("dpo", {"beta": "beta"}),
    "hinge": ("rso_hinge", {"beta": "beta"}),
    "ipo": ("ipo_mean", {"beta": "beta"}),
    "exo_pair": ("exo_pair", {"beta": "beta", "label_smoothing": "label_smoothing"}),
    "nca_pair": ("nca_pair", {"beta": "beta"}),
    "robust": ("robust_dpo", {"beta": "beta", "label_smoothing": "label_smoothing"}),
    "bco_pair": ("bco", {"beta": "beta"}),
    "sppo_hard": ("sppo_hard", {"beta": "beta"}),
    "aot": ("aot", {"beta": "beta", "label_smoothing": "label_smoothing"}),
    "aot_unpaired": ("aot_unpaired", {"beta": "beta", "label_smoothing": "label_smoothing"}),
    "apo_zero": ("apo_zero", {"beta": "beta"}),
    "apo_down": ("apo_down", {"beta": "beta"}),
    "discopop": ("discopop", {"beta": "beta", "tau": "discopop_tau"}),
    "sft": ("sft", {}),
    "sigmoid_norm": ("dpo_norm", {"beta": "beta"}),
}
_FIXED: dict[str, dict[str, Any]] = {"bco": {"delta": 0.0}, "sft": {"nll_norm": "batch_tokens"}}
_DIVERGENCES: dict[str, Callable[[dict], Objective]] = {
    "js_divergence": lambda s: objectives.get("f_dpo_js", beta=s["beta"]),
    "forward_kl": lambda s: objectives.get("f_dpo_forward_kl", beta=s["beta"]),
    "alpha_divergence": lambda s: objectives.get(
        "f_dpo_alpha", beta=s["beta"], alpha=1 - s["f_alpha_divergence_coef"]
    ),
}


def _dpo(settings: dict[str, Any]) -> Equivalent:
    kinds = settings["loss_type"]
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    terms = [_dpo_term(kind, settings) for kind in kinds]
    if settings["use_weighting"]:
        if "sft" in kinds:
            raise InputError(
                "use_weighting with 'sft' has no counterpart here: TRL weighs the batch's mean "
                "there, not the responses."
            )
        terms = [objectives.get("wpo", base=term) for term in terms]
    return Equivalent(_sum(terms, settings["loss_weights"] or (1.0,) * len(terms)))


def _dpo_term(kind: str, settings: dict[str, Any]) -> Objective:
    choice(kind, _DPO, "loss_type")
    divergence, ld_alpha = settings["f_divergence_type"], settings["ld_alpha"]
    choice(divergence, ("reverse_kl", *_DIVERGENCES), "f_divergence_type")
    if kind != "sft" and (divergence != "reverse_kl" or ld_alpha is not None):
        plain = divergence == "reverse_kl" or ld_alpha is None
        if kind != "sigmoid" or not plain:
            raise InputError(
                f"loss_type {kind!r} with another f-divergence or ld_alpha has no counterpart "
                "here: only 'sigmoid' does, with one of the two."
            )
        if ld_alpha is not None:
            return objectives.get("ld_dpo", beta=settings["beta"], alpha=ld_alpha)
        return _DIVERGENCES[divergence](settings)
    id, names = _DPO[kind]
    return objectives.get(id, **{o: settings[t] for o, t in names.items()}, **_FIXED.get(id, {}))


def _cpo(settings: dict[str, Any]) -> Equivalent:
    kind, beta = settings["loss_type"], settings["beta"]
    smooth, alpha, share = (settings[n] for n in ("label_smoothing", "alpha", "cpo_alpha"))
    choice(kind, ("sigmoid", "simpo", "hinge", "ipo"), "loss_type")
    if (alpha and (kind != "simpo" or smooth)) or (smooth and kind == "sigmoid"):
        raise InputError(
            f"loss_type {kind!r} with label_smoothing={smooth} and alpha={alpha} has no "
            "counterpart here: take alpha with 'simpo' alone, and label smoothing with 'simpo'."
        )
    gamma = settings["simpo_gamma"]
    if kind == "sigmoid":
        cpo = objectives.get("cpo", beta=beta, nll_weight=share, nll_norm="batch_tokens")
        return Equivalent(cpo, reference=False)
    if alpha:
        base = objectives.get("alphapo", beta=beta, gamma=gamma, alpha=alpha)
    elif kind == "simpo":
        base = objectives.get("simpo", beta=beta, gamma=gamma, label_smoothing=smooth)
    else:
        base = objectives.get({"hinge": "rso_hinge", "ipo": "ipo_mean"}[kind], beta=beta)
    if not share:
        return Equivalent(base, reference=False)
    sft = objectives.get("sft", nll_norm="batch_tokens")
    return Equivalent(_sum([base, sft], (1.0, share)), reference=False)


def _kto(settings: dict[str, Any]) -> Equivalent:
    kinds = {"kto": None, "apo_zero_unpaired": 0.0}
    z0 = kinds[choice(settings["loss_type"], kinds, "loss_type")]
    names = {"lambda_d": "desirable_weight", "lambda_u": "undesirable_weight"}
    weights = {ours: settings[theirs] for ours, theirs in names.items()}
    return Equivalent(objectives.get("kto", beta=settings["beta"], z0=z0, **weights), scale=0.5)


def _orpo(settings: dict[str, Any]) -> Equivalent:
    return Equivalent(objectives.get("orpo", beta=settings["beta"]), reference=False, exact=False)


def _tpo(settings: dict[str, Any]) -> Equivalent:
    kind, smooth = settings["loss_type"], settings["label_smoothing"]
    if choice(kind, ("sigmoid", "hinge", "ipo", "tpo-l"), "loss_type") != "sigmoid" or smooth:
        raise InputError(
            f"loss_type {kind!r} of TRL's TPO trainer with label_smoothing={smooth} has no "
            "counterpart here: only 'sigmoid' without smoothing does."
        )
    share = settings["tpo_alpha"]
    cpo = objectives.get("cpo", beta=settings["beta"], nll_weight=share, nll_norm="batch_tokens")
    return Equivalent(cpo, reference=False)


_MAKERS = {"dpo": _dpo, "cpo": _cpo, "kto": _kto, "orpo": _orpo, "tpo": _tpo}


def _sum(terms: list[Objective], weights: Sequence[float]) -> Objective:
    if len(terms) == 1 and weights[0] == 1:
        return terms[0]
    return WeightedSum(tuple(terms), tuple(weights))
