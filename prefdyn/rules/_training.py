"""Training on pairs: the loss of a policy, and what it pushes every log-probability by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prefdyn import objectives
from prefdyn._errors import InputError
from prefdyn.objectives import Objective, Pair
from prefdyn.policies import Policy

Array = Any
Stats = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Training:
    """An objective on chosen/rejected pairs of a policy's responses: the loss and its pushes.

    The loss is ``sum_r weights_r L(pair r)``.  Log-probabilities of the reference are constants.

    Parameters
    ----------
    objective
        An `Objective` or the id of one.
    policy
        The policy that is trained.
    pairs
        (R, 2) numbers of the chosen and the rejected response.
    weights
        (R,), any sign; 1/R by default.
    reference
        A `Policy`, or log-probabilities (..., K) or (..., K, T); by default the policy's start.
    mismatched
        Pairs of responses to prompts they were not written for, from which `KTO` takes its z0; by
        default the responses of the same number under the next prompt.
    extra
        Further fields of `Pair`, one entry per pair, e.g. win rates for `SPPO`; they go before
        what the policy would say.

    Raises
    ------
    InputError
        For an unknown objective, a response that does not exist, a pair of a response with itself
        or across prompts, or shapes that do not fit.
    """

    objective: Any
    policy: Policy
    pairs: Any
    weights: ArrayLike | None = None
    reference: Any = None
    mismatched: Any = field(default=None, kw_only=True)
    extra: Mapping[str, ArrayLike] = field(default_factory=dict, kw_only=True)
    _made: dict = field(init=False, repr=False)

    def __post_init__(self):
        set_ = object.__setattr__
        if isinstance(self.objective, str):
            set_(self, "objective", objectives.get(self.objective))
        if not isinstance(self.objective, Objective):
            raise InputError(
                f"objective is a {type(self.objective).__name__}: give an Objective or one of the "
                f"ids {objectives.names()}."
            )
        if not isinstance(self.policy, Policy):
            raise InputError(
                f"policy is a {type(self.policy).__name__}: give one of prefdyn.policies."
            )
        if self.objective.token_level and np.any(self.policy.lengths != self.policy.mask.sum(-1)):
            raise InputError(
                f"objective {self.objective.id!r} sees single tokens, but the policy knows only "
                "sums over several: give it token log-probabilities (K, T) and their mask."
            )
        set_(self, "pairs", checked_pairs(self.pairs, self.policy))
        R = len(self.pairs)
        weights = np.full(R, 1 / R) if self.weights is None else _floats(self.weights, "weights")
        if weights.shape != (R,) or not np.all(np.isfinite(weights)):
            raise InputError(f"weights is {weights}: give one finite number for each of {R} pairs.")
        set_(self, "weights", weights)
        set_(self, "_made", {})
        set_(self, "reference", _reference(self.reference, self.policy))
        set_(self, "extra", _extra(self.extra, R))
        if self.one_at_a_time:
            self._refuse_batch()
        if self.wants_mismatched:
            set_(self, "mismatched", self._mismatched())

    @property
    def initial_stats(self) -> Stats | None:
        """The objective's statistics before the first batch."""
        return self.objective.initial_stats()

    @property
    def wants_mismatched(self) -> bool:
        """Whether the objective's statistics come from mismatched pairs (KTO's z0 do)."""
        return self.objective.mismatched

    def updated(self, stats: Stats | None, params: np.ndarray) -> Stats | None:
        """The objective's statistics with the batch at these parameters (P,)."""
        if stats is None:
            return None
        pairs = self.mismatched if self.wants_mismatched else self.pairs
        pair = self.pair(self.policy.token_log_probs(params), params, pairs)
        parts = self.objective.gradient_parts
        if parts is None:
            return self.objective.update(stats, pair)
        return self.objective.update(stats, pair, gradients=self._gradients(parts, params, stats))

    def pair(self, tokens: Array, params: Array, pairs: np.ndarray | None = None) -> Pair:
        """What the objective sees, (..., R), of token log-probabilities (..., K, T)."""
        rows = self.pairs if pairs is None else pairs
        of = {"chosen": rows[:, 0], "rejected": rows[:, 1]}
        values = dict(self._constants(tokens, rows))
        log_sum_p2 = self.policy.log_sum_p2(params) if self.objective.token_level else None
        for side, responses in of.items():
            own = tokens[..., responses, :]
            values[side] = own.sum(-1)
            if self.objective.token_level:
                values[f"{side}_tokens"] = own
            if log_sum_p2 is not None:
                values[f"{side}_log_sum_p2"] = log_sum_p2[..., responses, :]
        return Pair(**values)

    def _constants(self, tokens: Array, pairs: np.ndarray) -> dict[str, Array]:
        """The fields that do not change with the policy, as the kind of array that tokens are."""
        key = (isinstance(tokens, np.ndarray), pairs is self.pairs)
        if key not in self._made:
            values: dict[str, Any] = {}
            for side, responses in (("chosen", pairs[:, 0]), ("rejected", pairs[:, 1])):
                reference = self.reference[..., responses, :]
                values[f"ref_{side}"] = reference.sum(-1)
                values[f"{side}_length"] = self.policy.lengths[responses]
                if self.objective.token_level:
                    values[f"ref_{side}_tokens"] = reference
                    values[f"{side}_mask"] = self.policy.mask[responses]
            values |= self.extra if pairs is self.pairs else {}
            arrays = {name: np.asarray(value, dtype=float) for name, value in values.items()}
            if not key[0]:
                import torch

                arrays = {name: torch.tensor(value) for name, value in arrays.items()}
            self._made[key] = arrays
        return self._made[key]

    def loss(self, params: Array, stats: Stats | None = None) -> Array:
        """``sum_r weights_r L(pair r)``, (...,)."""
        return self._of_tokens(self.policy.token_log_probs(params), params, stats)

    def pushes(self, params: Array, stats: Stats | None = None) -> Array:
        """``-dL/dlog pi`` of every token of every response, (..., K, T).

        Of torch parameters that require a gradient the result is differentiable too.
        """
        import torch

        tokens = self.policy.token_log_probs(params)
        if isinstance(tokens, torch.Tensor):
            keep = tokens.requires_grad
            with torch.enable_grad():
                leaf = tokens if keep else tokens.detach().requires_grad_()
                return -_gradient(self._of_tokens(leaf, params, stats).sum(), leaf, keep)
        leaf = torch.tensor(tokens, requires_grad=True)
        known = torch.tensor(np.asarray(params))
        return -_gradient(self._of_tokens(leaf, known, stats).sum(), leaf, False).numpy()

    def gram_form(self, one: Array, two: Array, params: np.ndarray) -> float:
        """``<g_1, g_2>`` of two gradients given as pushes (K, T), in the policy's step metric."""
        return float((one * self.policy.rates(params, two)).sum())

    def with_objective(self, objective: Objective) -> "Training":
        """The same pairs under another objective."""
        return replace(self, objective=objective)

    def _of_tokens(self, tokens: Array, params: Array, stats: Stats | None) -> Array:
        def like(constant: Any) -> Array:
            return constant if isinstance(tokens, np.ndarray) else tokens.new_tensor(constant)

        numbers = self.objective.numbers().items()
        # Hyper-parameters that are arrays get an axis for the pairs.
        arrays = {name: like(np.asarray(x)[..., None]) for name, x in numbers if np.ndim(x)}
        objective = self.objective.with_numbers(arrays) if arrays else self.objective
        losses = objective.loss(self.pair(tokens, params), stats=stats)
        return (losses * like(self.weights)).sum(-1)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Common shape of policy, reference and the objective's hyper-parameters."""
        return np.broadcast_shapes(*self.batch_shapes.values())

    @property
    def batch_shapes(self) -> dict[str, tuple[int, ...]]:
        """The same by name."""
        own = {"policy": self.policy.batch_shape, "reference": self.reference.shape[:-2]}
        numbers = self.objective.numbers().items()
        return own | {f"objective.{name}": np.shape(value) for name, value in numbers}

    @property
    def one_at_a_time(self) -> bool:
        """Whether members of a batch must not meet in one call: a sort or a mean would mix them."""
        return self.objective.couples_rows or self.initial_stats is not None

    def _gradients(self, parts, params, stats) -> tuple[np.ndarray, np.ndarray]:
        """Two vectors whose inner products are those of the two parts' gradients."""
        preference, likelihood = (
            self.with_objective(part).pushes(
                params, stats.get("base") if part is parts[0] else None
            )
            for part in parts
        )
        square = self.gram_form(likelihood, likelihood, params)
        across = self.gram_form(preference, likelihood, params)
        size = np.sqrt(max(square, 0.0))
        return np.array([across / size if size else 0.0]), np.array([size])

    def _refuse_batch(self) -> None:
        """A member at a time meets all values of a parameter, and would mix them."""
        batched = {
            "reference": self.reference.shape[:-2],
            "policy's step multipliers": np.shape(self.policy.multipliers)[:-1],
        } | {name: np.shape(value) for name, value in self.objective.numbers().items()}
        for what, shape in batched.items():
            if shape:
                raise InputError(
                    f"{what} is a batch {shape}, but objective {self.objective.id!r} runs one "
                    "member at a time: give one value to each rule."
                )

    def _mismatched(self) -> np.ndarray:
        if self.mismatched is not None:
            return checked_pairs(self.mismatched, self.policy, across=True)
        _, first, size = np.unique(self.policy.prompts, return_index=True, return_counts=True)
        found = (self.pairs + size[0]) % self.policy.K
        # Prompt by prompt, equally many, and the same answers: else the shift is no mismatch.
        blocks = np.array_equal(first, size[0] * np.arange(len(size))) and np.ptp(size) == 0
        blocks = blocks and np.all(np.diff(self.policy.prompts) >= 0) and len(size) > 1
        tokens = self.policy.responses
        same = tokens is None or all(
            tuple(tokens[i]) == tuple(tokens[j])
            for i, j in zip(self.pairs.flat, found.flat, strict=True)
        )
        if not (blocks and same):
            raise InputError(
                f"objective {self.objective.id!r} takes its statistics from answers to other "
                "prompts, which are not known here: give mismatched=, or the number itself (z0=)."
            )
        return found


def checked_pairs(pairs: Any, policy: Policy, across: bool = False) -> np.ndarray:
    """Pairs (R, 2) as whole numbers of responses that exist and answer one prompt."""
    try:
        found = np.asarray(pairs)
    except ValueError:
        raise InputError(
            "pairs has rows of different lengths: give (chosen, rejected) for every pair."
        ) from None
    if found.ndim == 1 and found.size == 2:
        found = found[None]
    if found.ndim != 2 or found.shape[1] != 2 or not len(found) or found.dtype.kind not in "iu":
        raise InputError(
            f"pairs has shape {found.shape}: give (chosen, rejected) numbers of responses, one row "
            "per pair, at least one."
        )
    for r, (chosen, rejected) in enumerate(found.tolist()):
        bad = [i for i in (chosen, rejected) if not 0 <= i < policy.K]
        if bad:
            raise InputError(f"pairs[{r}] names response {bad[0]}: there are 0 to {policy.K - 1}.")
        if chosen == rejected:
            raise InputError(f"pairs[{r}] is response {chosen} against itself: give two responses.")
        if not across and policy.prompts[chosen] != policy.prompts[rejected]:
            raise InputError(
                f"pairs[{r}] is of prompts {policy.prompts[chosen]} and "
                f"{policy.prompts[rejected]}: both responses of a pair answer one prompt."
            )
    return found.astype(int)


def check_start(log_probs: np.ndarray, policy: Policy) -> None:
    """Refuse a start that no policy of this kind has: shape, NaN, or a sum off 1 by over 1e-6."""
    if log_probs.ndim == 0 or log_probs.shape[-1] != policy.K:
        raise InputError(
            f"log_start has shape {log_probs.shape}: give {policy.K} log-probabilities in the last "
            "axis."
        )
    if not np.all(np.isfinite(log_probs)):
        raise InputError("log_start has an entry that is not finite: give finite numbers.")
    for p in np.unique(policy.prompts) if policy.complete else ():
        total = np.exp(log_probs[..., policy.prompts == p]).sum(-1)
        if np.any(np.abs(total - 1) > 1e-6):
            worst = float(total.flat[np.abs(total - 1).argmax()])
            raise InputError(f"start sums to {worst:g} over prompt {p}, not 1: normalise it.")


def flatten(stats: Stats | None) -> np.ndarray:
    """The numbers of nested statistics, in a fixed order."""
    return np.array([float(value) for _, value in _leaves(stats)])


def unflatten(like: Stats | None, values: np.ndarray) -> Stats | None:
    """Statistics of the same structure with these numbers."""
    if like is None:
        return None
    result: Stats = {}
    for (path, _), value in zip(_leaves(like), values, strict=True):
        inner = result
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = float(value)
    return result


def _leaves(stats: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(stats, dict):
        for name in sorted(stats):
            yield from _leaves(stats[name], (*path, name))
    elif stats is not None:
        yield path, stats


def _reference(reference: Any, policy: Policy) -> np.ndarray:
    """Token log-probabilities (..., K, T) of the reference."""
    if reference is None:
        reference = policy
    if isinstance(reference, Policy):
        reference = reference.token_log_probs()
    tokens = _floats(reference, "reference")
    one_token = policy.mask.shape[1] == 1
    if one_token and tokens.shape[-1:] == (policy.K,) and tokens.shape[-2:] != policy.mask.shape:
        tokens = tokens[..., None]
    if tokens.shape[-2:] != policy.mask.shape:
        wanted = f"({policy.K},)" if one_token else f"{policy.mask.shape}, one number per token"
        raise InputError(
            f"reference has shape {tokens.shape}: give log-probabilities {wanted}, or a policy."
        )
    if not np.all(np.isfinite(tokens)) or np.any(tokens > 1e-6):
        where = [int(i) for i in np.argwhere(~(np.isfinite(tokens) & (tokens <= 1e-6)))[0]]
        raise InputError(
            f"reference{where} is {tokens[tuple(where)]:g}: a log-probability is finite and at "
            "most 0."
        )
    return tokens


def _extra(extra: Mapping[str, ArrayLike], R: int) -> dict[str, np.ndarray]:
    """Further fields of the pairs, each one entry per pair."""
    if not isinstance(extra, Mapping):
        raise InputError(f"extra is a {type(extra).__name__}: give a dict of arrays, or leave it.")
    known = sorted(field.name for field in fields(Pair) if field.name not in ("chosen", "rejected"))
    found = {}
    for name, value in extra.items():
        if name not in known:
            raise InputError(f"extra has {name!r}: a pair has {', '.join(known)} beside its two.")
        found[name] = _floats(value, f"extra[{name!r}]")
        if found[name].ndim and len(found[name]) != R:
            raise InputError(
                f"extra[{name!r}] has shape {found[name].shape}: give one entry for each of {R} "
                "pairs."
            )
    return found


def _floats(values: Any, what: str) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach()
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what} is not an array of numbers: give one.") from None


def _gradient(total, leaf, create_graph: bool):
    import torch

    if not total.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(total, leaf, create_graph=create_graph, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient
