"use strict";
/* What the scripts of all pages use. */

const data = JSON.parse(document.getElementById("data").textContent);

/* The typed array of what shared.visual.pages.packed wrote. */
function unpack({ type, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const kinds = { int8: Int8Array, uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
  return new kinds[type](bytes.buffer);
}

const byId = (id) => document.getElementById(id);

/* A new element: element("b", { title: "why" }, "text", other, ...). */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/* The colour of a value from -1 (orange) to 1 (blue). */
function signedColour(value) {
  const strength = Math.min(Math.abs(value), 1);
  return `rgb(var(${value < 0 ? "--minus" : "--plus"}) / ${(0.85 * strength).toFixed(3)})`;
}
