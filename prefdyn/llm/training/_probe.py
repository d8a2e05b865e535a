"""What the theory speaks about, measured on a few pairs while a model is trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefdyn.llm._encoding import Responses
from prefdyn.llm._forward import completion_states, log_probs
from prefdyn.llm.head._head import Head
from prefdyn.llm.head.logprobs import token_logprobs
from prefdyn.llm.sampling import evaluating, greedy
from prefdyn.llm.training._gradient import trainable

Reading = dict[str, float]


@dataclass(frozen=True, eq=False)
class Probe:
    """A few pairs, and the responses that the untrained model gives to their prompts.

    Attributes
    ----------
    responses : Responses
        Chosen and rejected of every pair, then one greedy continuation per pair.
    pairs : numpy.ndarray
        (n, 2) numbers of chosen and rejected.
    greedy : numpy.ndarray
        (n,) numbers of the greedy continuations.
    """

    responses: Responses
    pairs: np.ndarray
    greedy: np.ndarray

    @classmethod
    def of(cls, model: Any, tokenizer: Any, responses: Responses) -> "Probe":
        """A probe of n pairs, given as chosen, rejected, chosen, rejected, ...

        The greedy continuation is as long as the longer one of its pair, or ends itself.
        """
        pairs = np.arange(len(responses)).reshape(-1, 2)
        own = [
            greedy(model, tokenizer, responses.prompt_tokens[chosen], int(length))
            for chosen, length in zip(pairs[:, 0], responses.lengths[pairs].max(1), strict=True)
        ]
        whole = Responses(
            responses.prompt_tokens + tuple(one.prompt_tokens[0] for one in own),
            responses.tokens + tuple(one.tokens[0] for one in own),
        )
        return cls(whole, pairs, len(responses) + np.arange(len(pairs)))

    def read(self, model: Any, *, cosines: int = 4) -> Reading:
        """Measure a model; see `prefdyn.llm.training` for the names.

        Parameters
        ----------
        model
            A causal language model; its mode and its gradients are left as they are.
        cosines
            Pairs whose response gradients are compared, two backward passes each.
        """
        with evaluating(model):
            tokens, entropy, top = self._tokens(model)
            cosine = self._cosine(model, cosines)
        sums = tokens.sum(-1)
        chosen, rejected = self.pairs.T
        inside = self._log_mass(sums)
        lengths = self.responses.lengths
        paired = self.pairs.reshape(-1)
        return {
            "probe/logps_chosen": float(sums[chosen].mean()),
            "probe/logps_rejected": float(sums[rejected].mean()),
            "probe/logps_greedy": float(sums[self.greedy].mean()),
            "probe/margin": float((sums[chosen] - sums[rejected]).mean()),
            "probe/log_mass_inside": float(inside.mean()),
            "probe/mass_inside": float(np.exp(inside).mean()),
            "probe/mass_outside": float(-np.expm1(np.minimum(inside, 0.0)).mean()),
            "probe/entropy": float(entropy[paired].sum() / lengths[paired].sum()),
            "probe/logps_top": float(top[paired].sum() / lengths[paired].sum()),
            "probe/rejected_floor": float(tokens[rejected].min()),
            "probe/chosen_floor": float(tokens[chosen].min()),
            "probe/gradient_cosine": cosine,
        }

    def log_probs(self, model: Any) -> np.ndarray:
        """Summed log-probabilities (R,) of all responses."""
        with evaluating(model):
            return self._tokens(model)[0].sum(-1)

    @torch.no_grad()
    def _tokens(self, model: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-probability of every token, entropy there, and the top token's; (R, T)."""
        states = completion_states(model, self.responses)
        values, stats = token_logprobs(
            states.hidden, Head.of(model), states.targets, statistics=True
        )
        tables = []
        for entries in (values, stats.entropy, stats.argmax_prob.log()):
            table = np.zeros(self.responses.mask.shape)
            table[self.responses.places] = entries.double().cpu().numpy()
            tables.append(table)
        return tables[0], tables[1], tables[2]

    def _log_mass(self, sums: np.ndarray) -> np.ndarray:
        """Log of the probability that the pairs' responses to a prompt have together, per prompt.

        A response that begins with another one is part of it, and does not count again.
        """
        prompts = self.responses.prompts[: self.pairs.size]
        masses = []
        for prompt in np.unique(prompts):
            rows = np.flatnonzero(prompts == prompt)
            known = {self.responses.tokens[i]: sums[i] for i in rows}
            own = [
                value
                for tokens, value in known.items()
                if not any(tokens[:n] in known for n in range(1, len(tokens)))
            ]
            with np.errstate(invalid="ignore"):  # a model of NaN is for the caller to refuse
                masses.append(np.logaddexp.reduce(own))
        return np.array(masses)

    def _cosine(self, model: Any, number: int) -> float:
        """Mean cosine between the gradients of chosen and rejected, over the first pairs."""
        parameters = trainable(model)

        def gradient(row: int) -> list[Tensor]:
            with torch.enable_grad():
                value = log_probs(model, self.responses[[row]])[0]
                return list(torch.autograd.grad(value, parameters, materialize_grads=True))

        def dot(one: list[Tensor], two: list[Tensor]) -> float:
            return sum(float((a * b).sum()) for a, b in zip(one, two, strict=True))

        cosines = []
        for chosen, rejected in self.pairs[:number]:
            one, two = gradient(chosen), gradient(rejected)
            size = np.sqrt(dot(one, one) * dot(two, two))
            cosines.append(dot(one, two) / size if size else 0.0)
        return float(np.mean(cosines))
