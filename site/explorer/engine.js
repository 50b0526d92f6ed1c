// Draw with a converted generator: TensorFlow.js does the sums, this file names them in order.
"use strict";

const engine = {
  // The arrays of a file that convert.py wrote, as tensors.
  load({ tensors, weights, ...generator }) {
    const text = atob(weights), letters = new Uint8Array(text.length), bytes = letters.buffer;
    for (let n = 0; n < text.length; n++) letters[n] = text.charCodeAt(n);
    const arrays = tensors.map(({ shape, half, begin }) => {
      const count = shape.reduce((product, side) => product * side, 1);
      return half ? float32(new Uint16Array(bytes, begin, count))
        : new Float32Array(bytes, begin, count);
    });
    return {
      ...generator,
      tensors: arrays.map((array, number) => tf.tensor(array, tensors[number].shape)),
      directions: arrays[generator.directions],
    };
  },

  // Images as bytes: Uint8ClampedArray of height * width * channels for each of the latents.
  // orders says, of each of them, how much of each class: 1 and else 0, or a mixture.
  async draw(generator, latents, orders) {
    const [height, width, channels] = generator.shape;
    const images = tf.tidy(() => {
      let x = tf.tensor(latents, [latents.length / generator.latents, generator.latents]);
      for (const step of generator.steps) x = STEPS[step.op](x, step, generator.tensors, orders);
      return tf.add(tf.mul(x, 127.5), 127.5);
    });
    const values = Uint8ClampedArray.from(await images.data());
    images.dispose();
    const size = height * width * channels;
    return Array.from({ length: values.length / size }, (_, n) =>
      values.subarray(n * size, (n + 1) * size));
  },

  // WebAssembly where the browser has it, else plain JavaScript, which is slower. Returns which.
  async start(wanted = ["wasm", "cpu"]) {
    for (const backend of wanted) if (await tf.setBackend(backend).catch(() => false)) break;
    await tf.ready();
    return tf.getBackend();
  },
};

const STEPS = {
  order: (x, { table }, tensors, orders) => {
    const shares = tf.tensor(orders, [x.shape[0], tensors[table].shape[0]]);
    return tf.concat([x, tf.matMul(shares, tensors[table])], 1);
  },
  dense: (x, { kernel }, tensors) => tf.matMul(x, tensors[kernel]),
  multiply: (x, { by }, tensors) => tf.mul(x, tensors[by]),
  add: (x, { what }, tensors) => tf.add(x, tensors[what]),
  reshape: (x, { shape }) => tf.reshape(x, [x.shape[0], ...shape]),
  convolve: (x, { kernel, strides, padding }, tensors) =>
    tf.conv2d(x, tensors[kernel], strides, padding),
  // Each convolution makes every stride-th row of the output. Its channels are stride pixels beside
  // each other, so they lie in order already: only whole rows are moved and cut.
  enlarge: (x, { rows, stride, taps, start }, tensors) => {
    const [number, height, width] = x.shape;
    const parts = rows.map(({ kernel, above }) => {
      const y = tf.conv2d(x, tensors[kernel], 1,
        [[0, 0], [above, taps - 1 - above], [taps - 1, taps - 1], [0, 0]]);
      return tf.reshape(y, [number * height, -1]);
    });
    const features = tensors[rows[0].kernel].shape[3] / stride;
    const wide = tf.reshape(tf.concat(parts, 1), [number, stride * height, -1]);
    const full = tf.slice(wide, [0, 0, start * features], [-1, -1, stride * width * features]);
    return tf.reshape(full, [number, stride * height, stride * width, features]);
  },
  crop: (x, { cropping: [[top, bottom], [left, right]] }) =>
    tf.slice(x, [0, top, left, 0],
      [-1, x.shape[1] - top - bottom, x.shape[2] - left - right, -1]),
  upsample: (x, { size, bilinear }) => {
    const sides = [x.shape[1] * size[0], x.shape[2] * size[1]];
    return bilinear ? tf.image.resizeBilinear(x, sides, false, true)
      : tf.image.resizeNearestNeighbor(x, sides);
  },
  rectify: (x, { slope }) => (slope ? tf.leakyRelu(x, slope) : tf.relu(x)),
  tanh: (x) => tf.tanh(x),
  sigmoid: (x) => tf.sigmoid(x),
};

// Half precision, as bits, to float32: a sign, five bits of exponent, ten of fraction.
const HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
  const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
  return bits >> 15 ? -size : size;
});

function float32(bits) {
  const values = new Float32Array(bits.length);
  for (let n = 0; n < bits.length; n++) values[n] = HALF[bits[n]];
  return values;
}
