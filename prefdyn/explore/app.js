/** The page: keeps the state, works out what follows from it, and tells the views to draw. */

import { NoOptimum, logSoftmax, orbit, softmax, step, centred } from "./mathematics.js";
import {
  analyse, boundary, certificate, farPolicies, followed, refusal, stableBetas, verdictWord,
} from "./stability.js";
import { DEFAULTS, RANGES, format, parse } from "./state.js";
import { multiplierView, roundsView, stabilityView } from "./charts.js";
import { simplexView } from "./simplex.js";
import { PARAMETERS, control, drawRing, element } from "./controls.js";
import { describe, facts } from "./words.js";
import { STEPS } from "./tour.js";
import { numbers } from "./numbers.js";

/** Milliseconds without a change after which what takes longer is worked out. */
const PAUSE = 90;
/** Rounds discarded before a cycle is drawn, and rounds drawn. */
const CYCLE = { burnIn: 2000, drawn: 900 };
/** Rounds a second, at least, and seconds that a whole orbit takes, at most. */
const TEMPO = { rounds: 8, seconds: 24 };

const byId = (id) => document.getElementById(id);
const presets = JSON.parse(byId("presets").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");

let state;
let model = {};
let round = 0;
let playing = null;
let pending = 0;
/** The boundary belongs to a game, an objective, lambda and kappa, and is kept for them. */
let bounded = { key: null, curve: [] };

function answersOf(wins) {
  return (presets.find((p) => p.wins.every((rate, k) => rate === wins[k])) ?? { names: ["A", "B", "C"] })
    .names;
}

/** Change part of the state; everything is drawn again. */
function change(part) {
  state = { ...state, ...part };
  stop();
  update();
}

/** What follows at once from the state, drawn now; the rest after a pause. */
function update() {
  const answers = answersOf(state.wins);
  const refused = refusal(state, answers);
  model = { state, answers, refused, found: null, logPolicies: null, policies: null };
  if (!refused) {
    try {
      model.found = analyse(state);
      model.logPolicies = orbit(state, state.start, state.rounds).map(logSoftmax);
      model.policies = model.logPolicies.map((row) => row.map(Math.exp));
    } catch (error) {
      if (!(error instanceof NoOptimum)) throw error;
      model = { ...model, refused: error.message, found: null, logPolicies: null, policies: null };
    }
  }
  model.word = !model.found || farStartsMatter() ? null : verdictWord(state, model.found, []);
  showControls();
  simplex.draw(model);
  simplex.drawCycle(null);
  plane.draw(model);
  circle.draw(model);
  series.draw(model);
  showRound(state.rounds);
  showVerdict(false);
  clearTimeout(pending);
  pending = setTimeout(workOut, PAUSE);
}

function farStartsMatter() {
  return model.found.radius < 1 && !certificate(state);
}

/** Thresholds, the boundary, the cycle and the far starts: one after the other, page responsive. */
async function workOut() {
  const mine = model;
  history.replaceState(null, "", `#${format(state)}`);
  const rest = () => new Promise((resume) => setTimeout(resume));
  if (mine.refused) {
    plane.drawBoundary([]);
    return showVerdict(true);
  }
  mine.betas = attempt(() => stableBetas(state), null);
  showVerdict(false);
  await rest();
  if (mine !== model) return;
  plane.drawBoundary(boundaryOf(state));
  await rest();
  if (mine !== model) return;
  mine.cycle = attempt(() => cycleFrom(mine.state.start), null);
  simplex.drawCycle(mine.cycle);
  const fates = [];
  for (const start of farStartsMatter() ? farPolicies() : []) {
    await rest();
    if (mine !== model) return;
    const { fate, theta } = attempt(() => followed(mine.state, mine.found, start), { fate: "astray" });
    fates.push(fate);
    if (fate === "astray" && !mine.cycle && theta) {
      mine.cycle = attempt(() => cycleFrom(softmax(theta)), null);
      simplex.drawCycle(mine.cycle);
    }
  }
  mine.word = verdictWord(mine.state, mine.found, fates);
  showVerdict(true);
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
    const low = RANGES.beta[0] * (1 - RANGES.alpha[1]);
    bounded = { key, curve: attempt(() => boundary(state, low, RANGES.beta[1]), []) };
  }
  return bounded.curve;
}

/** Policies on the cycle that a start ends on, or null if it settles. */
function cycleFrom(start) {
  let theta = centred(start.map((p) => Math.log(Math.max(p, 1e-300))));
  for (let t = 0; t < CYCLE.burnIn; t++) theta = step(state, theta);
  const found = [];
  for (let t = 0; t < CYCLE.drawn; t++) {
    theta = step(state, theta);
    found.push(softmax(theta));
  }
  const spread = [0, 1, 2].map((k) => {
    const column = found.map((p) => p[k]);
    return Math.max(...column) - Math.min(...column);
  });
  return Math.max(...spread) > 1e-3 ? found : null;
}

/** Show the orbit up to a round. */
function showRound(to) {
  round = to;
  byId("round").max = state.rounds;
  byId("round").value = round;
  byId("round-shown").textContent = round;
  simplex.drawRound(model.policies, round);
  series.drawRound(round);
}

function showVerdict(settled) {
  const said = describe(model);
  // Readers hear a verdict when it has been reached, not at every movement of a slider.
  byId("verdict").setAttribute("aria-busy", String(!settled));
  byId("mark").className = `mark ${said.mark}`;
  byId("word").textContent = said.word;
  byId("headline").textContent = said.headline;
  byId("sentences").textContent = said.sentences.join(" ");
  byId("facts").replaceChildren(...facts(model).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  const radius = model.found ? `radius ${model.found.radius.toFixed(3)}` : "";
  byId("bar").replaceChildren(element("span", {}, said.word), element("span", {}, radius));
}

function showControls() {
  const { answers } = model;
  controls.forEach(({ key, view }) => view.show(state[key]));
  winControls.forEach((view, k) => view.show(state.wins[k], `${answers[k]} beats ${answers[(k + 1) % 3]}`));
  drawRing(byId("ring"), answers, state.wins);
  const known = presets.findIndex((p) => p.wins.every((rate, k) => rate === state.wins[k]));
  byId("preset").value = known;
  for (const input of document.getElementsByName("objective")) {
    input.checked = input.value === state.objective;
  }
  const step = STEPS[state.tour - 1];
  byId("tour").classList.toggle("closed", !step);
  byId("tour-number").textContent = step ? `Tour, ${state.tour} of ${STEPS.length}` : "";
  byId("tour-title").textContent = step ? step.title : "";
  byId("tour-text").textContent = step ? step.text : "";
  byId("tour-back").disabled = state.tour <= 1;
  byId("tour-next").disabled = state.tour === STEPS.length;
  byId("tour-next").textContent = step ? "Next" : "Take the tour";
}

function tell(sentence) {
  byId("message").textContent = sentence ?? "";
  byId("message").hidden = !sentence;
}

function goTo(number) {
  state = { ...DEFAULTS, ...STEPS[number - 1].set, tour: number };
  stop();
  tell(null);
  update();
  if (!still.matches) play();
}

function play() {
  if (!model.policies) return;
  if (round >= state.rounds) showRound(0);
  const tempo = Math.max(TEMPO.rounds, state.rounds / TEMPO.seconds);
  const [began, from] = [performance.now(), round];
  const frame = (now) => {
    const to = Math.min(state.rounds, from + Math.floor(((now - began) / 1000) * tempo));
    if (to !== round) showRound(to);
    if (to < state.rounds) playing = requestAnimationFrame(frame);
    else stop();
  };
  playing = requestAnimationFrame(frame);
  byId("play").textContent = "Pause";
}

function stop() {
  if (playing) cancelAnimationFrame(playing);
  playing = null;
  byId("play").textContent = "Play";
}

function toggle() {
  if (playing) stop();
  else play();
}

/** Read the address; what is wrong with it is said, and the defaults are shown. */
function open() {
  const hash = location.hash.slice(1);
  const { state: wanted, problems } = parse(hash);
  state = hash ? wanted : { ...DEFAULTS, ...STEPS[0].set, tour: 1 };
  tell(problems.length
    ? `This link cannot be read, so the page shows its defaults: ${problems.join(" ")}` : null);
  stop();
  update();
}

function listen() {
  const on = (id, work) => byId(id).addEventListener("click", work);
  on("play", toggle);
  on("step", () => {
    stop();
    showRound(round >= state.rounds ? 0 : round + 1);
  });
  on("rewind", () => {
    stop();
    showRound(0);
  });
  byId("round").addEventListener("input", (event) => {
    stop();
    showRound(Number(event.target.value));
  });
  on("tour-next", () => goTo(state.tour + 1));
  on("tour-back", () => goTo(state.tour - 1));
  on("tour-again", () => goTo(state.tour));
  on("tour-close", () => change({ tour: 0 }));
  on("reset", () => {
    tell(null);
    change({ ...DEFAULTS });
  });
  on("copy", async () => {
    history.replaceState(null, "", `#${format(state)}`);
    try {
      await navigator.clipboard.writeText(location.href);
      byId("copy").textContent = "Copied";
    } catch {
      tell("This browser does not let the page copy: the link is in the address bar.");
    }
    setTimeout(() => (byId("copy").textContent = "Copy link"), 1500);
  });
  on("theme", () => setTheme(isDark() ? "light" : "dark"));
  byId("preset").addEventListener("change", (event) => {
    const preset = presets[event.target.value];
    if (preset) change({ wins: preset.wins });
  });
  for (const input of document.getElementsByName("objective")) {
    input.addEventListener("change", () => change({ objective: input.value }));
  }
  document.querySelector("[data-skip]").addEventListener("click", (event) => {
    event.preventDefault();
    byId("where").focus();
  });
  document.addEventListener("keydown", (event) => {
    // Space belongs to buttons and fields; everywhere else it plays.
    const busy = event.target.closest?.("button, input, select, a, summary");
    if (event.key !== " " || busy || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    toggle();
  });
  addEventListener("hashchange", open);
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

/** A view of one number of the recipe, put into the page. */
function parameter(what) {
  const view = control(what, RANGES[what.key], (value) => change({ [what.key]: value }), tell);
  byId("parameters").append(view.element);
  return { key: what.key, view };
}

function winRate(k) {
  const what = { key: `win-${k}`, name: "", step: 0.01 };
  const changed = (value) => change({ wins: state.wins.map((old, n) => (n === k ? value : old)) });
  const view = control(what, [0, 1], changed, tell);
  byId("wins").append(view.element);
  return view;
}

function presetOptions() {
  const named = presets.map(({ title }, k) => element("option", { value: k }, title));
  return [...named, element("option", { value: -1 }, "your own")];
}

const simplex = simplexView(byId("simplex"), (start) => change({ start }));
const plane = stabilityView(byId("plane-chart"), change);
const circle = multiplierView(byId("circle"));
const series = roundsView(byId("rounds-chart"));
const controls = PARAMETERS.map(parameter);
const winControls = [0, 1, 2].map(winRate);

if (new URLSearchParams(location.search).has("numbers")) {
  const answer = element("pre", { id: "numbers" }, JSON.stringify(numbers(location.hash.slice(1))));
  document.body.replaceChildren(answer);
} else {
  byId("preset").append(...presetOptions());
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  listen();
  open();
}
