/** What was found, in words; never more than what the evidence supports. */

import { certificate } from "./stability.js";
import { percent, short } from "./drawing.js";

/** Mass on one answer from which a fixed point counts as collapsed. */
const COLLAPSED = 0.99;
/** Distance of a start from the fixed point that counts as sitting on it. */
const SITTING = 1e-9;

/**
 * Sentences about a recipe.
 *
 * @param {object} model What app.js has worked out; `word` is null while far starts are tried.
 * @returns {{mark: string, word: string, headline: string, sentences: string[]}} `mark` is
 *   "filled", "hollow", "half" or "none", as the fixed point is drawn.
 */
export function describe({ state, answers, found, refused, word, cycle }) {
  if (refused) return { mark: "none", word: "no answer", headline: refused, sentences: [] };
  const mark = word === "bistable" ? "half" : found.radius < 1 ? "filled" : "hollow";
  return {
    mark,
    word: word ?? "locally stable, trying far starts …",
    headline: headline(found, word, state),
    sentences: [...sentences(state, answers, found, cycle)],
  };
}

function headline(found, word, recipe) {
  if (word === "bistable") {
    return "Stable from nearby only: some far starts end somewhere else, and stay there.";
  }
  if (word === "certified") {
    const { statement, claim } = certificate(recipe);
    return `Every start converges: ${statement} (${claim}).`;
  }
  if (found.radius < 1) {
    const tried = word ? ", and the far starts came home: evidence, not proof." : ".";
    return `Small disturbances die out${tried}`;
  }
  if (found.kind === "flip") return "It alternates between two policies.";
  if (found.kind === "fold") return "It leaves the fixed point in one direction.";
  return `It goes round, at first once in about ${short(found.period, 3)} rounds.`;
}

function* sentences(state, answers, found, cycle) {
  const top = found.policy.indexOf(Math.max(...found.policy));
  const mass = found.policy[top];
  const shares = answers.map((name, k) => `${name} ${percent(found.policy[k])}`);
  yield mass > COLLAPSED
    ? `The fixed point has collapsed: ${shares[top]}.`
    : `The fixed point is spread: ${shares.join(", ")}.`;
  const distance = Math.max(...state.start.map((p, k) => Math.abs(p - found.policy[k])));
  if (distance < SITTING) yield "The start is the fixed point, so nothing moves: drag it away.";
  if (cycle && found.radius < 1) yield "The purple dots are the other attractor.";
}

/** Numbers beside their names, for the table under the verdict. */
export function facts({ state, found, betas }) {
  if (!found) return [];
  const turn = Number.isFinite(found.period) ? turns(found.period) : "no turn";
  return [
    ["spectral radius", nearOne(found.radius)],
    ["rounds per turn, near the fixed point", turn],
    ["threshold β, for this α and λ", threshold(betas)],
    ["entropy at the fixed point", `${short(found.entropy)} nats`],
  ];
}

/** Rounds per turn; a turn that nobody will wait for is not counted out. */
function turns(period) {
  return period > 1e4 ? "over 10,000" : short(period);
}

/** The spectral radius, as its distance from 1 where four digits would hide that. */
function nearOne(radius) {
  const distance = 1 - radius;
  if (distance === 0 || Math.abs(distance) >= 1e-3) return short(radius);
  return `1 ${distance > 0 ? "−" : "+"} ${short(Math.abs(distance), 2)}`;
}

function threshold(betas) {
  if (betas === undefined) return "…";
  if (betas === null) return "not found";
  const { intervals, value } = betas;
  if (value === null) return "none, always stable";
  if (!intervals.length) return "none, never stable";
  const below = intervals.filter(([, end]) => end < value);
  const also = below.map(([a, b]) => `also stable ${short(a)} to ${short(b)}`);
  return [short(value), ...also].join("; ");
}
