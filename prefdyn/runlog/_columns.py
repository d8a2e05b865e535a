"""What other programs call the numbers they log: the only place that knows."""

import re
from functools import cache

from prefdyn.runlog._log import Split

STEPS = (
    ("global_step", "train/global_step", "eval/global_step", "trainer/global_step"),
    ("step", "Step", "current_steps", "steps"),
    ("_step",),
    ("counters/updates",),
    ("counters/examples",),
    ("round", "iteration"),
)
"""Columns that say when; those of one group mean the same, and the first group wins."""

RUNS = ("run_name", "run", "Name")
"""Columns of words that say which run a row belongs to."""

NAMES = {
    # TRL, LLaMA-Factory, axolotl, prefdyn
    "logps/chosen": "chosen",
    "logps/rejected": "rejected",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "accuracy",
    "loss": "loss",
    "nll_loss": "nll",
    "sft_loss": "nll",
    "entropy": "entropy",
    "kl": "kl",
    "objective/kl": "kl",
    "objective/entropy": "response_entropy",
    "grad_norm": "gradient_norm",
    "learning_rate": "rate",
    "lr": "rate",
    "completions/mean_length": "length",
    "accuracy": "accuracy",
    # prefdyn's probe
    "probe/logps_chosen": "chosen",
    "probe/logps_rejected": "rejected",
    "probe/logps_greedy": "greedy",
    "mass_inside": "mass_inside",
    "probe/mass_inside": "mass_inside",
    "probe/entropy": "entropy",
    "probe/logps_top": "top_token",
    "probe/chosen_floor": "chosen_floor",
    "probe/rejected_floor": "rejected_floor",
    "probe/gradient_cosine": "gradient_cosine",
    # OpenRLHF
    "loss_mean": "loss",
    "acc_mean": "accuracy",
    "acc": "accuracy",
    "chosen_reward": "reward_chosen",
    "reject_reward": "reward_rejected",
    # the typed responses of "Learning dynamics of LLM finetuning"
    "logps/chosen_gptsemantic": "chosen_rephrased",
    "logps/reject_gptsemantic": "rejected_rephrased",
    "logps/irr_test": "unrelated",
    "argmax_prob_logits": "greedy",
}
"""Column, without what says the split, to the name of `RunLog`.

Where a log has several columns for one name, the one that stands last here is taken: an average
over more steps, or the same responses every time, says more.
"""

LAID_OUT = ("round", "prompt", "response", "policy", "log_prob")
"""Columns of ``rounds.csv`` of prefdyn iterate, a row for each response."""

PROBES = ("probe/", "argmax_prob_logits", "mass_inside")
"""How columns begin that are of the same responses at every reading."""

UNUSED = re.compile(
    # when, how fast, how much
    r"(.*_)?(runtime|samples_per_second|steps_per_second|tokens_per_second)|train_loss"
    r"|total_flos|num_(input_)?tokens(_seen)?|epoch|(global_|total_|current_)?steps?|Step|round"
    r"|percentage|throughput|total_tokens|vram_.*|counters/.*|examples_per_second|id|v"
    r"|_(step|runtime|timestamp|wandb.*)|timestamp|created_at|system[./].*|Relative Time.*|Wall.*"
    # of the training, but not of what is asked here; raw logits say nothing about likelihood
    r"|logits/.*|mean_token_accuracy|aux_loss|(count|val|sampling|clip_ratio)/.*|completions/(?!mean_length$).*"
    r"|log_odds_(ratio|chosen)|odds_ratio_loss|delta|beta|alpha|mixture_coef|dummy_\d+"
    r"|probe/(margin|log_mass_inside|mass_outside)|stats/.*"
    # further measurements and responses of "Learning dynamics of LLM finetuning"
    r"|(.*_)?A_o|p_e|energy|except_argmax_prob_logits"
    r"|logps/(chosen_initial|(chosen|reject)_gptformat|irr_train|irr_hum|random_.*)"
)
"""Columns, without what says the split, that are known and not needed."""

SETTINGS = {
    "beta": "beta",
    "dpo_beta": "beta",
    "pref_beta": "beta",
    "rl_beta": "beta",
    "loss_type": "loss_type",
    "pref_loss": "loss_type",
    "learning_rate": "learning_rate",
    "lr": "learning_rate",
} | {
    name: name
    for name in (
        "sync_ref_model",
        "ref_model_mixup_alpha",
        "ref_model_sync_steps",
        "reference_free",
        "ld_alpha",
        "rpo_alpha",
        "cpo_alpha",
        "simpo_gamma",
        "label_smoothing",
        "f_divergence_type",
    )
}
"""Arguments of other programs that bear on what a log means, and what they are called here."""

_WRITTEN = (
    re.compile(r"(rewards|logps)_(train|eval)/(.+)"),
    re.compile(r"(logps)_(eval)_prob_(?:train|test)/(.+)"),
    re.compile(r"(loss)/(train|eval)()"),
)

_OF_A_SET = re.compile(r"[^/]+_(?=(rewards|logps|logits)/)")
"""The name of one of several evaluation sets."""


@cache
def split_of(column: str) -> tuple[Split, str]:
    """Which split a column belongs to, and its name without that.

    Examples
    --------
    >>> split_of("eval_rewards/chosen"), split_of("train/loss"), split_of("logps_eval/rejected")
    (('eval', 'rewards/chosen'), ('train', 'loss'), ('eval', 'logps/rejected'))
    >>> split_of("probe/entropy"), split_of("train_loss"), split_of("loss")
    (('eval', 'probe/entropy'), ('train', 'train_loss'), ('train', 'loss'))
    """
    word, bare = "train", column.removeprefix("train/")
    for pattern in _WRITTEN:
        if found := pattern.fullmatch(column):
            word, bare = found[2], f"{found[1]}/{found[3]}".removesuffix("/")
            break
    else:
        for prefix in ("eval/", "eval_"):  # OpenRLHF has both at once
            if bare.startswith(prefix):
                word, bare = "eval", _OF_A_SET.sub("", bare.removeprefix(prefix))
    return ("eval" if word == "eval" or bare.startswith(PROBES) else "train"), bare
