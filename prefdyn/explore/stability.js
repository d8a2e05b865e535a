/**
 * What a recipe comes to: its fixed point, multipliers, thresholds, proofs and far starts.
 *
 * With a uniform reference the fixed point depends on alpha and beta through tau = (1 - alpha) beta
 * only (MRS-3). So do the eigenvalues g of the fixed point's own map at alpha = 0, and
 * the multipliers of a whole round are 1 - s + s g with s = kappa (1 - alpha).
 */

import {
  ANSWERS, NoOptimum, PLANE, centred, drive, driveAlong, entropy, logSoftmax,
  missingWins, sampler, softmax, step,
} from "./mathematics.js";

/** Range in which thresholds of beta are searched, and the number of values tried first. */
export const BETAS = { low: 1e-3, high: 1e2, samples: 160 };
/** Rounds that a far start is followed, twice; and how far off it counts as astray. */
const FAR_ROUNDS = { least: 500, most: 4000 };
const ASTRAY = 1e-3;
const TOLERANCE = 1e-12;
/** Angle below which a multiplier counts as real, modulus below which as 0. */
const REAL = 1e-9;
/** An extremum of the spectral radius this close to 1 is searched for a hidden crossing. */
const NEAR = 0.05;

/** Sentence that says why DPO has no optimum on a game, or null. */
export function refusal(recipe, names) {
  const missing = recipe.objective === "dpo" ? missingWins(recipe.wins) : null;
  if (missing === null) return null;
  const lost = missing.lost.map((j) => names[j]).join(" and ");
  return (
    `DPO has no optimum on this game: ${names[missing.from]} has no chance against ${lost}, so ` +
    "their scores drift apart for ever. Move the win rates of 0 or 1 inside, or choose IPO."
  );
}

/**
 * The fixed point and its multipliers.
 *
 * @returns {{theta: number[], policy: number[], entropy: number, multipliers: number[][],
 *   radius: number, angle: number, period: number, kind: string}}
 *   Multipliers are `[real, imaginary]`, largest modulus first; period in rounds per turn.
 */
export function analyse(recipe, guess) {
  const point = fixedPoint(recipe, tauOf(recipe), guess);
  const share = recipe.kappa * (1 - recipe.alpha);
  const multipliers = point.own.map(([x, y]) => [1 - share + share * x, share * y]);
  multipliers.sort((a, b) => modulus(b) - modulus(a) || b[1] - a[1]);
  const [leading] = multipliers;
  const radius = modulus(leading);
  const angle = radius < REAL ? 0 : Math.abs(Math.atan2(leading[1], leading[0]));
  const unstable = angle < REAL ? "fold" : angle > Math.PI - REAL ? "flip" : "neimark_sacker";
  return {
    theta: point.theta,
    policy: softmax(point.theta),
    entropy: entropy(logSoftmax(point.theta)),
    multipliers,
    radius,
    angle,
    period: angle < REAL ? Infinity : (2 * Math.PI) / angle,
    kind: radius < 1 ? "stable" : unstable,
  };
}

/** Strength of the pull to the fixed part of the reference. */
export function tauOf(recipe) {
  return (1 - recipe.alpha) * recipe.beta;
}

/**
 * The solution of theta = drive(mu(theta)) / tau, and eigenvalues `own` of the right side there.
 *
 * Newton's method from the guess; where that fails, continuation from a strong pull (MRS-3).
 */
function fixedPoint(recipe, tau, guess = [0, 0, 0]) {
  const direct = newton(recipe, tau, guess);
  if (direct) return direct;
  let strength = 1e-6;
  let factor = 4;
  let here = newton(recipe, tau / strength, guess);
  while (here && strength < 1 && factor > 1.001) {
    const following = Math.min(1, strength * factor);
    const trial = newton(recipe, tau / following, here.theta);
    if (trial) {
      [here, strength, factor] = [trial, following, Math.min(factor ** 1.5, 8)];
    } else {
      factor = Math.sqrt(factor);
    }
  }
  if (here && strength === 1) return here;
  throw new NoOptimum("No fixed point is found: its logits are too large. Raise beta.");
}

function newton(recipe, tau, guess) {
  const at = (theta) => {
    const image = centred(drive(recipe, sampler(recipe, theta)).map((r) => r / tau));
    return inPlane(image.map((x, i) => x - theta[i]));
  };
  let theta = guess;
  let move = at(theta);
  let best = { size: Infinity };
  for (let turn = 0; turn < 60; turn++) {
    const J = linearised(recipe, tau, theta);
    const reach = Math.max(...theta.map(Math.abs));
    const scale = Math.max(1, ...J.map((row) => Math.abs(row[0]) + Math.abs(row[1])), 1e-3 * reach);
    const size = largest(move);
    if (!(size < Infinity && scale < Infinity)) break;
    const better = size / scale < best.size;
    if (better) best = { size: size / scale, theta, J };
    // At the tolerance, go on while Newton still gains: that polishes at no risk.
    if (best.size <= TOLERANCE && !(better && size > 1e-14 * scale)) break;
    let change = solvePlane([[1 - J[0][0], -J[0][1]], [-J[1][0], 1 - J[1][1]]], move);
    let trial = theta;
    for (let halving = 0; halving < 40; halving++) {
      trial = theta.map((x, i) => x + change[0] * PLANE[0][i] + change[1] * PLANE[1][i]);
      move = at(trial);
      if (largest(move) <= Math.max(size, TOLERANCE * scale)) break;
      change = change.map((x) => x / 2);
    }
    theta = trial;
  }
  return best.size <= TOLERANCE ? { theta: best.theta, own: eigenvalues(best.J) } : null;
}

/** Derivative (2 x 2) of drive(mu(theta)) / tau within the plane. */
function linearised(recipe, tau, theta) {
  const p = softmax(theta);
  const directions = PLANE.map((d) => {
    const mean = p[0] * d[0] + p[1] * d[1] + p[2] * d[2];
    return ANSWERS.map((i) => p[i] * (d[i] - mean));
  });
  const columns = driveAlong(recipe, sampler(recipe, theta), directions).map(inPlane);
  const factor = recipe.lam / tau;
  return [0, 1].map((i) => [0, 1].map((j) => factor * columns[j][i]));
}

/**
 * All intervals of beta, between `BETAS.low` and `BETAS.high`, on which the fixed point is locally
 * stable.
 *
 * @returns {{intervals: number[][], value: number | null}} `value` is the largest unstable beta.
 */
export function stableBetas(recipe) {
  const { low, high, samples } = BETAS;
  let guess = [0, 0, 0];
  const excess = (logBeta) => {
    const found = analyse({ ...recipe, beta: Math.exp(logBeta) }, guess);
    guess = found.theta;
    return found.radius - 1;
  };
  // Followed from the calm end, where the fixed point is near the reference.
  const width = Math.log(high / low) / (samples - 1);
  const points = Array.from({ length: samples }, (_, k) => {
    const x = Math.log(high) - k * width;
    return [x, excess(x)];
  }).reverse();
  for (let k = points.length - 2; k > 0; k--) {
    const [before, here, after] = points.slice(k - 1, k + 2);
    const sign = here[1] < 0 ? 1 : -1;
    const extremal = sign * here[1] >= Math.max(sign * before[1], sign * after[1]);
    if (!extremal || Math.abs(here[1]) >= NEAR) continue;
    const x = goldenSection((at) => sign * excess(at), before[0], after[0]);
    points.splice(x < here[0] ? k : k + 1, 0, [x, excess(x)]);
  }
  const edges = [low];
  for (let k = 1; k < points.length; k++) {
    const [[a, below], [b, above]] = [points[k - 1], points[k]];
    if (below < 0 !== above < 0) edges.push(Math.exp(crossing(excess, a, b, below < 0)));
  }
  edges.push(high);
  const startsStable = points[0][1] < 0;
  const pieces = edges.slice(1).map((end, k) => [edges[k], end]);
  const stable = pieces.filter((_, k) => (k % 2 === 0) === startsStable);
  const unstable = pieces.filter((_, k) => (k % 2 === 0) !== startsStable);
  return { intervals: stable, value: unstable.length ? unstable.at(-1)[1] : null };
}

/**
 * The boundary of stability in the plane of alpha and beta, along tau from strong to weak pull.
 *
 * At a given tau the multiplier 1 - s + s g leaves the unit circle where s = kappa (1 - alpha) is
 * 2 Re(1 - g) / |1 - g|^2: an equation for alpha, solved exactly. Recipes with less alpha are
 * unstable.
 *
 * @returns {{tau: number, alpha: number}[]} alpha below 0: stable at every alpha.
 */
export function boundary(recipe, low, high, samples = 400) {
  const curve = [];
  let guess = [0, 0, 0];
  for (let k = 0; k < samples; k++) {
    const tau = high * (low / high) ** (k / (samples - 1));
    const point = fixedPoint(recipe, tau, guess);
    guess = point.theta;
    const limits = point.own.map(([x, y]) => {
      const share = (2 * (1 - x)) / ((1 - x) ** 2 + y ** 2);
      return 1 - Math.max(share, 0) / recipe.kappa;
    });
    curve.push({ tau, alpha: Math.max(...limits) });
  }
  return curve;
}

/** The proof of global convergence that a recipe meets, or null (MRS-2, MRS-9, RND-1). */
export function certificate(recipe) {
  const alpha = 1 - recipe.kappa * (1 - recipe.alpha);
  const beta = recipe.beta / recipe.kappa;
  if (recipe.lam === 0) return { claim: "MRS-2", statement: "the sampler never moves" };
  if (recipe.objective === "dpo") return null;
  const entries = recipe.wins.map((p) => Math.abs(p - 0.5));
  if (alpha + (recipe.lam * Math.hypot(...entries)) / (2 * beta) < 1) {
    return { claim: "MRS-2", statement: "every round is a contraction" };
  }
  if (((recipe.lam * Math.max(...entries)) / beta) ** 2 <= alpha * (1 - alpha)) {
    return { claim: "MRS-9", statement: "the divergence from the fixed point shrinks every round" };
  }
  return null;
}

/** Policies far from anywhere in particular: near the corners, and a lattice between them. */
export function farPolicies() {
  const found = ANSWERS.map((top) => ANSWERS.map((i) => (i === top ? 0.98 : 0.01)));
  for (let i = 1; i < 7; i++) {
    for (let j = 1; i + j < 8; j++) found.push([i / 8, j / 8, (8 - i - j) / 8]);
  }
  return found;
}

/**
 * What becomes of one far start: "home", "astray" (another attractor) or "slow" (undecided).
 *
 * Followed in two windows, long enough for linear decay by e^-40 where the cap allows; astray is
 * what is no nearer in the second half of the second than in that of the first.
 */
export function followed(recipe, found, start) {
  const wanted = -40 / Math.log(Math.max(found.radius, 1e-300));
  const rounds = Math.trunc(Math.min(Math.max(wanted, FAR_ROUNDS.least), FAR_ROUNDS.most));
  const half = Math.floor(rounds / 2);
  let theta = centred(start.map(Math.log));
  const windows = [0, 0];
  for (const window of [0, 1]) {
    for (let t = 0; t < rounds; t++) {
      theta = step(recipe, theta);
      if (t < half) continue;
      const p = softmax(theta);
      windows[window] += ANSWERS.reduce((sum, i) => sum + (p[i] - found.policy[i]) ** 2, 0) / 3;
    }
    windows[window] = Math.sqrt(windows[window] / (rounds - half));
    if (windows[window] <= ASTRAY) return { fate: "home", theta };
  }
  const telling = found.radius ** rounds < 0.5;
  return { fate: windows[1] > 0.9 * windows[0] && telling ? "astray" : "slow", theta };
}

/** The word for a recipe whose far starts met these fates. */
export function verdictWord(recipe, found, fates) {
  if (found.radius >= 1) return "unstable";
  if (certificate(recipe)) return "certified";
  if (fates.includes("astray")) return "bistable";
  const decided = fates.filter((fate) => fate !== "slow").length;
  return `locally stable, not refuted by ${decided} far starts`;
}

function inPlane(x) {
  return PLANE.map((d) => d[0] * x[0] + d[1] * x[1] + d[2] * x[2]);
}

function largest(x) {
  return Math.max(Math.abs(x[0]), Math.abs(x[1]));
}

function modulus([x, y]) {
  return Math.hypot(x, y);
}

function solvePlane([[a, b], [c, d]], [x, y]) {
  const determinant = a * d - b * c;
  return [(d * x - b * y) / determinant, (a * y - c * x) / determinant];
}

function eigenvalues([[a, b], [c, d]]) {
  const middle = (a + d) / 2;
  const discriminant = ((a - d) / 2) ** 2 + b * c;
  const root = Math.sqrt(Math.abs(discriminant));
  if (discriminant < 0) return [[middle, root], [middle, -root]];
  return [[middle + root, 0], [middle - root, 0]];
}

/** Where f is largest between a and b. */
function goldenSection(f, a, b) {
  const ratio = (Math.sqrt(5) - 1) / 2;
  for (let k = 0; k < 16; k++) {
    const [c, d] = [b - ratio * (b - a), a + ratio * (b - a)];
    if (f(c) >= f(d)) b = d;
    else a = c;
  }
  return (a + b) / 2;
}

/** Where f crosses 0 between a and b, by bisection to rounding. */
function crossing(f, a, b, negativeAtA) {
  for (let k = 0; k < 60; k++) {
    const middle = (a + b) / 2;
    if (middle === a || middle === b) break;
    if (f(middle) < 0 === negativeAtA) a = middle;
    else b = middle;
  }
  return (a + b) / 2;
}
