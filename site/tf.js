// What the explorer takes of TensorFlow.js. `make vendor` bundles it into vendor/tf.js, with the
// WebAssembly inside, because a page that is opened from a disk may not fetch other files.
import "@tensorflow/tfjs-backend-cpu";
import { env } from "@tensorflow/tfjs-core";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import simd from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm";

// Every browser since 2023 has the instructions (SIMD) of this one; elsewhere JavaScript serves.
env().set("WASM_HAS_MULTITHREAD_SUPPORT", false); // threads need headers that a disk does not send
setWasmPaths({
  "tfjs-backend-wasm-simd.wasm": simd,
  "tfjs-backend-wasm-threaded-simd.wasm": simd, // never asked for
  "tfjs-backend-wasm.wasm": simd, // does not start where it is asked for, and so JavaScript serves
});

export {
  add, concat, conv2d, gather, getBackend, image, leakyRelu, matMul, mul, ready, relu, reshape,
  setBackend, sigmoid, slice, tanh, tensor, tidy,
} from "@tensorflow/tfjs-core";
