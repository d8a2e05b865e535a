/** The triangle of policies: the field of one round, the orbit, the fixed point, the cycle. */

import { step, softmax, centred } from "./mathematics.js";
import { arrow, dots, line, percent, slider2d, svg } from "./drawing.js";

const CORNERS = [[210, 34], [26, 352], [394, 352]];
const LABELS = [[210, 20], [26, 372], [394, 372]];
const ANCHORS = ["middle", "start", "end"];
/** Smallest probability that the start can be dragged to. */
const EDGE = 0.002;
/** Arrows along one side. */
const ARROWS = 13;
const LONGEST = 15;
/** Rounds behind the current one that are drawn bright. */
const TRAIL = 10;

/** Where a policy lies on paper. */
export function project(p) {
  return [0, 1].map((d) => p[0] * CORNERS[0][d] + p[1] * CORNERS[1][d] + p[2] * CORNERS[2][d]);
}

/** The policy at a place on paper, moved inside the triangle, with four decimals. */
export function policyAt([x, y]) {
  const top = (CORNERS[1][1] - y) / (CORNERS[1][1] - CORNERS[0][1]);
  const right = (x - CORNERS[1][0] - top * (CORNERS[0][0] - CORNERS[1][0])) /
    (CORNERS[2][0] - CORNERS[1][0]);
  const inside = [top, 1 - top - right, right].map((p) => Math.max(p, EDGE));
  const total = inside[0] + inside[1] + inside[2];
  const [first, second] = inside.map((p) => Number((p / total).toFixed(4)));
  return [first, second, Number((1 - first - second).toFixed(4))];
}

/** The view; `moved` is called with a new start. */
export function simplexView(picture, moved) {
  const parts = {};
  const add = (name, tag, attributes = {}) => {
    parts[name] = svg(tag, { class: name, ...attributes });
    picture.append(parts[name]);
  };
  add("triangle", "path", { d: `${line(CORNERS)}Z` });
  add("field", "path");
  add("cycle", "path");
  add("path", "path");
  add("rounds-seen", "path");
  add("trail", "path");
  add("start", "rect", { width: 12, height: 12 });
  add("start-label", "text", { "text-anchor": "end" });
  add("now", "circle", { r: 7.5 });
  add("fixed-point", "circle", { r: 4.5 });
  const names = LABELS.map(([x, y], k) => {
    const label = svg("text", { x, y, class: `corner answer-${k}`, "text-anchor": ANCHORS[k] });
    picture.append(label);
    return label;
  });
  add("handle", "circle", { r: 26 });
  let start = [1 / 3, 1 / 3, 1 / 3];
  slider2d(
    picture,
    parts.handle,
    (point) => moved(policyAt(point)),
    ([right, up], fine) => {
      const [x, y] = project(start);
      const size = fine ? 1.5 : 8;
      moved(policyAt([x + right * size, y - up * size]));
    },
  );

  return {
    /** Draw what depends on the recipe and the start. */
    draw({ state, answers, found, policies }) {
      start = state.start;
      names.forEach((label, k) => (label.textContent = answers[k]));
      parts.field.setAttribute("d", policies ? field(state) : "");
      const [x, y] = project(start);
      parts.start.setAttribute("transform", `translate(${x - 6} ${y - 6}) rotate(45 6 6)`);
      parts.handle.setAttribute("cx", x);
      parts.handle.setAttribute("cy", y);
      parts["start-label"].textContent = "start";
      parts["start-label"].setAttribute("x", x - 14);
      parts["start-label"].setAttribute("y", y + 4);
      const told = answers.map((name, k) => `${name} ${percent(start[k])}`).join(", ");
      picture.setAttribute("aria-valuetext", told);
      picture.setAttribute("aria-valuenow", Math.round(100 * start[0]));
      parts["fixed-point"].classList.toggle("absent", !found);
      if (found) {
        const [cx, cy] = project(found.policy);
        parts["fixed-point"].setAttribute("cx", cx);
        parts["fixed-point"].setAttribute("cy", cy);
        parts["fixed-point"].classList.toggle("hollow", found.radius >= 1);
      }
    },
    /** Draw the cycle, a list of policies or null. */
    drawCycle(cycle) {
      const places = dots((cycle ?? []).map(project)).split(/(?=M)/);
      const apart = new Set(places);
      parts.cycle.setAttribute("d", [...apart].join(""));
      // A locked cycle visits a few places only, which the path would hide.
      parts.cycle.classList.toggle("few", apart.size < 40);
    },
    /** Show the orbit up to a round. */
    drawRound(policies, round) {
      const seen = policies ? policies.slice(0, round + 1).map(project) : [];
      parts.path.setAttribute("d", line(seen));
      // Hundreds of chords would hide each other: the more there are, the fainter.
      parts.path.style.opacity = Math.min(0.45, 25 / seen.length);
      parts["rounds-seen"].setAttribute("d", dots(seen));
      parts.trail.setAttribute("d", line(seen.slice(-TRAIL)));
      parts.now.classList.toggle("absent", !seen.length);
      if (!seen.length) return;
      const [x, y] = seen.at(-1);
      parts.now.setAttribute("cx", x);
      parts.now.setAttribute("cy", y);
    },
  };
}

/** One round from each point of a lattice, as arrows whose length saturates. */
function field(recipe) {
  const parts = [];
  for (let i = 1; i < ARROWS; i++) {
    for (let j = 1; i + j < ARROWS; j++) {
      const p = [i, j, ARROWS - i - j].map((n) => n / ARROWS);
      const next = softmax(step(recipe, centred(p.map(Math.log))));
      const from = project(p);
      const to = project(next);
      const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
      const length = Math.hypot(dx, dy);
      if (length < 0.05) continue;
      const factor = (LONGEST * Math.tanh(length / 30)) / length;
      const [x, y] = [dx * factor, dy * factor];
      parts.push(arrow([from[0] - x / 2, from[1] - y / 2], [x, y], 3.6));
    }
  }
  return parts.join("");
}
