/** The page: keeps the state, works out what follows from it, and tells the views to draw. */

import { DEFAULTS, RANGES, format, parse } from "./state.js";
import { atOnce, inTime } from "./model.js";
import { multiplierView, roundsView, stabilityView } from "./charts.js";
import { simplexView } from "./simplex.js";
import { PARAMETERS, control, drawRing, element } from "./controls.js";
import { describe, facts } from "./words.js";
import { STEPS } from "./tour.js";
import { numbers } from "./numbers.js";

/** Milliseconds without a change after which what takes longer is worked out. */
const PAUSE = 90;
/** Rounds a second, at least, and seconds that a whole orbit takes, at most. */
const TEMPO = { rounds: 8, seconds: 24 };

/** Names of the answers of a game of one's own. */
const LETTERS = ["A", "B", "C"];

const byId = (id) => document.getElementById(id);
const presets = JSON.parse(byId("presets").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");

let state;
let model = {};
let round = 0;
let playing = null;
let pending = 0;

/** Which of the presets has these win rates, or -1. */
function presetOf(wins) {
  return presets.findIndex((preset) => preset.wins.every((rate, k) => rate === wins[k]));
}

/** Change part of the state; everything is drawn again. */
function change(part) {
  state = { ...state, ...part };
  markChanges(state);
  tell(null);
  stop();
  update();
}

/** What follows at once from the state, drawn now; the rest after a pause. */
function update() {
  const preset = presets[presetOf(state.wins)];
  model = atOnce(state, preset ? preset.names : LETTERS);
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

/** Write the state into the address; inside another page there may be none to write to. */
function remember() {
  try {
    history.replaceState(null, "", `#${format(state)}`);
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
  }
}

/** What takes longer, piece by piece, so that the page stays responsive; a new state ends it. */
async function workOut() {
  const mine = model;
  remember();
  for (const part of inTime(mine)) {
    Object.assign(mine, part);
    if ("curve" in part) plane.drawBoundary(part.curve);
    if ("cycle" in part) simplex.drawCycle(part.cycle);
    showVerdict(false);
    await new Promise((resume) => setTimeout(resume));
    if (mine !== model) return;
  }
  showVerdict(true);
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
  winControls.forEach((view, k) => {
    view.show(state.wins[k], `${answers[k]} beats ${answers[(k + 1) % 3]}`);
  });
  drawRing(byId("ring"), answers, state.wins);
  byId("preset").value = presetOf(state.wins);
  for (const input of document.getElementsByName("objective")) {
    input.checked = input.value === state.objective;
  }
  const step = STEPS[state.tour - 1];
  byId("tour").classList.toggle("closed", !step);
  byId("tour-number").textContent = step ? `Tour, ${state.tour} of ${STEPS.length}` : "";
  byId("tour-title").textContent = step ? step.title : "";
  byId("tour-text").textContent = step ? step.text : "";
  const next = state.tour < STEPS.length ? "Next" : "Finish";
  byId("tour-back").disabled = state.tour <= 1;
  byId("tour-next").textContent = step ? next : "Take the tour";
}

function tell(sentence) {
  byId("message").textContent = sentence ?? "";
  byId("message").hidden = !sentence;
}

function goTo(number) {
  const before = state;
  change({ ...DEFAULTS, ...STEPS[number - 1].set, tour: number });
  markChanges(before);
  if (!still.matches) play();
}

/** Point out which numbers differ from those of another state. */
function markChanges(other) {
  const mark = ({ element }, changed) => element.classList.toggle("changed", changed);
  controls.forEach(({ key, view }) => mark(view, other[key] !== state[key]));
  winControls.forEach((view, k) => mark(view, other.wins[k] !== state.wins[k]));
}

/** Leave the tour as it stands; its button stays, and keeps the focus. */
function endTour() {
  change({ tour: 0 });
  byId("tour-next").focus();
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
  on("tour-next", () => (state.tour < STEPS.length ? goTo(state.tour + 1) : endTour()));
  on("tour-back", () => {
    goTo(state.tour - 1);
    if (state.tour === 1) byId("tour-next").focus(); // Back has had its day
  });
  on("tour-again", () => goTo(state.tour));
  on("tour-close", endTour);
  on("reset", () => change({ ...DEFAULTS }));
  on("copy", async () => {
    remember();
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
  // A page that shows this one in a frame has a heading of its own.
  document.documentElement.classList.toggle("framed", window !== window.top);
  byId("preset").append(...presetOptions());
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  listen();
  open();
}
