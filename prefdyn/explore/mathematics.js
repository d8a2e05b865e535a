/**
 * Rounds of iterated IPO and DPO over three answers: the map, and nothing that draws.
 *
 * A recipe is `{objective, alpha, beta, lam, kappa, wins}`: `wins` are the win rates of answer 0
 * against 1, of 1 against 2 and of 2 against 0. Reference and offline sampler are uniform. The
 * state is logits with mean zero; nothing takes the logarithm of a computed probability.
 */

/** @typedef {{objective: "ipo" | "dpo", alpha: number, beta: number, lam: number, kappa: number,
 *   wins: number[]}} Recipe */

/** No optimum or no fixed point exists, or none is found; the message says why and what to do. */
export class NoOptimum extends Error {}

export const ANSWERS = [0, 1, 2];

/** Newton steps for the scores of DPO; a win rate within 1e-16 of 1 costs about 40. */
const MAX_NEWTON_STEPS = 200;

/** Orthonormal directions of the plane in which logits with mean zero lie. */
export const PLANE = [
  [Math.SQRT1_2, -Math.SQRT1_2, 0],
  [1 / Math.sqrt(6), 1 / Math.sqrt(6), -2 / Math.sqrt(6)],
];

/** Win probabilities P (3 x 3) from the three win rates round the ring. */
export function matrix([first, second, third]) {
  return [
    [0.5, first, 1 - third],
    [1 - first, 0.5, second],
    [third, 1 - second, 0.5],
  ];
}

/** Log-probabilities of logits. */
export function logSoftmax(theta) {
  const top = Math.max(...theta);
  const total = Math.log(theta.reduce((sum, x) => sum + Math.exp(x - top), 0));
  return theta.map((x) => x - top - total);
}

/** Probabilities of logits. */
export function softmax(theta) {
  const top = Math.max(...theta);
  const weights = theta.map((x) => Math.exp(x - top));
  const total = weights[0] + weights[1] + weights[2];
  return weights.map((x) => x / total);
}

/** Logits with mean zero. */
export function centred(theta) {
  const mean = (theta[0] + theta[1] + theta[2]) / 3;
  return theta.map((x) => x - mean);
}

/** Shannon entropy in nats of log-probabilities. */
export function entropy(logPolicy) {
  return logPolicy.reduce((sum, x) => sum - Math.exp(x) * Math.max(x, -1e308), 0);
}

/** Matrix (3 x 3) times vector. */
export function times(M, x) {
  return M.map((row) => row[0] * x[0] + row[1] * x[1] + row[2] * x[2]);
}

/** The sampler: share `lam` from the current policy, the rest uniform. */
export function sampler(recipe, theta) {
  return softmax(theta).map((p) => recipe.lam * p + (1 - recipe.lam) / 3);
}

/**
 * Log-odds that a sampler induces at beta = 1, up to a constant: A mu for IPO (claim IPO-1), the
 * scores of the Bradley-Terry fit for DPO (DPO-1).
 */
export function drive(recipe, mu) {
  const P = matrix(recipe.wins);
  return recipe.objective === "dpo" ? scores(P, mu) : times(skew(P), mu);
}

/** Derivative of `drive` along directions of the sampler, one column for each (MRS-4, DPO-5). */
export function driveAlong(recipe, mu, directions) {
  const P = matrix(recipe.wins);
  if (recipe.objective !== "dpo") return directions.map((x) => times(skew(P), x));
  const pin = pinned(P, mu);
  const { i, j, k } = pin;
  const r = scores(P, mu);
  const [a, b] = [r[i] - r[k], r[j] - r[k]];
  return directions.map((x) => {
    // The direction first: the factors alone can overflow where the product is harmless.
    const [rightI, rightJ] = right(pin, a, b, x[i] / mu[k], x[j] / mu[k], x[k] / mu[k]);
    return placed(pin, changed(pin, a, b, rightI, rightJ));
  });
}

/**
 * One round: a share kappa of the way to
 * alpha theta + (1 - alpha) log ref + drive(mu) / beta (MRS-1, DPO-6, RND-1).
 */
export function step(recipe, theta) {
  const pull = drive(recipe, sampler(recipe, theta));
  // The uniform reference is a constant, which means nothing to logits.
  const target = centred(pull.map((r, i) => recipe.alpha * theta[i] + r / recipe.beta));
  return target.map((x, i) => theta[i] + recipe.kappa * (x - theta[i]));
}

/** Logits before the first round and after each of `rounds` rounds. */
export function orbit(recipe, start, rounds) {
  const states = [centred(start.map(Math.log))];
  for (let t = 0; t < rounds; t++) states.push(step(recipe, states[t]));
  return states;
}

/**
 * Whether DPO has an optimum on this game, else the names of answers that keep it from one: every
 * answer must be reached from every other by possible wins.
 */
export function missingWins(wins) {
  const P = matrix(wins);
  for (const from of ANSWERS) {
    const reached = new Set([from]);
    for (const i of reached) ANSWERS.forEach((j) => P[i][j] > 0 && reached.add(j));
    if (reached.size < 3) return { from, lost: ANSWERS.filter((j) => !reached.has(j)) };
  }
  return null;
}

/**
 * Scores r with mean zero and sum_j mu_j sigma(r_i - r_j) = (P mu)_i (DPO-1), by damped Newton on
 * the equations divided by mu_i, so that rare answers keep well-scaled rows.
 *
 * The equation of the most probable answer k follows from the two others, and scores count from
 * its own: a = r_i - r_k, b = r_j - r_k.
 */
function scores(P, mu) {
  const pin = pinned(P, mu);
  const { i, j, k } = pin;
  const rates = times(P, mu);
  let [a, b] = [4 * (rates[i] - rates[k]), 4 * (rates[j] - rates[k])];
  for (let turn = 0; turn < MAX_NEWTON_STEPS; turn++) {
    const [rightI, rightJ] = right(pin, a, b, pin.rareI, pin.rareJ, 1);
    const [moveA, moveB] = changed(pin, a, b, rightI, rightJ);
    // The logistic loss is generalised self-concordant: so damped, Newton descends from anywhere.
    const spread = Math.max(0, moveA, moveB) - Math.min(0, moveA, moveB);
    const damping = Math.log1p(spread) / Math.max(spread, 1e-300);
    const scale = Math.max(1, Math.abs(a), Math.abs(b));
    a += damping * moveA;
    b += damping * moveB;
    if (spread <= 1e-10 * scale) return centred(placed(pin, [a, b])); // next error: its square
  }
  throw new NoOptimum(
    "DPO's optimum is (nearly) infinite here: move the win rates away from 0 and 1, or use IPO.",
  );
}

/** The most probable answer k, the others' probabilities as shares of its own, and their wins. */
function pinned(P, mu) {
  const k = mu.indexOf(Math.max(mu[0], mu[1], mu[2]));
  const [i, j] = [(k + 1) % 3, (k + 2) % 3];
  return {
    i, j, k, rareI: mu[i] / mu[k], rareJ: mu[j] / mu[k],
    ij: [P[i][j], P[j][i]], ik: [P[i][k], P[k][i]], jk: [P[j][k], P[k][j]],
  };
}

/** Scores of answers i and j as those of all three. */
function placed({ i, j }, [a, b]) {
  const x = [0, 0, 0];
  [x[i], x[j]] = [a, b];
  return x;
}

/** Rows i and j of P - sigma(r_i - r_j) times a vector (x, y, z) over answers i, j, k. */
function right({ ij, ik, jk }, a, b, x, y, z) {
  const between = excess(ij, a - b);
  return [between * y + excess(ik, a) * z, -between * x + excess(jk, b) * z];
}

/**
 * Change of a and b that takes up the excess of rows i and j: totals (x_i - q_i x_j) = right, with
 * q the share of the other rare answer in a row's slope.
 */
function changed({ rareI, rareJ }, a, b, rightI, rightJ) {
  const [slopeI, slopeJ, between] = [slope(a), slope(b), slope(a - b)];
  const [totalI, totalJ] = [slopeI + between * rareJ, slopeJ + between * rareI];
  const [qI, qJ] = [(between * rareJ) / totalI, (between * rareI) / totalJ];
  const determinant = slopeI / totalI + (qI * slopeJ) / totalJ; // 1 - q_i q_j, uncancelled
  const [x, y] = [rightI / totalI, rightJ / totalJ];
  return [(x + qI * y) / determinant, (y + qJ * x) / determinant];
}

/** A win rate less sigma(gap), compared on the side of the smaller tail. */
function excess([wins, losses], gap) {
  const tail = Math.exp(-Math.abs(gap));
  return gap < 0 ? wins - tail / (1 + tail) : tail / (1 + tail) - losses;
}

/** sigma'(gap). */
function slope(gap) {
  const tail = Math.exp(-Math.abs(gap));
  return tail / (1 + tail) ** 2;
}

function skew(P) {
  return P.map((row) => row.map((p) => p - 0.5));
}
