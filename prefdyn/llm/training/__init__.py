"""Training with any objective, and what the theory speaks about while it runs.

`train` is the loop, `DynamicsCallback` the same measurements inside another trainer.

A line of the log is a JSON object.  Names as TRL has them, means over the steps since the last line
(but for the first two, which are as of now):

``step``, ``epoch``, ``loss``, ``grad_norm``, ``learning_rate``
    Steps taken; passes over the data; loss and norm of its gradient; rate of the next step.
``rewards/chosen``, ``rewards/rejected``, ``rewards/margins``, ``rewards/accuracies``
    beta times the log-ratio to the reference, summed over tokens (beta = 1 for objectives without
    one); the share of pairs whose margin is positive.
``logps/chosen``, ``logps/rejected``
    Summed log-probabilities, in nats.

Of the probe, a few pairs that are measured at every line, in nats:

``probe/logps_chosen``, ``probe/logps_rejected``, ``probe/logps_greedy``
    Mean log-probability of its responses, and of what the first model's greedy decoding answered.
``probe/margin``
    Chosen minus rejected.
``probe/mass_inside``, ``probe/log_mass_inside``, ``probe/mass_outside``
    Probability of a prompt's known responses together, its log, and what is left; prompt means.
``probe/entropy``, ``probe/logps_top``
    Entropy of the next token and log-probability of the likeliest one, mean over response tokens.
``probe/rejected_floor``, ``probe/chosen_floor``
    The least likely token of any rejected (chosen) response.
``probe/gradient_cosine``
    Cosine between the gradients of chosen and rejected, mean over the first four pairs.

``stats/...`` are the objective's running statistics; ``warnings`` are sentences that became true.
"""

from prefdyn._lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
