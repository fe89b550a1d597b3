/* An LSTM that writes on, over the page's own weights in int8: the equations of shared/layers/cells.py.

   embedding (characters, features); for each layer kernel (features, 4 units), recurrent (units, 4 units) and
   bias (4 units), gates i, f, g, o; output (units, characters). A matrix is values times a scale per column. */
"use strict";

function makeLSTM(weights) {
  const matrix = ({ values, scales, bias }) => ({
    values: unpack(values), scales: unpack(scales), columns: values.shape[1], bias: bias && unpack(bias),
  });
  const embedding = matrix(weights.embedding);
  const output = matrix(weights.output);
  const layers = weights.layers.map((layer) => ({
    kernel: matrix(layer.kernel), recurrent: matrix(layer.recurrent), bias: unpack(layer.bias),
  }));
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  /* sums + x W, in place */
  function addProduct(sums, x, { values, scales, columns }) {
    const products = new Float32Array(columns);
    for (let row = 0; row < x.length; row++) {
      const factor = x[row];
      if (factor === 0) continue;
      for (let column = 0, at = row * columns; column < columns; column++, at++)
        products[column] += factor * values[at];
    }
    for (let column = 0; column < columns; column++) sums[column] += products[column] * scales[column];
    return sums;
  }

  function zeros() {
    return layers.map(() => ({ h: new Float32Array(weights.units), c: new Float32Array(weights.units) }));
  }

  /* Reads one character; changes the state, and returns the logits of the next character. */
  function step(index, state) {
    const { values, scales, columns } = embedding;
    let x = Float32Array.from(scales, (scale, feature) => scale * values[index * columns + feature]);
    layers.forEach(({ kernel, recurrent, bias }, number) => {
      const { h, c } = state[number];
      const sums = addProduct(addProduct(Float32Array.from(bias), x, kernel), h, recurrent);
      const units = weights.units;
      for (let unit = 0; unit < units; unit++) {
        const i = sigmoid(sums[unit]);
        const f = sigmoid(sums[units + unit]);
        const g = Math.tanh(sums[2 * units + unit]);
        const o = sigmoid(sums[3 * units + unit]);
        c[unit] = f * c[unit] + i * g;
        h[unit] = o * Math.tanh(c[unit]);
      }
      x = h;
    });
    return addProduct(Float32Array.from(output.bias), x, output);
  }

  function probabilities(logits, temperature) {
    const largest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp((logit - largest) / temperature));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
  }

  /* Mulberry32: the same numbers from the same seed. */
  function randomNumbers(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  /* The characters that follow a prompt, one at a time; characters that the model does not know are skipped. */
  function* write(prompt, temperature, seed) {
    const random = randomNumbers(seed);
    const state = zeros();
    const known = [...prompt].map((character) => weights.characters.indexOf(character)).filter((i) => i >= 0);
    let logits;
    for (const index of known.length ? known : [weights.start]) logits = step(index, state);
    while (true) {
      const shares = probabilities(logits, temperature);
      let left = random();
      let index = shares.findIndex((share) => (left -= share) < 0);
      if (index < 0) index = shares.length - 1;
      yield weights.characters[index];
      logits = step(index, state);
    }
  }

  return { zeros, step, probabilities, write };
}
