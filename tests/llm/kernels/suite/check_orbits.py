"""Orbits on-chip: the kernels against their twins and against a loop over orbits in numpy."""

import numpy as np
import pytest
import torch

from prefdyn.llm import kernels
from prefdyn.llm.kernels import _orbits, _orbits_triton
from tests.llm.kernels.suite.place import DEVICE, ON_GPU, draw


@pytest.fixture(autouse=True)
def few_programs(monkeypatch):
    """The interpreter takes its time for every operation of every program: 16 orbits in each.

    One of the most responses has an orbit to itself, as on a GPU.
    """
    settings = _orbits_triton.settings
    if not ON_GPU:
        monkeypatch.setattr(
            _orbits_triton,
            "settings",
            lambda K, tiles: settings(K, tiles=tiles)._replace(orbits=16 if K < 33 else 1),
        )


def share(*shape, seed):
    return draw(*shape, seed=seed, dtype=torch.float64).sigmoid()


def mixture(n, K, games=None, **changes):
    """Arguments of `mixed_orbits`; one game for all, or several."""
    odds = draw(games or 1, K, K, seed=1, dtype=torch.float64)
    lam = changes.get("lam", share(n, seed=2))
    return {
        "games": torch.sigmoid(odds - odds.mT),
        "which": torch.arange(n, device=DEVICE) % (games or 1),
        "theta": draw(n, K, seed=3, dtype=torch.float64),
        "gain": 0.5 + share(n, seed=4),
        "alpha": share(n, seed=5),
        "lam": lam,
        "drift": draw(n, K, seed=6, size=0.1, dtype=torch.float64),
        "offline": (1 - lam)[:, None] * draw(n, K, seed=7, dtype=torch.float64).softmax(-1),
    } | changes


def against_twin(operation, rounds, given, tolerance=1e-12):
    with kernels.using("torch"):
        expected = operation(rounds=rounds, **given)
    with kernels.using("triton"):
        found = operation(rounds=rounds, **given)
    assert torch.equal(found.failed, expected.failed)
    good = ~expected.failed
    close(found.theta[good], expected.theta[good], tolerance * rounds)
    close(found.mean[good], expected.mean[good], tolerance)
    close(found.deviations[good], expected.deviations[good], tolerance * rounds)
    return found


def close(found, expected, tolerance):
    assert (found - expected).abs().le(tolerance * expected.abs().clamp(min=1)).all()


def against_loop(moved, policies, theta):
    """`theta` and the policies (rounds, K) of every orbit, from a loop over orbits."""
    policies, rounds = np.stack(policies, 1), len(policies[0])
    close(moved.theta, torch.tensor(np.array(theta)).to(DEVICE), 1e-12 * rounds)
    close(moved.mean, torch.tensor(policies.mean(0)).to(DEVICE), 1e-12)
    squares = ((policies - policies.mean(0)) ** 2).sum(0)
    close(moved.deviations, torch.tensor(squares).to(DEVICE), 1e-12 * rounds)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def scores(P, mu):
    """Scores with ``sum_j mu_j sigmoid(r_i - r_j) = (P mu)_i`` by undamped Newton, mean zero."""
    r = np.zeros(len(mu))
    for _ in range(30):
        won = 1 / (1 + np.exp(r[None] - r[:, None]))
        links = won * (1 - won) * mu
        laplacian = np.diag(links.sum(1)) - links
        r[:-1] += np.linalg.solve(laplacian[:-1, :-1], ((P - won) @ mu)[:-1])
    return r - r.mean()


def orbit(rounds, theta, step):
    policies = []
    for _ in range(rounds):
        theta = step(theta, softmax(theta))
        policies.append(softmax(theta))
    return policies, theta


def mixed_loop(given, rounds, fitted):
    parts = {name: value.cpu().numpy() for name, value in given.items()}
    runs = []
    for b, theta in enumerate(parts["theta"]):
        game = parts["games"][parts["which"][b]]
        gain, alpha, lam, drift, offline = (
            parts[name][b] for name in ("gain", "alpha", "lam", "drift", "offline")
        )

        def step(x, policy):
            mu = lam * policy + offline  # noqa: B023
            x = alpha * x + drift + gain * (scores(game, mu) if fitted else game @ mu)  # noqa: B023
            return x - x.mean()

        runs.append(orbit(rounds, theta, step))
    return zip(*runs, strict=True)


@pytest.mark.parametrize(
    ("K", "games"), [(2, 3), (3, 3), (3, None), (5, 3), (8, 3), (33, 3), (64, None)]
)
def test_linear_drive(K, games):
    given = mixture(21 if K < 33 else 3, K, games)
    moved = against_twin(kernels.mixed_orbits, 4, given | {"fitted": False})
    against_loop(moved, *mixed_loop(given, 4, fitted=False))


# A fit takes K operations in each of Newton's steps, of which games near 1/2 need few; the
# interpreter is given as few as show every kind of padding.
FITS = [(2, 5, 2, 1.0), (3, 17, 1, 1.0), (8, 5, 1, 0.1), (33, 2, 1, 1e-4)]
FITS = [(K, 40, 8, 1.0) for K in (2, 3, 5, 8, 16, 33, 64)] if ON_GPU else FITS


@pytest.mark.parametrize(("K", "n", "rounds", "size"), FITS)
def test_fitted_drive(K, n, rounds, size):
    given = mixture(n, K, games=2)
    given["games"] = 0.5 + size * (given["games"] - 0.5)
    moved = against_twin(kernels.mixed_orbits, rounds, given | {"fitted": True})
    against_loop(moved, *mixed_loop(given, rounds, fitted=True))


@pytest.mark.parametrize("fitted", [False, True])
def test_extremes(fitted):
    """Parameters at their limits, and preferences near 0 and 1, each beside ordinary orbits."""
    n = 15
    edge = torch.tensor([0.4, 1e-3, 1e-9, 1e-14], device=DEVICE, dtype=torch.float64)
    wins = torch.tensor([[0, 1, -1], [-1, 0, 1], [1, -1, 0]], device=DEVICE, dtype=torch.float64)
    edge = edge[:, None, None]
    games = torch.where(wins > 0, 1 - edge, torch.where(wins < 0, edge, 0.5))
    few, many = (torch.arange(n, device=DEVICE) % k for k in (2, 3))
    lam = torch.stack([torch.ones(n), torch.zeros(n), 0.5 + torch.zeros(n)]).to(DEVICE).double()
    lam = lam.gather(0, many[None])[0]
    gain = torch.logspace(-6, 6, n, dtype=torch.float64, device=DEVICE)
    given = mixture(n, 3, which=torch.arange(n, device=DEVICE) % 4, lam=lam, gain=gain)
    given |= {"games": games, "alpha": few.double()}
    moved = against_twin(kernels.mixed_orbits, 2, given | {"fitted": fitted})
    assert not moved.failed.any()
    assert (moved.theta.softmax(-1) == 0).any()


def test_no_rounds():
    given = mixture(5, 3)
    moved = against_twin(kernels.mixed_orbits, 0, given | {"fitted": True})
    assert torch.equal(moved.theta, given["theta"])
    assert (moved.mean == 0).all()
    assert (moved.deviations == 0).all()
    assert len(kernels.mixed_orbits(rounds=3, fitted=False, **mixture(0, 3)).theta) == 0


def test_rounds_after_settling_count():
    given = mixture(3, 3, alpha=0.1 * share(3, seed=5), gain=0.1 * share(3, seed=4))
    moved = against_twin(kernels.mixed_orbits, 300, given | {"fitted": False}, tolerance=1e-14)
    assert (moved.deviations > 0).all()


def test_launch_after_launch(monkeypatch):
    given = mixture(5, 3, games=2) | {"fitted": False}
    whole = against_twin(kernels.mixed_orbits, 5, given)
    monkeypatch.setattr(_orbits_triton, "LAUNCH", 2 * 3 * 16)  # two rounds of three orbits
    monkeypatch.setattr(_orbits_triton, "GAMES", 3 * 9)
    for one, other in zip(whole, against_twin(kernels.mixed_orbits, 5, given), strict=True):
        close(one.double(), other.double(), 1e-13)


def test_an_orbit_that_fails_spoils_no_other():
    given = mixture(9, 3, games=3)
    games = given["games"].clone()
    # With certain wins all the way down the scores are infinite, which takes 200 steps to see.
    games[1] = torch.triu(torch.ones(3, 3), 1) + torch.eye(3) / 2 if ON_GPU else torch.nan
    with np.errstate(invalid="ignore"):
        moved = against_twin(kernels.mixed_orbits, 1, given | {"games": games, "fitted": True})
    assert moved.failed.tolist() == [False, True, False] * 3
    good = ~moved.failed
    with kernels.using("torch"):
        alone = kernels.mixed_orbits(rounds=1, fitted=True, **given)
    close(moved.theta[good], alone.theta[good], 1e-13)


@pytest.mark.parametrize("K", [2, 3, 8, 33, 64])
def test_pushed_pairs(K):
    n, rounds, pairs = 21 if K < 33 else 3, 3, 3 * K
    generator = np.random.default_rng(K)
    first = generator.integers(K, size=pairs)
    second = (first + generator.integers(1, K, size=pairs)) % K
    counts = generator.normal(size=pairs) / pairs
    weights = np.zeros((K, K))
    np.add.at(weights, (first, second), counts)
    push = torch.stack([share(n, seed=seed) for seed in (1, 2, 3, 4)])
    push[3, :3] = torch.tensor([0.0, 1e-3, 1e3], dtype=torch.float64)
    given = {
        "weights": torch.tensor(weights, device=DEVICE),
        "theta": draw(n, K, seed=5, dtype=torch.float64),
        "rate": 2 * share(n, seed=6),
        "reference": draw(n, K, seed=7, dtype=torch.float64),
        "push": push,
    }
    moved = against_twin(kernels.pair_orbits, rounds, given)
    runs = []
    for b, theta in enumerate(given["theta"].cpu().numpy()):
        rate, reference = float(given["rate"][b]), given["reference"][b].cpu().numpy()
        numbers = push[:, b].cpu().numpy()

        def step(x, policy):
            z, (a, slope, c, d) = x - reference, numbers  # noqa: B023
            gap = z[first] - z[second]
            with np.errstate(over="ignore"):
                moves = counts * (a - slope * gap + c / (1 + np.exp(d * gap)))
            move = np.bincount(first, moves, K) - np.bincount(second, moves, K)
            return x + rate * move  # noqa: B023

        runs.append(orbit(rounds, theta, step))
    against_loop(moved, *zip(*runs, strict=True))


def test_more_responses_than_registers_hold():
    with pytest.raises(ValueError, match="theta has 65 responses: a kernel holds at most 64"):
        kernels.mixed_orbits(rounds=1, fitted=False, **mixture(2, 65))


def test_no_twin_runs(monkeypatch):
    monkeypatch.delattr(_orbits, "mixed_orbits")
    kernels.mixed_orbits(rounds=1, fitted=False, **mixture(2, 3))
