/** Sliders with number fields, and the picture of who beats whom. */

import { line, percent, short, svg } from "./drawing.js";
import { RANGES, wrong } from "./state.js";

const SLIDER_STEPS = 1000;

/** The numbers of a recipe: letter, meaning, step, and whether the scale is one of ratios. */
export const PARAMETERS = [
  { key: "beta", name: "β", about: "pull to the reference", ratio: true },
  { key: "alpha", name: "α", about: "the policy’s share of the reference", step: 0.01 },
  { key: "lam", name: "λ", about: "the policy’s share of the sampler", step: 0.01 },
  { key: "kappa", name: "κ", about: "share of a round that is executed", step: 0.01 },
  { key: "rounds", name: "rounds", about: "to run", step: 10 },
];

/** Where a slider stands for a value, and back. */
const LINEAR = { position: (x) => x, value: (u) => u };
const RATIO = {
  position: (x) => {
    const [low, high] = RANGES.beta;
    return (SLIDER_STEPS * Math.log(x / low)) / Math.log(high / low);
  },
  value: (u) => {
    const [low, high] = RANGES.beta;
    return Number((low * (high / low) ** (u / SLIDER_STEPS)).toPrecision(3));
  },
};

/**
 * A slider and a number field for one number.
 *
 * @param {{key: string, name: string, about?: string, step?: number, ratio?: boolean}} what
 * @param {number[]} range
 * @param {(value: number) => void} changed
 * @param {(problem: string) => void} refused Called with a sentence, in place of `changed`.
 * @returns {{element: HTMLElement, show: (value: number, name?: string) => void}}
 */
export function control({ key, name, about, step, ratio }, range, changed, refused) {
  const way = ratio ? RATIO : LINEAR;
  const label = element("label", { for: key }, name);
  const field = element("input", { type: "number", id: key, step: "any", inputmode: "decimal" });
  const limits = ratio
    ? { min: 0, max: SLIDER_STEPS, step: 1 }
    : { min: range[0], max: range[1], step };
  const slider = element("input", { type: "range", ...limits, "aria-label": `${name}, slider` });
  if (about) field.setAttribute("aria-describedby", `${key}-about`);
  slider.addEventListener("input", () => {
    changed(way.value(Number(slider.value)));
  });
  field.addEventListener("change", () => {
    const value = field.value === "" ? NaN : Number(field.value);
    const rule = key in RANGES ? wrong(key, value) : outside(value, range);
    field.classList.toggle("bad", Boolean(rule));
    if (rule) refused(`${label.textContent}: ${rule}`);
    else changed(value);
  });
  const hint = about ? [element("span", { class: "hint", id: `${key}-about` }, about)] : [];
  const named = element("p", {}, label, ...hint);
  return {
    element: element("div", { class: "control" }, named, slider, field),
    show(value, renamed = name) {
      label.textContent = renamed;
      slider.setAttribute("aria-label", `${renamed}, slider`);
      if (document.activeElement !== field || Number(field.value) !== value) field.value = value;
      field.classList.remove("bad");
      slider.value = way.position(value);
      slider.setAttribute("aria-valuetext", short(value));
    },
  };
}

function outside(value, [low, high]) {
  return value >= low && value <= high ? null : `give a number from ${low} to ${high}.`;
}

/** An HTML element with attributes and children. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const NODES = [[130, 22], [34, 122], [226, 122]];
const RATE_LABELS = [[66, 66, "end"], [130, 142, "middle"], [194, 66, "start"]];
const NODE_LABELS = [[130, 12, "middle"], [34, 142, "middle"], [226, 142, "middle"]];

/** Three answers and an arrow from each winner to the loser, as strong as the win is clear. */
export function drawRing(picture, answers, wins) {
  picture.replaceChildren();
  const told = [];
  wins.forEach((rate, k) => {
    const [winner, loser] = rate >= 0.5 ? [k, (k + 1) % 3] : [(k + 1) % 3, k];
    const strength = Math.max(rate, 1 - rate);
    const [x, y, anchor] = RATE_LABELS[k];
    const label = rate === 0.5 ? "even" : percent(strength);
    picture.append(...(rate === 0.5 ? [] : beats(NODES[winner], NODES[loser], strength)));
    picture.append(svg("text", { x, y, class: "tick", "text-anchor": anchor }, label));
    told.push(`${answers[winner]} beats ${answers[loser]} ${label}`);
  });
  NODES.forEach(([cx, cy], k) => {
    const [x, y, anchor] = NODE_LABELS[k];
    picture.append(
      svg("circle", { cx, cy, r: 5, class: `answer-${k}` }),
      svg("text", { x, y, class: `corner answer-${k}`, "text-anchor": anchor }, answers[k]),
    );
  });
  picture.setAttribute("aria-label", told.join("; "));
}

function beats([x0, y0], [x1, y1], strength) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
  const width = 0.8 + 6 * (strength - 0.5);
  const [tipX, tipY] = [x1 - 10 * ux, y1 - 10 * uy];
  const [baseX, baseY] = [tipX - 11 * ux, tipY - 11 * uy];
  return [
    svg("path", {
      class: "beats", "stroke-width": width,
      d: `M${x0 + 10 * ux} ${y0 + 10 * uy}L${baseX} ${baseY}`,
    }),
    svg("path", {
      class: "beats-head",
      d: `${line([
        [tipX, tipY], [baseX - 5 * uy, baseY + 5 * ux], [baseX + 5 * uy, baseY - 5 * ux],
      ])}Z`,
    }),
  ];
}
