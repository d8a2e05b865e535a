"""The smallest model of language with all that matters here: tokens, contexts, shared weights."""

import numpy as np

from prefdyn.policies import Differentiable

VOCABULARY, CONTEXT, WIDTH, HIDDEN = 12, 3, 6, 24
LENGTH = 6
PROMPT = (0, 1, 2)
SIZES = [VOCABULARY * WIDTH, CONTEXT * WIDTH * HIDDEN, HIDDEN * VOCABULARY]


def next_token(theta, contexts):
    """Log-probs (..., vocabulary) after the contexts (..., 3): embeddings, a tanh layer, logits."""
    import torch

    embeddings, first, last = theta.split(SIZES)
    state = embeddings.reshape(VOCABULARY, WIDTH)[contexts].flatten(-2)
    state = torch.tanh(state @ first.reshape(-1, HIDDEN))
    return torch.log_softmax(state @ last.reshape(HIDDEN, VOCABULARY), -1)


def trained_weights(rng, steps=150):
    """Weights after some training on texts of a random, rather certain Markov chain."""
    import torch

    chain = rng.dirichlet(np.full(VOCABULARY, 0.15), size=VOCABULARY)
    texts = rng.integers(VOCABULARY, size=(100, CONTEXT + LENGTH))
    for t in range(1, texts.shape[1]):
        draws = rng.uniform(size=(len(texts), 1)) > chain[texts[:, t - 1]].cumsum(-1)
        texts[:, t] = draws.sum(-1).clip(max=VOCABULARY - 1)
    windows = torch.tensor(np.lib.stride_tricks.sliding_window_view(texts, CONTEXT + 1, axis=1))
    theta = torch.tensor(rng.normal(size=sum(SIZES)) * 0.4, requires_grad=True)
    optimiser = torch.optim.Adam([theta], lr=0.02)
    for _ in range(steps):
        log_probs = next_token(theta, windows[..., :-1])
        loss = -log_probs.gather(-1, windows[..., -1:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return theta.detach().numpy()


def language_model(seed, n=10):
    """`n` different completions that the model itself wrote; its log-probs are summed."""
    import torch

    rng = np.random.default_rng(seed)
    weights = trained_weights(rng)
    found = {}
    while len(found) < n:
        text: list[int] = [*PROMPT]
        for _ in range(LENGTH):
            at = next_token(torch.tensor(weights), torch.tensor(text[-CONTEXT:])).exp().numpy()
            text.append(int(rng.choice(VOCABULARY, p=at / at.sum())))
        found[tuple(text)] = None
    texts = torch.tensor(list(found))
    windows = texts.unfold(1, CONTEXT + 1, 1)

    def log_probs(theta):
        rows = next_token(theta, windows[..., :-1])
        return rows.gather(-1, windows[..., -1:]).sum((-1, -2))

    return Differentiable(log_probs, weights, complete=False)
