/* The views of charlm.pages.page, linked by `here`: the character under the pointer. */
"use strict";

const tokens = data.tokens;
const models = data.models.map((model) => ({
  ...model, bits: unpack(model.bits), expected: unpack(model.expected),
  probabilities: unpack(model.probabilities), memory: unpack(model.memory),
}));
const units = data.units.list;
const cells = unpack(data.units.cells);
const GATE_NAMES = { i: "input gate", f: "forget gate", o: "output gate", z: "update gate", r: "reset gate" };
const gates = Object.keys(GATE_NAMES).filter((name) => name in data.units.gates)
  .map((name) => ({ name, values: unpack(data.units.gates[name]) }));
const WIDTH = 100; // characters in a row of cells

let here = 0;
let isHeld = false;
let chosen = 0;
let colouring = "surprise";

const activity = (unit, token) => cells[unit * tokens.length + token] / 127;
const bits = (model, token) => model.bits[token] / 1000;
const visible = (token) => ({ "\n": "\u21b5", " ": "\u2423", "\t": "\u21e5" })[token] ?? token;
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u2009%`;

/* ---- the text ---- */

const tiles = tokens.map((token, index) => {
  const tile = element("span", {}, token);
  tile.dataset.index = index;
  return tile;
});
byId("text").append(...tiles);

function rest(model, token) {
  const start = token * model.distances;
  return (back) => (back >= 1 && back <= model.distances && back <= token ? model.memory[start + back - 1] / 255 : 0);
}

function tileColour(index) {
  if (colouring === "cell") return signedColour(activity(chosen, index));
  if (colouring === "memory") return signedColour(rest(models[0], here)(here - index));
  return `rgb(var(--minus) / ${Math.min(bits(models[0], index) / 8, 1) * 0.85})`;
}

function colourTiles() {
  tiles.forEach((tile, index) => { tile.style.background = tileColour(index); });
  byId("legend").textContent = {
    surprise: `the darker, the more surprising; ${models[0].mean_bits.toFixed(2)} bits a character on average`,
    cell: units.length ? `cell ${units[chosen].name}: blue positive, orange negative` : "",
    memory: "the darker, the more the prediction at the framed character rests on it",
  }[colouring];
}

/* ---- one character ---- */

function bar(name, share, isRight) {
  const width = element("i");
  width.style.width = percent(share).replace("\u2009", "");
  return element("div", { class: isRight ? "bar right" : "bar" }, element("span", { class: "mono" }, visible(name)),
    width, element("span", { class: "number" }, percent(share)));
}

function showHere() {
  const parts = models.map((model) => {
    const rows = [];
    for (let rank = 0; rank < model.top; rank++) {
      const at = here * model.top + rank;
      const name = model.vocabulary[model.expected[at]];
      rows.push(bar(name, model.probabilities[at] / 65535, name === tokens[here]));
    }
    const title = models.length > 1 ? `${model.name}: ` : "";
    return element("div", {}, element("p", {}, `${title}${bits(model, here).toFixed(2)} bits of surprise. Expected:`),
      ...rows);
  });
  byId("here").replaceChildren(element("h3", {}, `Character ${here + 1}: `,
    element("span", { class: "mono" }, visible(tokens[here]))), ...parts);
}

/* ---- memory ---- */

function showMemory() {
  const rows = models.map((model) => {
    const share = rest(model, here);
    const letters = element("div", { class: "letters mono" });
    for (let index = Math.max(0, here - model.distances); index < here; index++) {
      const letter = element("span", { title: `${here - index} before: ${percent(share(here - index) ** 2)}` },
        visible(tokens[index]));
      letter.style.background = signedColour(share(here - index));
      letters.append(letter);
    }
    letters.append(element("span", { class: "here" }, visible(tokens[here])));
    return element("div", { class: "row" }, element("span", {}, `${model.name} (${model.cell.toUpperCase()})`), letters);
  });
  byId("memory").replaceChildren(...rows);
}

/* ---- cells ---- */

const rows = []; // {canvas, draw(context, first, count, width)}

function canvasRow(label, draw, name) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  canvas.addEventListener("pointermove", (event) => {
    const column = Math.floor((event.offsetX / canvas.clientWidth) * WIDTH);
    moveTo(Math.min(firstShown() + column, tokens.length - 1), false);
  });
  canvas.addEventListener("click", () => { isHeld = !isHeld; });
  const row = element("div", { class: name }, label, canvas);
  rows.push({ canvas, draw });
  return row;
}

const firstShown = () => Math.floor(here / WIDTH) * WIDTH;

function drawRows() {
  const first = firstShown();
  const style = getComputedStyle(document.body);
  const [plus, minus, ink, mark] = ["--plus", "--minus", "--ink", "--mark"].map((name) => style.getPropertyValue(name));
  const measured = rows.map(({ canvas }) => [canvas.clientWidth, canvas.clientHeight]);
  rows.forEach(({ canvas, draw }, number) => {
    const [width, height] = measured[number];
    const ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const step = width / WIDTH;
    for (let column = 0; column < WIDTH && first + column < tokens.length; column++)
      draw(context, first + column, column * step, step, height, { plus, minus, ink });
    context.strokeStyle = mark;
    context.lineWidth = 1.5;
    context.strokeRect((here - first) * step, 0.5, step, height - 1);
  });
}

function drawValue(value) {
  return (context, token, left, width, height, colours) => {
    const share = value(token);
    context.fillStyle = `rgb(${share < 0 ? colours.minus : colours.plus} / ${Math.min(Math.abs(share), 1)})`;
    context.fillRect(left, 0, width, height);
  };
}

function drawLetter(context, token, left, width, height, colours) {
  context.fillStyle = colours.ink;
  context.font = `${Math.min(14, width * 1.6)}px ui-monospace, Menlo, Consolas, monospace`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(visible(tokens[token]), left + width / 2, height / 2);
}

function listCells() {
  const property = byId("property").value;
  rows.length = 0;
  const list = [canvasRow(element("span"), drawLetter, "cell letters")];
  units.forEach((unit, index) => {
    if (property && unit.property !== property) return;
    const told = unit.correlation ? `${unit.property}, ${unit.correlation.toFixed(2)}` : unit.property;
    const label = element("button", { "aria-pressed": index === chosen, onclick: () => choose(index) },
      `${unit.name}: ${told}`);
    list.push(canvasRow(label, drawValue((token) => activity(index, token)), "cell"));
    if (index !== chosen) return;
    for (const { name, values } of gates) {
      const title = element("span", { class: "gate" }, `${GATE_NAMES[name]} ${name}`);
      list.push(canvasRow(title, drawValue((token) => values[index * tokens.length + token] / 255), "cell"));
    }
  });
  byId("cells").replaceChildren(...list);
  drawRows();
}

function choose(index) {
  chosen = index;
  const scrolled = byId("cells").scrollTop;
  if (colouring === "surprise") byId("colour").value = colouring = "cell";
  listCells();
  byId("cells").scrollTop = scrolled;
  colourTiles();
  showElsewhere();
}

/* The characters at which the chosen cell is furthest from its median. */
function showElsewhere() {
  if (!units.length) return;
  const values = tokens.map((_, index) => activity(chosen, index));
  const median = [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const order = tokens.map((_, index) => index)
    .sort((a, b) => Math.abs(values[b] - median) - Math.abs(values[a] - median));
  const indices = [];
  for (const index of order) {
    if (indices.length === 8) break;
    if (indices.every((other) => Math.abs(other - index) > 20)) indices.push(index);
  }
  const line = (start, end) => tokens.slice(Math.max(0, start), end).map(visible).join("");
  const buttons = indices.sort((a, b) => a - b).map((index) => element("button",
    { class: "mono", onclick: () => moveTo(index, true) },
    values[index].toFixed(2).padStart(5), "  ", line(index - 30, index).padStart(30),
    element("b", {}, visible(tokens[index])), line(index + 1, index + 30)));
  byId("elsewhere").replaceChildren(element("p", {}, `Cell ${units[chosen].name} is at ${median.toFixed(2)} ` +
    "most of the time. Here it is furthest from that:"), ...buttons);
}

/* ---- moving ---- */

function moveTo(index, hold) {
  if (isHeld && !hold) return;
  tiles[here].classList.remove("here");
  here = index;
  tiles[here].classList.add("here");
  if (hold) {
    isHeld = true;
    const text = byId("text");
    const top = tiles[here].offsetTop - text.offsetTop;
    if (top < text.scrollTop || top > text.scrollTop + text.clientHeight - 30) text.scrollTop = top - 60;
  }
  showHere();
  showMemory();
  drawRows();
  if (colouring === "memory") colourTiles();
}

byId("text").addEventListener("pointermove", (event) => {
  const index = event.target.dataset.index;
  if (index !== undefined && Number(index) !== here) moveTo(Number(index), false);
});
byId("text").addEventListener("click", (event) => {
  const index = event.target.dataset.index;
  if (index === undefined) return;
  const again = isHeld && Number(index) === here;
  moveTo(Number(index), true);
  isHeld = !again;
});
byId("text").addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -WIDTH, PageDown: WIDTH, Home: -tokens.length, End: tokens.length };
  if (!(event.key in moves)) return;
  event.preventDefault();
  moveTo(Math.max(0, Math.min(tokens.length - 1, here + moves[event.key])), true);
});
byId("colour").addEventListener("change", (event) => { colouring = event.target.value; colourTiles(); });
byId("property").append(...[...new Set(units.map((unit) => unit.property))].map((name) => element("option", {}, name)));
byId("property").addEventListener("change", listCells);
window.addEventListener("resize", drawRows);

/* ---- writing on ---- */

if (data.weights) {
  const network = makeLSTM(data.weights);
  let writing = 0;
  byId("prompt").value = tokens.slice(0, 60).join("");
  byId("write").addEventListener("click", () => {
    const number = ++writing; // an earlier one stops
    const temperature = Math.max(0.05, Number(byId("temperature").value) || 0.7);
    const written = element("span");
    byId("written").replaceChildren(element("b", {}, byId("prompt").value), written);
    byId("written").ariaBusy = "true";
    const stream = network.write(byId("prompt").value, temperature, Number(byId("seed").value) || 0);
    let left = 400;
    (function more() {
      const until = performance.now() + 30;
      while (left > 0 && performance.now() < until) { written.append(stream.next().value); left--; }
      if (left > 0 && number === writing) setTimeout(more, 0);
      else if (left === 0) byId("written").ariaBusy = "false";
    })();
  });
}

tiles[here].classList.add("here");
colourTiles();
showHere();
showMemory();
listCells();
showElsewhere();
