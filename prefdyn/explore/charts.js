/** The charts: stability over alpha and beta, multipliers, and what happens round by round. */

import { entropy } from "./mathematics.js";
import { line, short, slider2d, svg } from "./drawing.js";
import { RANGES } from "./state.js";

/** Linear map of a range of numbers onto a range of paper, with its inverse. */
function scale([low, high], [start, end]) {
  const onto = (x) => start + ((x - low) / (high - low)) * (end - start);
  const inverse = (u) => low + ((u - start) / (end - start)) * (high - low);
  return Object.assign(onto, { inverse });
}

function text(content, x, y, attributes = {}) {
  return svg("text", { x, y, ...attributes }, content);
}

/** Grid lines and numbers of both axes. */
function axes(picture, frame, across, upward) {
  const [left, top, right, bottom] = frame;
  for (const [at, label] of across) {
    picture.append(
      svg("path", { class: "grid", d: `M${at} ${top}V${bottom}` }),
      text(label, at, bottom + 16, { class: "tick", "text-anchor": "middle" }),
    );
  }
  for (const [at, label] of upward) {
    picture.append(
      svg("path", { class: "grid", d: `M${left} ${at}H${right}` }),
      text(label, left - 7, at + 4, { class: "tick", "text-anchor": "end" }),
    );
  }
}

/** Shares of alpha at which a line of equal tau is drawn, closer together towards 1. */
const ISO = Array.from({ length: 61 }, (_, k) => 1 - (1 - k / 60) ** 3);

/** The plane of alpha and beta; `moved` is called with a new alpha and beta. */
export function stabilityView(picture, moved) {
  const frame = [46, 16, 348, 262];
  const [left, top, right, bottom] = frame;
  const x = scale(RANGES.alpha, [left, right]);
  const y = scale(RANGES.beta.map(Math.log10), [bottom, top]);
  const clip = svg("clipPath", { id: "plane" });
  clip.append(svg("rect", { x: left, y: top, width: right - left, height: bottom - top }));
  const moving = svg("path", { class: "moving", "clip-path": "url(#plane)" });
  const edge = svg("path", { class: "edge", "clip-path": "url(#plane)" });
  const same = svg("path", { class: "same-point", "clip-path": "url(#plane)" });
  const point = svg("circle", { class: "now", r: 6 });
  const handle = svg("circle", { class: "handle", r: 24 });
  const calm = { class: "calm", x: left, y: top, width: right - left, height: bottom - top };
  picture.append(clip, svg("rect", calm), moving);
  axes(
    picture, frame,
    [0, 0.25, 0.5, 0.75, RANGES.alpha[1]].map((alpha) => [x(alpha), String(alpha)]),
    [0.001, 0.01, 0.1, 1, 10].map((beta) => [y(Math.log10(beta)), String(beta)]),
  );
  const words = [
    text("settles", left + 20, top + 19, { class: "region" }),
    text("keeps moving", left + 20, 0, { class: "region" }),
  ];
  picture.append(
    same, edge, ...words, point,
    text("α", right, bottom + 32, { class: "axis", "text-anchor": "end" }),
    text("β", left, top - 4, { class: "axis", "text-anchor": "middle" }),
    handle,
  );
  // Beside the axis of beta, in the middle of the longest part of it that is unstable.
  const placeWord = (pieces) => {
    const spans = pieces.map((piece) => {
      const heights = piece.map(({ tau }) => Math.min(Math.max(y(Math.log10(tau)), top), bottom));
      return [Math.min(...heights), Math.max(...heights)];
    });
    const [from, to] = spans.sort(([a, b], [c, d]) => d - c - (b - a))[0] ?? [0, 0];
    words[1].setAttribute("y", (from + to) / 2 + 4);
    words[1].classList.toggle("absent", to - from < 16);
  };
  let shown = { alpha: 0, beta: 1 };
  const set = (alpha, logBeta) => {
    const [low, high] = RANGES.beta;
    moved({
      alpha: Number(Math.min(Math.max(alpha, 0), RANGES.alpha[1]).toFixed(3)),
      beta: Number(Math.min(Math.max(10 ** logBeta, low), high).toPrecision(3)),
    });
  };
  slider2d(
    picture,
    handle,
    ([px, py]) => set(x.inverse(px), y.inverse(py)),
    ([across, up], fine) => {
      set(shown.alpha + across * (fine ? 0.005 : 0.02),
        Math.log10(shown.beta) + up * (fine ? 0.01 : 0.04));
    },
  );

  return {
    draw({ state, found }) {
      shown = state;
      picture.classList.toggle("unknown", !found);
      for (const mark of [point, handle]) {
        mark.setAttribute("cx", x(state.alpha));
        mark.setAttribute("cy", y(Math.log10(state.beta)));
      }
      picture.setAttribute("aria-valuenow", state.beta);
      picture.setAttribute("aria-valuetext", `alpha ${state.alpha}, beta ${state.beta}`);
      const tau = (1 - state.alpha) * state.beta;
      const along = ISO.slice(0, -1).map((a) => [x(a), y(Math.log10(tau / (1 - a)))]);
      same.setAttribute("d", line(along));
    },
    /** Draw where recipes are unstable: below the boundary, a list of `{tau, alpha}`. */
    drawBoundary(curve) {
      const at = (alpha, tau) => [x(alpha), y(Math.log10(tau / (1 - alpha)))];
      const pieces = unstablePieces(curve);
      const outline = pieces.map((piece) => piece.map(({ alpha, tau }) => at(alpha, tau)));
      edge.setAttribute("d", outline.map(line).join(""));
      moving.setAttribute("d", pieces.map((piece, k) => {
        // Ends inside the plane are closed along their own tau, the rest along alpha = 0.
        const along = ({ alpha, tau }) => ISO.map((share) => at(alpha * share, tau));
        const back = piece.map(({ tau }) => at(0, tau)).reverse();
        const ends = [along(piece.at(-1)).reverse(), back, along(piece[0])];
        return `${line([...outline[k], ...ends.flat()])}Z`;
      }).join(""));
      placeWord(pieces);
    },
  };
}

/** Runs of the boundary with alpha above 0, with the points between where it reaches 0. */
function unstablePieces(curve) {
  const pieces = [];
  curve.forEach((here, k) => {
    const before = curve[k - 1];
    if (here.alpha > 0) {
      if (!before || before.alpha <= 0) pieces.push(before ? [atZero(before, here)] : []);
      pieces.at(-1).push(here);
    } else if (before && before.alpha > 0) {
      pieces.at(-1).push(atZero(before, here));
    }
  });
  return pieces;
}

function atZero(a, b) {
  const share = a.alpha / (a.alpha - b.alpha);
  return { alpha: 0, tau: a.tau * (b.tau / a.tau) ** share };
}

/** The multipliers in the complex plane, with the unit circle, which shrinks to leave them room. */
export function multiplierView(picture) {
  const [centre, room] = [110, 82];
  const points = [0, 1].map(() => svg("circle", { class: "multiplier", r: 5.5 }));
  const spokes = [0, 1].map(() => svg("path", { class: "spoke" }));
  const circle = svg("circle", { class: "unit-circle", cx: centre, cy: centre });
  const one = text("1", 0, centre + 15, { class: "tick" });
  const cross = svg("path", { class: "grid", d: `M6 ${centre}H214M${centre} 6V214` });
  picture.append(circle, cross, one, ...spokes, ...points);
  return {
    draw({ found }) {
      const shown = found ? found.multipliers : [];
      const unit = room / Math.max(1, (found?.radius ?? 0) / 1.2);
      circle.setAttribute("r", unit);
      one.setAttribute("x", centre + unit + 4);
      points.forEach((point, k) => {
        point.classList.toggle("absent", !shown[k]);
        spokes[k].classList.toggle("absent", !shown[k]);
        if (!shown[k]) return;
        const [px, py] = [centre + unit * shown[k][0], centre - unit * shown[k][1]];
        point.setAttribute("cx", px);
        point.setAttribute("cy", py);
        point.classList.toggle("hollow", found.radius >= 1);
        spokes[k].setAttribute("d", line([[centre, centre], [px, py]]));
      });
      picture.setAttribute("aria-label", `Multipliers ${shown.map(complex).join(" and ")}`);
    },
  };
}

/** A complex number in words of the trade. */
function complex([re, im]) {
  return `${short(re)} ${im < 0 ? "−" : "+"} ${short(Math.abs(im))}i`;
}

/** Probabilities and entropy over the rounds, one above the other, as wide as there is room. */
export function roundsView(picture) {
  const left = 42;
  const upper = scale([0, 1], [122, 14]);
  const lower = scale([0, Math.log(3)], [222, 158]);
  const grid = svg("g");
  const lines = [0, 1, 2].map((k) => svg("path", { class: `series answer-${k}` }));
  const names = [0, 1, 2].map((k) => svg("text", { class: `name answer-${k}` }));
  const spread = svg("path", { class: "series entropy" });
  const cursor = svg("path", { class: "cursor" });
  picture.append(grid, ...lines, ...names, spread, cursor);
  let [x, shown, round] = [null, null, 0];

  function draw(model) {
    shown = model;
    const { answers, logPolicies, state } = model;
    const width = Math.max(picture.clientWidth, 280);
    const right = width - 76;
    picture.setAttribute("viewBox", `0 0 ${width} 246`);
    x = scale([0, state.rounds], [left, right]);
    const most = (right - left) / 60;
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((n) => state.rounds / n <= most);
    const ticks = Array.from({ length: Math.floor(state.rounds / every) + 1 }, (_, k) => k * every);
    grid.replaceChildren();
    axes(grid, [left, upper(1), right, upper(0)], ticks.map((n) => [x(n), ""]),
      [[upper(0), "0"], [upper(0.5), "½"], [upper(1), "1"]]);
    axes(grid, [left, lower(Math.log(3)), right, lower(0)], ticks.map((n) => [x(n), String(n)]),
      [[lower(0), "0"], [lower(Math.log(3)), "log 3"]]);
    grid.append(
      text("entropy", right + 8, lower(Math.log(3)) + 4, { class: "axis" }),
      text("round", right + 8, lower(0) + 4, { class: "axis" }),
    );
    const policies = (logPolicies ?? []).map((row) => row.map(Math.exp));
    lines.forEach((path, k) => {
      path.setAttribute("d", line(policies.map((p, t) => [x(t), upper(p[k])])));
    });
    const entropies = (logPolicies ?? []).map((row, t) => [x(t), lower(entropy(row))]);
    spread.setAttribute("d", line(entropies));
    const heights = apart((policies.at(-1) ?? [0, 0, 0]).map(upper), 14);
    names.forEach((name, k) => {
      name.textContent = policies.length ? answers[k] : "";
      name.setAttribute("x", right + 8);
      name.setAttribute("y", heights[k] + 4);
    });
  }

  function drawRound(to) {
    round = to;
    const spans = [[upper(1), upper(0)], [lower(Math.log(3)), lower(0)]];
    cursor.setAttribute("d", spans.map(([a, b]) => `M${x(round)} ${a}V${b}`).join(""));
  }

  new ResizeObserver(() => {
    if (!shown) return;
    draw(shown);
    drawRound(round);
  }).observe(picture.parentElement);
  return { draw, drawRound };
}

/** Heights moved apart to at least a distance, in their order, and kept on the paper. */
function apart(heights, distance) {
  const order = heights.map((_, k) => k).sort((a, b) => heights[a] - heights[b]);
  const moved = [...heights];
  let lowest = 122 + distance;
  for (const k of order.toReversed()) moved[k] = lowest = Math.min(moved[k], lowest - distance);
  return moved;
}
