/* The views of captioning.pages.page. The chosen photograph, caption and word decide what all of them show. */
"use strict";

const views = data.views;
let photograph = 0;
let number = 0; // of the caption
let word = 0;

const ending = "\u25a0"; // the end of a caption
const shown = (name) => name || ending;
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u2009%`;
const current = () => views[photograph];
const caption = () => current().captions[number];

/* ---- where the network looked ---- */

function drawAttention() {
  const canvas = document.querySelector("#photo canvas");
  const { attention, side } = caption() ?? {};
  canvas.hidden = !attention;
  if (!attention) return;
  const weights = unpack(attention).subarray(word * side * side, (word + 1) * side * side);
  canvas.width = canvas.height = 0; // clears it
  const small = element("canvas", { width: side, height: side });
  const pixels = new ImageData(side, side);
  weights.forEach((weight, cell) => { pixels.data[4 * cell + 3] = 200 * (1 - weight / 255); }); // dark elsewhere
  small.getContext("2d").putImageData(pixels, 0, 0);
  const image = document.querySelector("#photo img");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/* ---- captions and what else could have followed ---- */

/* The node of the tree after the first `count` words of a caption. */
function nodeAfter(words, count) {
  let node = 0;
  for (let index = 0; index < count && node >= 0; index++)
    node = current().tree.findIndex((other) => other.parent === node && other.word === words[index]);
  return node;
}

function showCaptions() {
  const lines = current().captions.map((one, index) => {
    const buttons = [...one.words, ""].map((name, at) => element("button", {
      "aria-pressed": index === number && at === word,
      "aria-label": name || "end",
      onclick: () => choose(index, at), onpointerenter: () => choose(index, at),
    }, shown(name)));
    return element("p", { class: "caption" }, ...buttons,
      element("span", { class: "hint" }, `confidence ${one.confidence.toFixed(2)}`));
  });
  byId("captions").replaceChildren(...lines);
}

function showAlternatives() {
  if (!caption()) return byId("alternatives").replaceChildren();
  const taken = caption().words[word] ?? "";
  byId("word").textContent = shown(taken);
  const node = current().tree[nodeAfter(caption().words, word)];
  const rows = (node?.next ?? []).map(([name, share]) => {
    const width = element("i");
    width.style.width = `${100 * share}%`;
    return element("div", { class: name === taken ? "bar taken" : "bar" }, element("span", {}, shown(name)), width,
      element("span", { class: "number" }, percent(share)));
  });
  byId("alternatives").replaceChildren(...rows);
}

/* ---- the tree of the search ---- */

function branch(tree, index, onPath) {
  const parts = [];
  let node = tree[index];
  const line = element("li");
  // A beginning with one continuation stays on its line.
  for (;;) {
    const children = tree.flatMap((other, at) => (other.parent === index ? [at] : []));
    if (node.parent >= 0)
      parts.push(element("span", { class: onPath.get(index) ?? "" }, `${node.word} `));
    const isEnd = onPath.has(`${index} end`);
    if (isEnd) parts.push(element("span", { class: "final" }, `${ending} `));
    if (children.length !== 1 || isEnd) {
      const kept = new Set(children.map((child) => tree[child].word));
      const dropped = node.next.filter(([name]) => !kept.has(name) && !(isEnd && !name)).slice(0, 3);
      line.append(...parts, element("span", { class: "number" }, `${node.log_prob.toFixed(2)}  `));
      if (dropped.length) line.append(element("span", { class: "dropped" },
        dropped.map(([name, share]) => `${shown(name)} ${percent(share)}`).join(", ")));
      if (children.length) line.append(element("ul", {}, ...children.map((child) => branch(tree, child, onPath))));
      return line;
    }
    [index] = children;
    node = tree[index];
  }
}

function showTree() {
  const { tree, captions } = current();
  const onPath = new Map(); // classes of nodes on captions, and "NODE end" where one ends
  captions.forEach(({ words }, at) => words.forEach((_, count) => {
    const node = nodeAfter(words, count + 1);
    const isHere = at === number && count === word;
    onPath.set(node, `final${isHere || onPath.get(node)?.includes("here") ? " here" : ""}`);
    if (count === words.length - 1) onPath.set(`${node} end`, "");
  }));
  byId("tree").replaceChildren(element("ul", {}, branch(tree, 0, onPath)));
}

/* ---- choosing ---- */

function choose(index, at) {
  if (index === number && at === word) return;
  [number, word] = [index, at];
  for (const [line, { children }] of [...byId("captions").children].entries())
    for (const [place, button] of [...children].entries())
      if (button.tagName === "BUTTON") button.setAttribute("aria-pressed", line === number && place === word);
  drawAttention();
  showAlternatives();
  showTree();
}

function open(index) {
  [photograph, number, word] = [index, 0, 0];
  const image = document.querySelector("#photo img");
  image.alt = current().name;
  image.onload = drawAttention;
  image.src = current().photo;
  byId("photo-title").textContent = current().name;
  for (const [at, button] of [...byId("choice").children].entries()) button.setAttribute("aria-pressed", at === index);
  showCaptions();
  showAlternatives();
  showTree();
}

document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !caption() || event.target.closest("summary, #tree")) return;
  event.preventDefault();
  choose(number, Math.max(0, Math.min(caption().words.length, word + step)));
});

if (views.length > 1)
  byId("choice").append(...views.map((one, index) => element("button", { onclick: () => open(index), title: one.name },
    element("img", { src: one.photo, alt: one.name }))));
open(0);

/* ---- the gallery ---- */

byId("gallery")?.append(...data.gallery.map((one) => element("figure", {},
  element("img", { src: one.photo, alt: one.name, loading: "lazy" }),
  element("figcaption", {}, element("b", { class: "number" }, one.cider.toFixed(2)), ` ${one.caption}`,
    element("details", {}, element("summary", { class: "hint" }, "what people wrote"),
      element("ul", {}, ...one.references.map((reference) => element("li", {}, reference))))))));
