"""An objective of the shared core on pairs of a language model's responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prefdyn import objectives
from prefdyn._errors import InputError
from prefdyn.llm._encoding import Responses, Tokens
from prefdyn.llm._forward import completion_states
from prefdyn.llm._upload import upload
from prefdyn.llm.head._head import Head
from prefdyn.llm.head.logprobs import token_logprobs
from prefdyn.objectives import Objective, Pair

Stats = dict[str, Any]


class Measured(NamedTuple):
    """What an objective wants to know of responses, 0 in the padding.

    Attributes
    ----------
    tokens : torch.Tensor
        Token log-probabilities (R, T); differentiable in the model's parameters.
    log_sum_p2 : torch.Tensor or None
        ``log sum_v pi(v)^2`` at every token, (R, T), a constant; only where it is asked for.
    """

    tokens: Tensor
    log_sum_p2: Tensor | None = None


def measure(model: Any, responses: Responses, *, squares: bool = False) -> Measured:
    """Token log-probabilities of responses, and ``log sum_v pi(v)^2`` where `squares` asks."""
    states, head = completion_states(model, responses), Head.of(model)
    rows, columns = (torch.as_tensor(at, device=states.hidden.device) for at in responses.places)

    def table(values: Tensor) -> Tensor:
        return values.new_zeros(responses.mask.shape).index_put((rows, columns), values)

    if not squares:
        return Measured(table(token_logprobs(states.hidden, head, states.targets)))
    values, stats = token_logprobs(states.hidden, head, states.targets, statistics=True)
    return Measured(table(values), table(stats.sum_p2.log()))


@dataclass(frozen=True, eq=False)
class PairLoss:
    """``sum_r weights_r L(pair r)`` with the reference's log-probabilities held fixed.

    Parameters
    ----------
    objective
        An `Objective` of `prefdyn.objectives`, or the id of one.
    responses
        The R responses.
    pairs
        (M, 2) numbers of chosen and rejected.
    reference
        Token log-probabilities (R, T) of the reference model.
    weights
        (M,), of any sign; 1/M by default.
    extra
        Further fields of `Pair`, one entry per pair, e.g. win rates for `SPPO`.
    mismatched
        (M', 2) numbers of responses behind prompts they were not written for, from which `KTO`
        takes its z0; `with_mismatched` makes them.
    gold
        (M,) numbers of third, gold responses, whose likelihood `CPO` then takes.

    Raises
    ------
    InputError
        For an unknown objective, a response that does not exist, a pair of equal responses or
        across prompts, a reference that is no log-probability, or shapes that do not fit.
    """

    objective: Any
    responses: Responses
    pairs: Any
    reference: Any
    weights: Sequence[float] | np.ndarray | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    mismatched: Any = None
    gold: Any = None

    def __post_init__(self):
        set_ = object.__setattr__
        if isinstance(self.objective, str):
            set_(self, "objective", objectives.get(self.objective))
        if not isinstance(self.objective, Objective):
            raise InputError(
                f"objective is a {type(self.objective).__name__}: give an Objective or one of the "
                f"ids {objectives.names()}."
            )
        set_(self, "pairs", _pairs(self.pairs, self.responses))
        set_(self, "reference", _reference(self.reference, self.responses))
        set_(self, "weights", _weights(self.weights, len(self.pairs)))
        _check_extra(self.extra, len(self.pairs))
        if self.objective.mismatched:
            if self.mismatched is None:
                raise InputError(
                    f"objective {self.objective.id!r} takes its statistics from answers to other "
                    "prompts: give mismatched= (see with_mismatched), or the number itself (z0=)."
                )
            set_(self, "mismatched", _pairs(self.mismatched, self.responses, across=True))
        if self.gold is not None:
            set_(self, "gold", _gold(self.gold, len(self.pairs), len(self.responses)))

    @property
    def initial_stats(self) -> Stats | None:
        """The objective's statistics before the first batch."""
        return self.objective.initial_stats()

    @property
    def rows(self) -> np.ndarray:
        """Numbers of the responses that the loss depends on, without repetition."""
        return np.unique(self.pairs if self.gold is None else [*self.pairs.flat, *self.gold])

    @property
    def unpaired(self) -> np.ndarray:
        """Numbers of the other responses whose log-probabilities the statistics need."""
        if not self.objective.mismatched:
            return np.zeros(0, dtype=int)
        return np.setdiff1d(self.mismatched, self.rows)

    def pair(
        self, tokens: Tensor, log_sum_p2: Tensor | None = None, pairs: np.ndarray | None = None
    ) -> Pair:
        """What the objective sees, of token log-probabilities (R, T); of other pairs on request."""
        numbers = self.pairs if pairs is None else pairs
        values: dict[str, Any] = {}

        def sent(given: Any) -> Tensor:
            return upload(given, tokens.device, tokens.dtype)

        lengths, reference = sent(self.responses.lengths), sent(self.reference)
        for side, column in (("chosen", 0), ("rejected", 1)):
            rows = upload(numbers[:, column], tokens.device)
            values[side] = tokens[rows].sum(-1)
            values[f"ref_{side}"] = reference[rows].sum(-1)
            values[f"{side}_length"] = lengths[rows]
            if self.objective.token_level:
                values[f"{side}_tokens"] = tokens[rows]
                values[f"ref_{side}_tokens"] = reference[rows]
                values[f"{side}_mask"] = sent(self.responses.mask)[rows]
            if log_sum_p2 is not None:
                values[f"{side}_log_sum_p2"] = log_sum_p2[rows]
        if pairs is None:
            values |= {name: sent(x) for name, x in self.extra.items()}
        if pairs is None and self.gold is not None:
            rows = upload(self.gold, tokens.device)
            values |= {"gold": tokens[rows].sum(-1), "gold_length": lengths[rows]}
        return Pair(**values)

    def of_tokens(
        self, tokens: Tensor, stats: Stats | None = None, log_sum_p2: Tensor | None = None
    ) -> Tensor:
        """The loss of token log-probabilities (R, T); rows that no pair names may be anything."""
        losses = self.objective.loss(self.pair(tokens, log_sum_p2), stats=stats)
        return (losses * upload(self.weights, losses.device, losses.dtype)).sum()

    def updated(
        self, stats: Stats | None, measured: Measured, gradients: Any = None
    ) -> Stats | None:
        """The objective's statistics with this batch, which the loss of the same batch takes.

        Parameters
        ----------
        stats
            Those before it.
        measured
            The responses of the pairs, and those of `unpaired`.
        gradients
            Of the two objectives in ``objective.gradient_parts``, where there are any.
        """
        if stats is None:
            return None
        known = self.mismatched if self.objective.mismatched else None
        with torch.no_grad():
            tokens = measured.tokens.detach()
            pair = self.pair(tokens, measured.log_sum_p2, known)
        if gradients is None:
            return self.objective.update(stats, pair)
        return self.objective.update(stats, pair, gradients=gradients)

    def with_objective(self, objective: Objective) -> "PairLoss":
        """The same pairs under another objective."""
        return replace(self, objective=objective)

    def __call__(self, model: Any, stats: Stats | None = None) -> Tensor:
        """The loss of a model; differentiable in its parameters."""
        measured = measure(model, self.responses, squares=self.objective.token_level)
        return self.of_tokens(measured.tokens, stats, measured.log_sum_p2)


def with_mismatched(responses: Responses, pairs: Any) -> tuple[Responses, np.ndarray]:
    """Responses followed by those of the pairs behind another pair's prompt, and their numbers.

    The answers of a pair go behind the prompt of the next pair that has another prompt.

    Returns
    -------
    tuple
        The R + 2M responses, and numbers (M, 2) of the new ones, for `PairLoss`.

    Raises
    ------
    InputError
        If all pairs answer one prompt: then there is no other.
    """
    numbers = _pairs(pairs, responses)
    prompts = [responses.prompt_tokens[chosen] for chosen, _ in numbers]
    following = _following(prompts)
    if None in following:
        raise InputError(
            "All pairs answer one prompt, so no answer can be put behind another one: add pairs "
            "of other prompts, or give the statistic as a number (z0=)."
        )
    moved: list[tuple] = [
        (other, responses.tokens[i])
        for other, pair in zip(following, numbers, strict=True)
        for i in pair
    ]
    whole = Responses(
        responses.prompt_tokens + tuple(prompt for prompt, _ in moved),
        responses.tokens + tuple(tokens for _, tokens in moved),
    )
    return whole, len(responses) + np.arange(2 * len(numbers)).reshape(-1, 2)


def _following(prompts: list[Tokens]) -> list[Tokens | None]:
    """For each prompt the next one, around the end, that is another; None if there is none."""
    found: list[Tokens | None] = [None] * len(prompts)
    for r in 2 * [*reversed(range(len(prompts)))]:  # twice: the end looks to the beginning
        after = (r + 1) % len(prompts)
        found[r] = found[after] if prompts[after] == prompts[r] else prompts[after]
    return found


def _pairs(pairs: Any, responses: Responses, across: bool = False) -> np.ndarray:
    """Pairs (M, 2) as whole numbers of different responses, which answer one prompt."""
    try:
        found: np.ndarray = np.asarray(pairs)
    except ValueError:
        found = np.zeros((0, 0))
    if found.ndim == 1 and found.size == 2:
        found = found[None]
    if found.ndim != 2 or found.shape[-1] != 2 or not len(found) or found.dtype.kind not in "iu":
        raise InputError(
            "pairs is not a list of (chosen, rejected) numbers of responses: give one row per "
            "pair, at least one."
        )
    for r, (chosen, rejected) in enumerate(found.astype(int)):
        bad = [i for i in (chosen, rejected) if not 0 <= i < len(responses)]
        if bad:
            raise InputError(
                f"pairs[{r}] names response {bad[0]}: there are 0 to {len(responses) - 1}."
            )
        same_prompt = responses.prompt_tokens[chosen] == responses.prompt_tokens[rejected]
        if same_prompt and responses.tokens[chosen] == responses.tokens[rejected]:
            raise InputError(
                f"pairs[{r}] has the same response as chosen and as rejected: drop the pair."
            )
        if not across and not same_prompt:
            raise InputError(
                f"pairs[{r}] joins responses {chosen} and {rejected}, which answer different "
                "prompts: both responses of a pair answer one prompt."
            )
    return found.astype(int)


def _reference(reference: Any, responses: Responses) -> Tensor:
    tokens: Tensor = torch.as_tensor(reference).detach()
    if tuple(tokens.shape) != responses.mask.shape:
        raise InputError(
            f"reference has shape {tuple(tokens.shape)}: give token log-probabilities "
            f"{responses.mask.shape}, as token_log_probs of the reference model gives them."
        )
    bad = ~(torch.isfinite(tokens) & (tokens <= 1e-4))  # rounding of a certain token
    if bad.any():
        where = np.argwhere(bad.cpu().numpy())[0].tolist()
        raise InputError(
            f"reference{where} is {float(tokens[tuple(where)]):g}: a log-probability is "
            "finite and at most 0, so check the reference model's weights."
        )
    return tokens


def _weights(weights: Any, M: int) -> np.ndarray:
    if weights is None:
        return np.full(M, 1 / M)
    try:
        found = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise InputError("weights is not an array of numbers: give one for each pair.") from None
    if found.shape != (M,) or not np.all(np.isfinite(found)):
        raise InputError(f"weights is {found}: give one finite number for each of {M} pairs.")
    return found


def _gold(gold: Any, M: int, R: int) -> np.ndarray:
    found = np.asarray(gold)
    if found.shape != (M,) or found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= R:
        raise InputError(
            f"gold is {found.tolist()}: give one number of a response, 0 to {R - 1}, for each of "
            f"{M} pairs."
        )
    return found


def _check_extra(extra: Mapping[str, Any], M: int) -> None:
    known = sorted(item.name for item in fields(Pair) if item.name not in ("chosen", "rejected"))
    for name, value in extra.items():
        if name not in known:
            raise InputError(f"extra has {name!r}: a pair has {', '.join(known)} beside its two.")
        shape = np.shape(value)
        if shape and shape[0] != M:
            raise InputError(
                f"extra[{name!r}] has shape {shape}: give one entry for each of {M} pairs."
            )
