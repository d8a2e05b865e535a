// Uses the page as a person with a keyboard does, and writes down what happened.
const found = {errors: []};
addEventListener("error", (event) => found.errors.push(event.message));
addEventListener("unhandledrejection", (event) => found.errors.push(String(event.reason)));
const wait = (ms) => new Promise((resume) => setTimeout(resume, ms));
const $ = (selector) => document.querySelector(selector);
const hash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const key = (selector, name, more = {}) => {
  const event = new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true, ...more});
  $(selector).dispatchEvent(event);
  return event.defaultPrevented;
};
const nameOf = (element) => element.ariaLabel || element.getAttribute("aria-label") ||
  element.labels?.[0]?.textContent.trim() || element.textContent.trim();

await wait(3000);
found.first = {tour: $("#tour-title").textContent, word: $("#word").textContent, hash: hash()};
$("#tour-next").click();
await wait(3000);
found.second = {
  tour: $("#tour-title").textContent, word: $("#word").textContent, hash: hash(),
  changed: [...document.querySelectorAll(".changed input[type=number]")].map((each) => each.id),
  busy: $("#verdict").ariaBusy, status: $("#verdict").getAttribute("role"),
  cycle: $(".cycle").getAttribute("d").length, hollow: $(".fixed-point").matches(".hollow"),
};
key("#simplex", "ArrowRight"); key("#simplex", "ArrowDown", {shiftKey: true});
key("#plane-chart", "ArrowUp"); key("#plane-chart", "ArrowRight");
await wait(3000);
found.moved = hash();
found.told = [$("#simplex"), $("#plane-chart")].map((s) => s.getAttribute("aria-valuetext"));

// Drag with a mouse from anywhere, with a finger from the handle only.
const press = (selector, type, [x, y], pointerType) => {
  const box = $("#simplex").getBoundingClientRect();
  const place = {clientX: box.left + x * box.width, clientY: box.top + y * box.height};
  const own = {pointerId: 1, pointerType, bubbles: true, ...place};
  $(selector).dispatchEvent(new PointerEvent(type, own));
};
$("#simplex").setPointerCapture = () => null;  // there is no real pointer to capture
$("#simplex").hasPointerCapture = () => true;
press("#simplex", "pointerdown", [0.5, 0.6], "touch"); await wait(300);
found.touched = hash().start;
press("#simplex .handle", "pointerdown", [0.5, 0.6], "touch"); await wait(300);
found.dragged = hash().start;
press("#simplex", "pointermove", [-1, 3], "mouse"); await wait(300);
found.outside = hash().start;
found.before = $("#play").textContent;
found.taken = key("body", " ");
found.playing = $("#play").textContent;
key("#simplex", " ");
found.paused = $("#play").textContent;
found.left = key("#tour-next", " ");
const field = $("#beta");
field.value = "-3"; field.dispatchEvent(new Event("change"));
found.refused = $("#message").textContent;
field.value = "0.125"; field.dispatchEvent(new Event("change"));
await wait(500);
found.accepted = hash().beta;
found.cleared = $("#message").hidden;
$("#tour-close").click();
found.closed = [document.activeElement.id, $("#tour-next").textContent];
$("input[value=dpo]").click(); await wait(2000);
found.dpo = hash().objective;
location.hash = "beta=low&colour=red"; await wait(2000);
found.bad = {message: $("#message").textContent, hash: hash(), shown: !$("#message").hidden};
location.hash = "objective=dpo&wins=1,1,0"; await wait(2000);
found.impossible = {word: $("#word").textContent, headline: $("#headline").textContent};
const focusable = [...document.querySelectorAll("button, input, select, a[href], [tabindex='0']")];
found.nameless = focusable.filter((element) => !nameOf(element)).map((each) => each.outerHTML);
found.order = focusable.map((element) => element.id).filter(Boolean);
found.jumps = [...document.querySelectorAll("[tabindex]")].filter((e) => e.tabIndex > 0).length;

// A window is never as narrow as a phone; a frame is, and it has no address to write to.
const phone = document.createElement("iframe");
phone.style.width = "360px";
phone.srcdoc = $("#source").content.textContent;
document.body.append(phone);
await wait(4000);
const inside = phone.contentDocument;
found.width = [inside.documentElement.scrollWidth, inside.documentElement.clientWidth];
found.phone = inside.querySelector("#word").textContent;
found.requests = performance.getEntriesByType("resource").length;
const out = document.createElement("pre");
out.id = "used"; out.textContent = JSON.stringify(found);
document.body.append(out);
