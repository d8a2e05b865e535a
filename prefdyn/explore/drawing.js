/** Small tools for drawing in SVG; colours and line widths are in style.css, by class. */

/** An SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A line through points (x, y), as the `d` of a path. */
export function line(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
}

/** Dots at points (x, y), as the `d` of a path with round caps. */
export function dots(points) {
  return points.map(([x, y]) => `M${x.toFixed(2)} ${y.toFixed(2)}h0`).join("");
}

/** An arrow from a point along a displacement: shaft and head, as the `d` of a path. */
export function arrow([x, y], [dx, dy], head) {
  const length = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [(dx / length) * head, (dy / length) * head];
  const [tipX, tipY] = [x + dx, y + dy];
  const left = [tipX - ux - uy * 0.6, tipY - uy + ux * 0.6];
  const right = [tipX - ux + uy * 0.6, tipY - uy - ux * 0.6];
  return line([[x, y], [tipX, tipY]]) + line([left, [tipX, tipY], right]);
}

/** A number with four significant digits at most, in a fixed notation where that is short. */
export function short(x, digits = 4) {
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "–";
  if (x !== 0 && Math.abs(x) < 1e-4) return x.toExponential(1).replace("-", "−");
  return String(Number(x.toPrecision(digits))).replace("-", "−");
}

/** A probability in per cent; small ones keep their size. */
export function percent(p) {
  const value = 100 * p;
  if (value > 0 && value < 0.1) return "under 0.1 %";
  if (value < 100 && value > 99.9) return "over 99.9 %";
  return `${Number(value.toFixed(1))} %`;
}

/** Position of a pointer event in the coordinates of an SVG's view box. */
export function pointer(picture, event) {
  const at = new DOMPoint(event.clientX, event.clientY);
  const { x, y } = at.matrixTransform(picture.getScreenCTM().inverse());
  return [x, y];
}

/**
 * Let a picture be a two-dimensional slider: dragged with a pointer, moved with the arrow keys.
 *
 * A mouse may drag from anywhere. A finger drags the handle only, since elsewhere it scrolls the
 * page, and taps.
 *
 * @param {SVGElement} picture
 * @param {SVGElement} handle An invisible part of the picture around what is dragged.
 * @param {(point: number[]) => void} place Called with a position in view-box coordinates.
 * @param {(direction: number[], fine: boolean) => void} nudge Called with (right, up) of -1, 0, 1.
 */
export function slider2d(picture, handle, place, nudge) {
  picture.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" && event.target !== handle) return;
    picture.setPointerCapture(event.pointerId);
    picture.focus({ preventScroll: true });
    place(pointer(picture, event));
  });
  picture.addEventListener("pointermove", (event) => {
    if (picture.hasPointerCapture(event.pointerId)) place(pointer(picture, event));
  });
  picture.addEventListener("click", (event) => {
    if (event.pointerType === "touch") place(pointer(picture, event));
  });
  const directions = {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
  };
  picture.addEventListener("keydown", (event) => {
    if (!(event.key in directions)) return;
    event.preventDefault();
    nudge(directions[event.key], event.shiftKey);
  });
}
