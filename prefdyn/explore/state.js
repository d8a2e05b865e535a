/** Everything that can be set, what it may be, and how it is written after the # of the address. */

import { STEPS } from "./tour.js";

/** Lowest and highest value of each number. */
export const RANGES = {
  alpha: [0, 0.99],
  beta: [0.001, 10],
  lam: [0, 1],
  kappa: [0.01, 1],
  rounds: [10, 2000],
  tour: [0, STEPS.length],
};
const WHOLE = ["rounds", "tour"];

export const DEFAULTS = Object.freeze({
  objective: "ipo",
  alpha: 0.5,
  beta: 0.5,
  lam: 1,
  kappa: 1,
  wins: [0.9, 0.9, 0.9],
  start: [0.8, 0.15, 0.05],
  rounds: 100,
  tour: 0,
});

/** A state as text; numbers are written so that they are read back to the last bit. */
export function format(state) {
  return Object.keys(DEFAULTS).map((key) => `${key}=${state[key]}`).join("&");
}

/**
 * A state from such text; what is not mentioned has its default.
 *
 * @returns {{state: object, problems: string[]}} With problems, the state is that of the defaults.
 */
export function parse(text) {
  const state = { ...DEFAULTS };
  const problems = [];
  for (const part of text.split("&").filter(Boolean)) {
    const [key, written = ""] = part.split("=").map(decoded);
    if (!(key in DEFAULTS)) {
      problems.push(`“${key}” is not known; known are ${Object.keys(DEFAULTS).join(", ")}.`);
      continue;
    }
    const value = READERS[key](written);
    const problem = wrong(key, value);
    if (problem) problems.push(`${key}=${written}: ${problem}`);
    else state[key] = value;
  }
  return { state: problems.length ? { ...DEFAULTS } : state, problems };
}

/** What is wrong with a value, in one sentence, or null. */
export function wrong(key, value) {
  if (key === "objective") {
    return ["ipo", "dpo"].includes(value) ? null : "the objective is ipo or dpo.";
  }
  if (key === "wins") {
    const good = value.length === 3 && value.every((p) => p >= 0 && p <= 1);
    return good ? null : "give three win rates from 0 to 1, first against second and so on round.";
  }
  if (key === "start") {
    const total = value.reduce((sum, p) => sum + p, 0);
    const good = value.length === 3 && value.every((p) => p >= 1e-6) && Math.abs(total - 1) < 1e-9;
    return good ? null : "give three probabilities, at least 0.000001 each, that add up to 1.";
  }
  const [low, high] = RANGES[key];
  if (!(value >= low && value <= high)) return `give a number from ${low} to ${high}.`;
  return WHOLE.includes(key) && !Number.isInteger(value) ? "give a whole number." : null;
}

const READERS = {
  objective: (text) => text,
  wins: (text) => text.split(",").map(number),
  start: (text) => text.split(",").map(number),
  ...Object.fromEntries(Object.keys(RANGES).map((key) => [key, number])),
};

function number(text) {
  return text.trim() === "" ? NaN : Number(text);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
