/* The views of sentiment.pages.page, linked by the word under the pointer. */
"use strict";

const WIDTH = 900, HEIGHT = 240, LEFT = 44, BOTTOM = 24, TOP = 10;
let text = data.texts[0];
let words = []; // {span, text, weight}
let here = 0;

const percent = (share) => `${(100 * share).toFixed(1)}\u2009%`;
const pointOf = (word) => Math.floor(word / text.stride);

function showText() {
  const largest = Math.max(...text.pieces.map(([, weight]) => Math.abs(weight ?? 0)), 1e-9);
  words = [];
  const spans = text.pieces.map(([piece, weight]) => {
    if (weight === null) return piece;
    const share = weight / largest;
    const kind = Math.abs(share) < 0.03 ? "" : share > 0 ? " for" : " against";
    const span = element("span", { class: `word${kind}` }, piece);
    if (kind) span.style.background = signedColour(share * 0.8);
    span.dataset.index = words.length;
    words.push({ span, piece, weight });
    return span;
  });
  byId("text").replaceChildren(...spans);
  const others = Object.entries(text.probabilities).map(([name, p]) => `${name} ${percent(p)}`).join(", ");
  byId("label-title").textContent = `${text.label}, ${percent(text.probability)}`;
  byId("label-title").title = others;
  byId("rough").textContent = text.error > 0.05
    ? `The weights are rough: they miss ${percent(text.error)} of what they should add up to.` : "";
}

/* ---- the chart ---- */

const x = (word) => LEFT + ((word + 0.5) / Math.max(words.length, 1)) * (WIDTH - LEFT - 6);
const y = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function label(left, top, content, anchor) {
  const made = shape("text", { x: left, y: top, "text-anchor": anchor });
  made.textContent = content;
  return made;
}

function showChart() {
  const chart = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": "probability of the label after each word" });
  for (const share of [0, 0.25, 0.5, 0.75, 1])
    chart.append(shape("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: y(share), y2: y(share) }),
      label(LEFT - 6, y(share) + 4, `${100 * share}\u2009%`, "end"));
  chart.append(label(LEFT, HEIGHT - 6, "start", "start"), label(WIDTH, HEIGHT - 6, "end", "end"));
  const middle = (point) => Math.min(point * text.stride + (text.stride - 1) / 2, words.length - 1);
  for (const name of ["forward", "backward"])
    chart.append(shape("polyline", { class: name,
      points: text[name].map((share, point) => `${x(middle(point))},${y(share)}`).join(" ") }));
  text.without.forEach((share, point) => chart.append(shape("circle", { cx: x(middle(point)), cy: y(share), r: 2 })));
  chart.append(shape("line", { class: "here", y1: TOP, y2: HEIGHT - BOTTOM, x1: x(here), x2: x(here) }));
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    moveTo(Math.floor(((at - LEFT) / (WIDTH - LEFT - 6)) * words.length));
  });
  byId("chart").replaceChildren(chart);
}

/* ---- one word ---- */

function showHere() {
  if (!words.length) return byId("here").replaceChildren("The text has no words.");
  const { piece, weight } = words[here];
  const point = pointOf(here);
  const several = text.stride > 1 ? ` and ${text.stride - 1} beside it` : "";
  const rows = [
    ["weight", `${weight > 0 ? "+" : ""}${weight.toFixed(2)}`],
    ["from the start up to it", percent(text.forward[point])],
    ["from it to the end", percent(text.backward[point])],
    [`without it${several}`, percent(text.without[point])],
    ["the whole text", percent(text.probability)],
  ];
  byId("here").replaceChildren(element("h3", {}, piece),
    element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
}

function moveTo(index) {
  if (!words.length) return;
  words[here].span.classList.remove("here");
  here = Math.max(0, Math.min(words.length - 1, index));
  words[here].span.classList.add("here");
  const line = document.querySelector("#chart .here");
  line.setAttribute("x1", x(here));
  line.setAttribute("x2", x(here));
  showHere();
}

function open(number) {
  text = data.texts[number];
  here = 0;
  [...byId("choice").children].forEach((button, index) => button.setAttribute("aria-pressed", index === number));
  showText();
  showChart();
  showHere();
  moveTo(0);
}

byId("text").addEventListener("pointermove", (event) => {
  const index = event.target.dataset.index;
  if (index !== undefined) moveTo(Number(index));
});
byId("text").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  moveTo(here + step);
});
if (data.texts.length > 1)
  byId("choice").append(...data.texts.map((one, number) => element("button", { onclick: () => open(number) },
    one.pieces.map(([piece]) => piece).join("").slice(0, 60))));
open(0);
