"""The training loop: batches, steps, log, checkpoints."""

import hashlib
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prefdyn._errors import InputError
from prefdyn._files import exclusive, write_folder
from prefdyn._processes import interruptible
from prefdyn._progress import track, working
from prefdyn.llm._encoding import Responses
from prefdyn.llm._hub import quiet
from prefdyn.llm._memory import enough_memory
from prefdyn.llm._pair_loss import PairLoss
from prefdyn.llm.reference import fingerprint, reference_log_probs
from prefdyn.llm.training._batches import Batches, with_what_it_needs
from prefdyn.llm.training._checkpoint import Log, load_state, save_state
from prefdyn.llm.training._fit import check_finite, make_optimiser
from prefdyn.llm.training._gradient import Batch, Team, backward, trainable
from prefdyn.llm.training._machines import team_of
from prefdyn.llm.training._plan import Plan
from prefdyn.llm.training._probe import Probe, Reading
from prefdyn.llm.training._warnings import warnings_of


@dataclass(frozen=True)
class Trained:
    """What `train` did.

    Attributes
    ----------
    out : pathlib.Path
        Folder of the run: ``model/``, ``log.jsonl``, ``checkpoint.pt``, ``reference/``.
    steps : int
        Steps taken in all.
    resumed_at : int
        Step at which an interrupted run went on; 0 for a fresh one.
    first, last : dict
        The probe before training and in the end.
    loss : float or None
        Mean over the steps of the last line of the log.
    warnings : tuple of str
        Sentences that became true on the way.
    """

    out: Path
    steps: int
    resumed_at: int
    first: Reading
    last: Reading
    loss: float | None
    warnings: tuple[str, ...]


def train(
    model: Any,
    tokenizer: Any,
    responses: Responses,
    plan: Plan,
    out: Path | str,
    *,
    reference: Any = None,
    extra: Mapping[str, np.ndarray] | None = None,
    cache: Path | str | None = None,
) -> Trained:
    """Train a model in place on pairs, log the run, and save the model.

    A run that was stopped, killed even, goes on from its last checkpoint when it is called again
    with the same arguments; on a CPU its result is the same to the last bit.  Ctrl-C ends it after
    the step that it is in, with a checkpoint; a second one at once.  Training is without
    dropout.  Under ``accelerate launch`` several processes share every batch, each holding the
    whole model; the result is that of one process up to rounding.

    Parameters
    ----------
    model, tokenizer
        A causal language model, of which only parameters that require a gradient move, and its
        tokenizer.
    responses
        Chosen and rejected of every pair in turn, 2M of them.
    plan
        Objective, rate and all else.
    out
        Folder to write to.
    reference
        A reference model; by default the model itself, before training.
    extra
        Further fields of `prefdyn.objectives.Pair`, (M,) each.
    cache
        Folder in which the reference's log-probabilities are kept, which several runs may share;
        by default in `out`.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        For data that do not fit, a folder that holds another run or that another run is writing
        to, a loss that is not finite, or too little memory, naming the size to lower.
    """
    accelerator, team = team_of(model)
    advice = (
        f"{plan.batch} pairs a step run in {plan.accumulate} pieces; raise accumulate to "
        f"{2 * plan.accumulate}, lower batch, or leave out the longest pairs"
    )
    writes = team.number == 0
    with exclusive(Path(out)) if writes else nullcontext(), enough_memory(advice):
        model.to(accelerator.device).eval()
        kept = Path(out) / "reference" if cache is None else Path(cache)
        start = (Path(out), team, reference, extra or {}, kept)
        done = _Run(model, tokenizer, responses, plan, *start).go()
    accelerator.wait_for_everyone()
    return done


@dataclass
class _State:
    """What changes on the way, beside the model and the optimiser."""

    step: int = 0
    stats: dict[str, Any] | None = None
    first: Reading = field(default_factory=dict)
    first_loss: float | None = None
    loss: float | None = None
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0
    warnings: dict[str, str] = field(default_factory=dict)
    log_size: int = 0


class _Run:
    """A run of `train`; every process has one, the first one writes."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        responses: Responses,
        plan: Plan,
        out: Path,
        team: Team,
        reference: Any,
        extra: Mapping[str, np.ndarray],
        cache: Path,
    ):
        pairs = len(responses) // 2
        if pairs < plan.batch:
            raise InputError(f"There are {pairs} pairs for a batch of {plan.batch}: lower batch.")
        if 2 * plan.batch < team.size:
            raise InputError(
                f"{team.size} processes share the {2 * plan.batch} responses of a batch: raise "
                "batch, or launch fewer."
            )
        self.model, self.tokenizer, self.plan, self.out = model, tokenizer, plan, out
        self.team, self.steps = team, plan.length(pairs)
        self.optimiser = make_optimiser(
            plan.optimiser,
            trainable(model),
            plan.rate,
            momentum=plan.momentum,
            weight_decay=plan.weight_decay,
        )
        self.identity = plan.identity(self.steps) | {
            "model": fingerprint(model, tokenizer),
            "data": _digest(responses),
            "reference": None if reference is None else fingerprint(reference, tokenizer),
            "extra": _digest_of_fields(extra) if extra else None,
        }
        everything = with_what_it_needs(plan.objective, responses)
        with working("measuring the reference") as bar:
            known = reference_log_probs(
                model if reference is None else reference,
                tokenizer,
                everything,
                cache=cache,
                batch=max(1, 2 * plan.batch // plan.accumulate),
                progress=bar.update,
            )
        self.batches = Batches(plan.objective, everything, known, plan.batch, plan.seed, extra)
        self.probe = Probe.of(model, tokenizer, responses[: 2 * plan.probes])

    def go(self) -> Trained:
        state = self._begin()
        begun = state.step
        writes = self.team.number == 0
        with Log(self.out / "log.jsonl", state.log_size) if writes else nullcontext() as log:
            with interruptible() as asked:
                steps = range(begun, self.steps)
                for step in track(steps, "training", total=self.steps, done=begun):
                    self._step(step, state, log)
                    if asked.is_set():
                        self._save(state, log)
                        break
            for parameter in trainable(self.model):
                parameter.grad = None
            if begun < self.steps or not begun:
                last = self._log(state, log, self.plan.rate_at(self.steps, self.steps))
                self._save(state, log)
            else:
                last = self.probe.read(self.model)
        if writes:
            write_folder(self.out / "model", self._write)
        texts = tuple(state.warnings.values())
        return Trained(self.out, state.step, begun, state.first, last, state.loss, texts)

    def _step(self, step: int, state: _State, log: Log | None) -> None:
        loss = self.batches.loss(step)
        pieces = self.plan.accumulate
        batch = backward(self.model, loss, state.stats, pieces=pieces, team=self.team)
        check_finite(float(batch.loss), step, self.plan.rate)
        rate = self.plan.rate_at(step, self.steps)
        norm = _clipped(self.model, self.plan.clip)
        check_finite(norm, step, self.plan.rate, "gradient's norm")
        self._count(state, loss, batch, norm)
        if step % self.plan.log_every == 0:
            self._log(state, log, rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        state.step, state.stats = step + 1, batch.stats
        if state.step % self.plan.save_every == 0 and state.step < self.steps:
            self._save(state, log)

    def _begin(self) -> _State:
        """The state of the last checkpoint, or a fresh one."""
        found = load_state(self.out / "checkpoint.pt")
        if found is None:
            first = self.probe.read(self.model)
            return _State(stats=self.plan.objective.initial_stats(), first=first)
        for name, value in self.identity.items():
            if found["identity"].get(name) != value:
                raise InputError(
                    f"{self.out} holds a run with another {name}: give another folder, or remove "
                    "this one to start afresh."
                )
        done = found["state"]["step"]
        if done > self.steps:
            raise InputError(
                f"{self.out} holds {done} steps already and {self.steps} were asked for: ask for "
                "at least as many, or give another folder."
            )
        self.model.load_state_dict(found["model"])
        self.optimiser.load_state_dict(found["optimiser"])
        return _State(**found["state"])

    def _save(self, state: _State, log: Log | None) -> None:
        if log is None:
            return
        state.log_size = log.size
        save_state(
            self.out / "checkpoint.pt",
            {
                "identity": self.identity,
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "state": asdict(state),
            },
        )

    def _count(self, state: _State, loss: PairLoss, batch: Batch, norm: float) -> None:
        """Add a batch, and the norm of its gradient, to the means of the next line."""
        pair = loss.pair(batch.measured.tokens)
        numbers = self.plan.objective.numbers()
        beta = numbers.get("beta", numbers.get("base.beta", 1.0))
        chosen, rejected = beta * pair.chosen_log_ratio, beta * pair.rejected_log_ratio
        values = {
            "loss": batch.loss,
            "grad_norm": norm,
            "rewards/chosen": chosen.mean(),
            "rewards/rejected": rejected.mean(),
            "rewards/margins": (chosen - rejected).mean(),
            "rewards/accuracies": (chosen > rejected).double().mean(),
            "logps/chosen": pair.chosen.mean(),
            "logps/rejected": pair.rejected.mean(),
        }
        for name, value in values.items():
            state.sums[name] = state.sums.get(name, 0.0) + float(value)
        state.summed += 1

    def _log(self, state: _State, log: Log | None, rate: float) -> Reading:
        reading = self.probe.read(self.model)
        for name, value in reading.items():
            check_finite(value, state.step, self.plan.rate, name)
        line = {"step": state.step, "epoch": state.step * self.plan.batch / self.batches.M}
        line |= {name: value / state.summed for name, value in state.sums.items()}
        line |= {"learning_rate": rate} | reading | _flat(state.stats)
        if state.summed:
            state.loss = line["loss"]
            state.first_loss = state.loss if state.first_loss is None else state.first_loss
            state.sums, state.summed = {}, 0
        if state.loss is not None and state.first_loss is not None:
            found = warnings_of(state.first, reading, state.first_loss - state.loss)
            new = {name: text for name, text in found.items() if name not in state.warnings}
            state.warnings |= new
            line |= {"warnings": list(new.values())} if new else {}
        if log is not None:
            log.write(line)
        return reading

    def _write(self, folder: Path) -> None:
        with quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def _digest(responses: Responses) -> str:
    """SHA-256 of all token ids and of where they end."""
    digest = hashlib.sha256()
    for part in (responses.prompt_tokens, responses.tokens):
        digest.update(np.array([len(tokens) for tokens in part]).tobytes())
        digest.update(np.concatenate([np.array(tokens) for tokens in part]).tobytes())
    return digest.hexdigest()


def _digest_of_fields(extra: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of further fields of the pairs."""
    digest = hashlib.sha256()
    for name, values in sorted(extra.items()):
        digest.update(name.encode() + np.asarray(values, dtype=float).tobytes())
    return digest.hexdigest()


def _clipped(model: Any, clip: float | None) -> float:
    """Norm of the whole gradient, which is scaled down to `clip` if it is longer."""
    gradients = [p.grad for p in trainable(model) if p.grad is not None]
    norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
    if clip is not None and norm > clip:
        for gradient in gradients:
            gradient.mul_(clip / norm)
    return norm


def _flat(stats: Any, path: str = "stats") -> dict[str, float]:
    """Nested statistics as numbers under joined names."""
    if not isinstance(stats, dict):
        return {} if stats is None else {path: float(stats)}
    parts = (_flat(value, f"{path}/{name}") for name, value in stats.items())
    return {name: value for part in parts for name, value in part.items()}
