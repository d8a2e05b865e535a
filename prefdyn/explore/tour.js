/** The guided tour: each step sets the page and says what to see. */

/** Steps; `set` is what differs from the defaults of state.js. */
export const STEPS = [
  {
    title: "It settles",
    text: "Rock beats scissors, scissors beat paper, paper beats rock, nine times in ten. With " +
      "a firm pull to the reference (β = 0.5) every round undoes a little more of the lead," +
      " and the policy spirals into the filled dot, where all three are equally likely.",
    set: { beta: 0.5 },
  },
  {
    title: "It goes round for ever",
    text: "Only β has changed, from 0.5 to 0.2, and the fixed point is hollow now: it is still " +
      "there, but every disturbance grows. The policy ends on the purple cycle, where each " +
      "answer in turn is the favourite; the two multipliers have left the unit circle.",
    set: { beta: 0.2 },
  },
  {
    title: "α looks like damping, and costs",
    text: "At β = 0.3 and α = 0.5 the recipe settles; here the reference follows the policy " +
      "further, α = 0.9, and it no longer does. A reference that moves along weakens the " +
      "pull to (1 − α) β, so the threshold rises to 0.53; only the turns get slower, about " +
      "nine rounds.",
    set: { alpha: 0.9, beta: 0.3 },
  },
  {
    title: "Converging is not the same as good",
    text: "Here A is better than B, B is better than C, and no cycle is left to go round on. " +
      "The recipe is stable, yet with so weak a pull it collapses: A takes nearly all of " +
      "the mass and the entropy falls to almost nothing.",
    set: { beta: 0.03, wins: [0.6, 0.7, 0.1], start: [0.2, 0.3, 0.5] },
  },
  {
    title: "A window",
    text: "A beats B, B beats C, and A beats C by a hair: there is a winner, but also most of " +
      "the twist of a cycle. The recipe oscillates in a window of β only, the island in the" +
      " chart: above it the pull is firm enough, below it the mass leaves the cycle for the" +
      " winner.",
    set: { alpha: 0, beta: 0.05, wins: [0.95, 0.95, 0.49] },
  },
  {
    title: "DPO: stable from nearby only",
    text: "DPO answers strong preferences more sharply: its threshold is four times that of " +
      "IPO, and above it the fixed point is stable while a large cycle waits further out. " +
      "Put the start near the middle and the policy settles; from where it is now, it goes " +
      "round for ever.",
    set: { objective: "dpo", alpha: 0, beta: 1.115, wins: [0.98, 0.98, 0.98], rounds: 400 },
  },
  {
    title: "A cure: smaller rounds",
    text: "This is the recipe of step 2, with only the first half of each round executed, κ = " +
      "0.5. The fixed point is the same, but the multipliers are halfway back towards 1 and" +
      " inside the circle: under-training every round is what calms it.",
    set: { beta: 0.2, kappa: 0.5 },
  },
];
