"""The geometry of a model at some responses: their log-probabilities and gradients."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prefdyn import displacement
from prefdyn._errors import InputError
from prefdyn._inputs import choice, count
from prefdyn.displacement import PairDiagnosis
from prefdyn.llm._encoding import Responses, encode
from prefdyn.llm._memory import enough_memory
from prefdyn.llm._parameters import Selection, at_rest, check_finite, select_parameters
from prefdyn.llm.geometry._gradients import plain_log_probs, row_gradients
from prefdyn.llm.geometry._layer_records import UnknownUse
from prefdyn.llm.geometry._layer_wise import layer_wise_gradients, layer_wise_gram
from prefdyn.objectives import Objective
from prefdyn.policies import KernelPolicy

METHODS = "auto", "gradients", "layer-wise"

LARGEST_GRADIENTS = 2**28
"""Bytes of gradients that ``method="auto"`` keeps; more, and it goes layer by layer."""


@dataclass(frozen=True, eq=False)
class Geometry:
    r"""What a model says of R responses, and how they hang together; by `response_geometry`.

    .. math:: K_{ij} = \langle \nabla_\theta \log\pi(y_i), \nabla_\theta \log\pi(y_j) \rangle

    is all that gradient descent on any pairs of these responses sees to first order (claim KER-1);
    optimisers that treat parameters one by one also need the gradients (claim KER-7).  Gradients
    are those that training takes, so a model's padding token gets none in its row of the embedding.

    Attributes
    ----------
    responses : Responses
        The R responses, T tokens at most, to one prompt or to several.
    token_log_probs : numpy.ndarray
        Log-probability of every token, (R, T), in nats; 0 in the padding.
    hidden : tuple of numpy.ndarray
        States after the final norm that predict the tokens, (n_i, d) each.
    gram : numpy.ndarray
        K of the summed log-probabilities, (R, R), double precision.
    gradients : numpy.ndarray or None
        Rows of which ``gram`` holds the inner products, (R, P), in the model's precision, single at
        least.
    token_gram, token_gradients : numpy.ndarray or None
        The same for single tokens, (R, T, R, T) and (R, T, P), where they were asked for.
    parameter_names : tuple of str
        The measured parameters, in the order in which gradients hold them.
    method : str
        ``"gradients"`` or ``"layer-wise"``.
    """

    responses: Responses
    token_log_probs: np.ndarray
    hidden: tuple[np.ndarray, ...]
    gram: np.ndarray
    gradients: np.ndarray | None
    token_gram: np.ndarray | None
    token_gradients: np.ndarray | None
    parameter_names: tuple[str, ...]
    method: str

    @property
    def log_probs(self) -> np.ndarray:
        """Summed log-probability of every response, (R,)."""
        return self.token_log_probs.sum(-1)

    def policy(self) -> KernelPolicy:
        """The model linearised here, for the simulator.

        From the gradients where they are known, so that any optimiser can run on it, else from the
        Gram matrix; token by token where tokens were measured.
        """
        common: dict[str, Any] = {"prompts": self.responses.prompts}
        if self.token_gram is not None:
            common["mask"] = self.responses.mask
            log_probs, gram, rows = self.token_log_probs, self.token_gram, self.token_gradients
        else:
            common["lengths"] = self.responses.lengths
            log_probs, gram, rows = self.log_probs, self.gram, self.gradients
        if rows is not None:
            return KernelPolicy.from_gradients(log_probs, rows, **common)
        return KernelPolicy(log_probs, gram, **common)

    def scores(self, chosen: int, rejected: int) -> dict[str, float]:
        """Scores of a pair that are meant to foretell a falling chosen response (claim DISP-9).

        ``ches``, ``ln_ches``, ``last_hidden``, ``edit_distance`` and ``length_difference``, each as
        of `prefdyn.displacement` and larger where more displacement is expected.

        Parameters
        ----------
        chosen, rejected
            Numbers of the two responses.

        Raises
        ------
        InputError
            For a response that does not exist.
        """
        pair = [self._number(chosen, "chosen"), self._number(rejected, "rejected")]
        states, tokens = ([of[i] for i in pair] for of in (self.hidden, self.responses.tokens))
        found = {
            "ches": displacement.ches(*states),
            "ln_ches": displacement.length_normalised_ches(*states),
            "last_hidden": displacement.last_hidden_similarity(*states),
            "edit_distance": displacement.edit_distance_similarity(*tokens),
            "length_difference": displacement.length_difference(*map(len, tokens)),
        }
        return {name: float(value) for name, value in found.items()}

    def diagnose(
        self,
        chosen: int,
        rejected: int,
        objective: Objective | str = "dpo",
        *,
        reference: Any = None,
        names: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> PairDiagnosis:
        """What a small step on a pair does to every response, and why (claims KER-1, ENT-1).

        Rates of all responses, the condition of gradient entanglement with the objective's own
        weights, and the scores of the pair; all as of `prefdyn.displacement.diagnose_pair`.

        Parameters
        ----------
        chosen, rejected
            Numbers of the two responses.
        objective
            An `Objective`, or the id of one.
        reference
            Log-probabilities of the reference, (R,) or (R, T); by default the model's own.
        names
            Names of the responses, for the sentences.
        extra
            Further fields of `prefdyn.objectives.Pair`.

        Raises
        ------
        InputError
            As of `diagnose_pair`; e.g. for an objective of single tokens where only sums are known.
        """
        pair = self._number(chosen, "chosen"), self._number(rejected, "rejected")
        found = displacement.diagnose_pair(
            self.policy(), *pair, objective, reference=reference, names=names, extra=extra
        )
        scores: dict[str, float | None] = {**self.scores(*pair)}
        return replace(found, scores=scores, reasons={})

    def _number(self, response: int, what: str) -> int:
        if count(response, what, least=0) >= len(self.responses):
            raise InputError(
                f"{what} is {response}: the responses are 0 to {len(self.responses) - 1}."
            )
        return int(response)


def response_geometry(
    model: Any,
    tokenizer: Any,
    prompt: Any,
    responses: Any,
    *,
    parameters: Selection = "all",
    method: str = "auto",
    tokens: bool = False,
    dtype: torch.dtype | None = None,
    batch: int = 16,
) -> Geometry:
    """Log-probabilities of responses, and inner products of their gradients.

    Parameters
    ----------
    model, tokenizer
        A causal language model and its tokenizer, which may be None if there is nothing to encode.
    prompt, responses
        As of `encode`; or None and `Responses`, which may answer several prompts.
    parameters
        As of `prefdyn.llm._parameters.select_parameters`: ``"all"``, ``"trainable"``, ``"head"`` or
        patterns of names.
    method
        ``"gradients"`` keeps the gradient of every response; ``"layer-wise"`` keeps none and has
        the Gram matrix from what passes through the layers; ``"auto"`` takes the first where the
        gradients need at most 256 MiB.
    tokens
        Whether to measure single tokens too, for objectives that see them.
    dtype
        Precision in which to run a copy of the model; by default the model itself runs as it is.
    batch
        Responses that run together.

    Raises
    ------
    InputError
        As of `encode`; for an unknown method or parameter, tokens that do not fit the model, or
        numbers that are not finite.
    """
    choice(method, METHODS, "method")
    count(batch, "batch")
    if not isinstance(responses, Responses):
        responses = encode(tokenizer, prompt, responses)
    elif prompt is not None:
        raise InputError("The responses are encoded behind their prompts: give prompt=None.")
    if dtype is not None:
        model = copy.deepcopy(model).to(dtype)
    chosen = select_parameters(model, parameters)
    token_log_probs, hidden = _measured(model, responses, batch)
    rows = _each_token(responses) if tokens else responses
    if method == "auto":
        entries = responses.mask.size if tokens else len(responses)
        size = entries * sum(p.numel() * p.element_size() for p in chosen.values())
        method = "gradients" if size <= LARGEST_GRADIENTS else "layer-wise"
    with at_rest(model, chosen), enough_memory(f"lower batch={batch}, or take fewer responses"):
        if method == "gradients":
            gradients = _gradients(model, rows, chosen, batch)
            exact = torch.promote_types(gradients.dtype, torch.float32)  # numpy has no bfloat16
            gram, kept = _gram(gradients), gradients.to(exact).numpy()
        else:
            gram, kept = layer_wise_gram(model, rows, chosen, batch), None
        check_finite(model, gram, "inner products of gradients")
    found = gram.numpy()
    token_gram = token_gradients = None
    if tokens:
        token_gram = _table(_table(found, responses).transpose(2, 0, 1), responses)
        found = token_gram.sum((1, 3))
        token_gradients = None if kept is None else _table(kept, responses)
        kept = None if token_gradients is None else token_gradients.sum(1)
    return Geometry(
        responses=responses,
        token_log_probs=token_log_probs,
        hidden=hidden,
        gram=found,
        gradients=kept,
        token_gram=token_gram,
        token_gradients=token_gradients,
        parameter_names=tuple(chosen),
        method=method,
    )


def _measured(
    model: Any, responses: Responses, batch: int
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Token log-probabilities (R, T) and the states that predict them."""
    table = np.zeros(responses.mask.shape)
    hidden: list[np.ndarray] = []
    with at_rest(model, {}), torch.no_grad():
        for first in range(0, len(responses), batch):
            part = responses[first : first + batch]
            values, states = plain_log_probs(model, part)
            check_finite(model, values, "log-probabilities")
            rows, columns = part.places
            table[first + rows, columns] = values.double().cpu().numpy()
            split = states.hidden.cpu().to(torch.promote_types(states.hidden.dtype, torch.float32))
            hidden += [piece.numpy() for piece in split.split(part.lengths.tolist())]
    return table, tuple(hidden)


def _gradients(
    model: Any, responses: Responses, chosen: dict[str, nn.Parameter], batch: int
) -> Tensor:
    """Gradients (R, P) by one backward pass for many; by one for each where layers are unknown."""
    try:
        return layer_wise_gradients(model, responses, chosen, batch)
    except UnknownUse:
        # Each of these passes goes back once per row: few rows at a time take least.
        return row_gradients(model, responses, chosen, max(1, batch // 4))


def _each_token(responses: Responses) -> Responses:
    """Every token as a response of its own, behind the prompt and the tokens before it."""
    pairs = [
        (prompt + tokens[:t], tokens[t : t + 1])
        for prompt, tokens in zip(responses.prompt_tokens, responses.tokens, strict=True)
        for t in range(len(tokens))
    ]
    return Responses(tuple(before for before, _ in pairs), tuple(token for _, token in pairs))


def _gram(rows: Tensor, block: int = 1 << 16) -> Tensor:
    """``rows rowsᵀ`` of (R, P) in double precision, without a second copy of the rows."""
    gram = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for first in range(0, rows.shape[1], block):
        part = rows[:, first : first + block].double()
        gram += part @ part.T
    return gram


def _table(values: Any, responses: Responses) -> np.ndarray:
    """Values (N, ...) of the N response tokens as (R, T, ...), 0 in the padding."""
    values = np.asarray(values)
    table = np.zeros((*responses.mask.shape, *values.shape[1:]), values.dtype)
    table[responses.places] = values
    return table
