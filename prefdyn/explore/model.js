/** Everything that is shown of a state: what is known at once, and what takes a moment. */

import { NoOptimum, centred, logSoftmax, orbit, softmax, step } from "./mathematics.js";
import {
  analyse, boundary, certificate, farPolicies, followed, refusal, stableBetas, verdictWord,
} from "./stability.js";
import { RANGES } from "./state.js";

/** Rounds discarded before a cycle is drawn, rounds drawn, and how wide it must be. */
const CYCLE = { burnIn: 2000, drawn: 900, width: 1e-3 };

/** The boundary belongs to a game, an objective, lambda and kappa, and is kept for them. */
let bounded = { key: null, curve: [] };

/**
 * The orbit and the fixed point of a state.
 *
 * @returns {object} `state`, `answers`, `refused` (a sentence, or null) and, unless refused,
 *   `found` (see `analyse`), `logPolicies`, `policies` and `word`, null where far starts decide it.
 */
export function atOnce(state, answers) {
  const empty = { state, answers, found: null, logPolicies: null, policies: null, word: null };
  const refused = refusal(state, answers);
  if (refused) return { ...empty, refused };
  try {
    const found = analyse(state);
    const logPolicies = orbit(state, state.start, state.rounds).map(logSoftmax);
    const policies = logPolicies.map((row) => row.map(Math.exp));
    const word = farStartsDecide(state, found) ? null : verdictWord(state, found, []);
    return { ...empty, refused, found, logPolicies, policies, word };
  } catch (error) {
    if (!(error instanceof NoOptimum)) throw error;
    return { ...empty, refused: error.message };
  }
}

/**
 * The rest, part by part: `betas` (see `stableBetas`, or null), `curve` (see `boundary`), `cycle`
 * (policies, or null) and `word`; between parts the page can breathe.
 */
export function* inTime({ state, found, refused }) {
  if (refused) {
    yield { curve: [], cycle: null };
    return;
  }
  yield { betas: attempt(() => stableBetas(state), null) };
  yield { curve: boundaryOf(state) };
  let cycle = attempt(() => cycleFrom(state, state.start), null);
  yield { cycle };
  const fates = [];
  for (const start of farStartsDecide(state, found) ? farPolicies() : []) {
    const { fate, theta } = attempt(() => followed(state, found, start), { fate: "astray" });
    fates.push(fate);
    if (fate === "astray" && theta && !cycle) {
      cycle = attempt(() => cycleFrom(state, softmax(theta)), null);
      yield { cycle };
    }
    yield {};
  }
  yield { word: verdictWord(state, found, fates) };
}

function farStartsDecide(state, found) {
  return found.radius < 1 && !certificate(state);
}

/** A result, or something else where no optimum exists on the way. */
function attempt(work, otherwise) {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof NoOptimum)) throw error;
    return otherwise;
  }
}

function boundaryOf({ objective, lam, kappa, wins }) {
  const key = JSON.stringify([objective, lam, kappa, wins]);
  if (bounded.key !== key) {
    const recipe = { objective, lam, kappa, wins };
    const low = RANGES.beta[0] * (1 - RANGES.alpha[1]);
    bounded = { key, curve: attempt(() => boundary(recipe, low, RANGES.beta[1]), []) };
  }
  return bounded.curve;
}

/** Policies on the cycle that a start ends on, or null if it settles. */
function cycleFrom(state, start) {
  let theta = centred(start.map((p) => Math.log(Math.max(p, 1e-300))));
  for (let t = 0; t < CYCLE.burnIn; t++) theta = step(state, theta);
  const found = [];
  for (let t = 0; t < CYCLE.drawn; t++) {
    theta = step(state, theta);
    found.push(softmax(theta));
  }
  const wide = [0, 1, 2].some((k) => {
    const column = found.map((p) => p[k]);
    return Math.max(...column) - Math.min(...column) > CYCLE.width;
  });
  return wide ? found : null;
}
