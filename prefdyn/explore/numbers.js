/**
 * The page's own numbers as JSON, for whoever wants to compare them with the package.
 *
 * Open the page with `?numbers` before the #; behind it stand states as in any link, separated by
 * semicolons. The answer replaces the page.
 */

import { entropy, logSoftmax, orbit } from "./mathematics.js";
import {
  analyse, boundary, certificate, farPolicies, followed, refusal, stableBetas, verdictWord,
} from "./stability.js";
import { RANGES, format, parse } from "./state.js";

/** All that the page computes for each state. */
export function numbers(text) {
  return text.split(";").map((written) => {
    const { state, problems } = parse(written);
    const head = { state, written: format(state), problems };
    const refused = refusal(state, ["first", "second", "third"]);
    return { ...head, refused, ...(refused ? {} : computed(state)) };
  });
}

function computed(state) {
  const found = analyse(state);
  const logPolicies = orbit(state, state.start, state.rounds).map(logSoftmax);
  const fates = farPolicies().map((start) => followed(state, found, start).fate);
  const [low, high] = RANGES.beta;
  return {
    log_policies: logPolicies,
    entropies: logPolicies.map(entropy),
    fixed_point: logSoftmax(found.theta),
    fixed_point_entropy: found.entropy,
    multipliers: found.multipliers,
    spectral_radius: found.radius,
    period: found.period === Infinity ? null : found.period,
    kind: found.kind,
    stable_beta: stableBetas(state),
    boundary: boundary(state, low * (1 - RANGES.alpha[1]), high, 60),
    certified: certificate(state)?.claim ?? null,
    verdict: verdictWord(state, found, found.radius < 1 ? fates : []),
  };
}
