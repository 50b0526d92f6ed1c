// The page: latents and sliders in, pictures out. engine.js draws.
"use strict";

const WALL = 16, COLUMNS = 4, LIMIT = 4; // pictures; how far a direction's slider goes
const byId = (id) => document.getElementById(id);

const explorer = {
  waiting: {}, // of files that were asked for, by name
  arrived(name, content) {
    explorer.waiting[name](content);
  },
  loaded: {},
  generator: null,
  chosen: 0, // which of the wall is the picture
  drawn: 0, // how many times
};
let latents, kept, mix, sliders = [], canvases = [], busy = false, again = false;

// A file of convert.py is a script, because a page from a disk may not fetch.
function fetchGenerator(name) {
  explorer.loaded[name] ??= new Promise((resolve, reject) => {
    explorer.waiting[name] = (content) => resolve(engine.load(content));
    const script = document.createElement("script");
    script.src = `${encodeURIComponent(name)}.js`;
    script.onerror = () => reject(new Error(`${script.src} is missing`));
    document.head.append(script);
  });
  return explorer.loaded[name];
}

// From a normal distribution with mean 0 and deviation 1, by Box and Muller.
function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

const newLatent = () => Float32Array.from({ length: explorer.generator.latents }, normal);

function addSlider(name, low, high, value, place = "sliders") {
  const label = document.createElement("label");
  label.innerHTML = "<span></span><input type=range step=0.05><output></output>";
  const [title, input, output] = label.children;
  title.textContent = name;
  Object.assign(input, { min: low, max: high });
  input.value = value;
  const show = () => (output.value = Number(input.value).toFixed(2));
  input.addEventListener("input", () => { show(); redraw(); });
  show();
  byId(place).append(label);
  return { input, reset: () => { input.value = value; show(); } };
}

// What the generator gets for a place on the wall: the latent, as long as "Variety" says and moved
// along the directions, and how much of each class.
function inputs(place) {
  const { directions, classes } = explorer.generator;
  const [variety, ...along] = sliders.map(({ input }) => Number(input.value));
  const latent = latents[place].map((v) => variety * v);
  along.forEach((distance, d) => {
    for (let i = 0; i < latent.length; i++)
      latent[i] += distance * directions[d * latent.length + i];
  });
  return { latent, order: classes.map((_, label) => Number(label === labelOf(place))) };
}

// Part of the way from yours to the kept picture.
function mixed({ latent, order }) {
  const part = Number(mix.input.value), length = Math.hypot(1 - part, part); // keeps deviation 1
  return {
    latent: latent.map((v, i) => ((1 - part) * v + part * kept.latent[i]) / length),
    order: order.map((v, i) => (1 - part) * v + part * kept.order[i]),
  };
}

function labelOf(place) {
  const wanted = document.querySelector("#classes input:checked")?.value ?? "";
  return wanted === "" ? place % Math.max(explorer.generator.classes.length, 1) : Number(wanted);
}

function paint(canvas, bytes, [height, width, channels]) {
  const pixels = new ImageData(width, height);
  for (let p = 0; p < height * width; p++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * p + c] = bytes[channels * p + (c % channels)];
    pixels.data[4 * p + 3] = 255;
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// Draw now, or once more after the drawing that is under way: never two at a time.
async function redraw() {
  if (busy) return void (again = true);
  busy = true;
  do {
    again = false;
    const { generator } = explorer;
    const batch = latents.map((_, place) => inputs(place));
    kept ??= batch[WALL - 1];
    batch.push(kept);
    const mixing = Number(mix.input.value) > 0; // else your picture is as it hangs on the wall
    if (mixing) batch.push(mixed(batch[explorer.chosen]));
    // Draw only what does not hang yet: a move of "Mix" changes one picture.
    const { shown = new Map() } = generator;
    const keys = batch.map(({ latent, order }) => `${order}: ${latent}`);
    const fresh = [...new Set(keys)].filter((key) => !shown.has(key));
    if (fresh.length) {
      const asked = fresh.map((key) => batch[keys.indexOf(key)]);
      const all = (name) => asked.flatMap((each) => [...each[name]]);
      const drawn = await engine.draw(generator, Float32Array.from(all("latent")), all("order"));
      fresh.forEach((key, n) => shown.set(key, drawn[n]));
    }
    const images = keys.map((key) => shown.get(key));
    generator.shown = new Map(keys.map((key, n) => [key, images[n]]));
    canvases.forEach((canvas, place) => paint(canvas, images[place], generator.shape));
    paint(byId("second"), images[WALL], generator.shape);
    paint(byId("picture"), images[mixing ? WALL + 1 : explorer.chosen], generator.shape);
    explorer.drawn++;
    explorer.first ??= performance.now(); // milliseconds since the page was asked for
    describe(labelOf(explorer.chosen));
    await new Promise(requestAnimationFrame);
  } while (again);
  busy = false;
}

function describe(label) {
  const { title, classes } = explorer.generator;
  const what = classes.length ? `${title}, ${classes[label]}` : title;
  byId("picture").setAttribute("aria-label", `Generated picture: ${what}`);
}

async function chooseGenerator(name) {
  byId("status").textContent = "Loading the network…";
  try {
    explorer.generator = await fetchGenerator(name);
  } catch (error) {
    return void (byId("status").textContent = `This network could not be loaded: ${error.message}.`);
  }
  if (byId("generator").value !== name) return; // another one was chosen meanwhile
  const { classes, shares } = explorer.generator;
  byId("sliders").replaceChildren();
  byId("mixing").replaceChildren();
  sliders = [addSlider("Variety", classes.length ? 0 : 0.6, 1.5, 1)];
  mix = addSlider("Mix", 0, 1, 0, "mixing");
  shares.forEach((_, d) => sliders.push(addSlider(`Direction ${d + 1}`, -LIMIT, LIMIT, 0)));
  byId("classes").hidden = !classes.length;
  byId("classes").replaceChildren(byId("classes").firstElementChild);
  ["all kinds", ...classes].forEach((label, n) => {
    const box = document.createElement("label");
    box.innerHTML = "<input type=radio name=class><span></span>";
    Object.assign(box.firstChild, { value: n ? n - 1 : "", checked: n === 0, onchange: redraw });
    box.lastChild.textContent = label;
    byId("classes").append(box);
  });
  surprise();
  await redraw();
  const slow = explorer.backend === "wasm" ? "" : ", slowly, in plain JavaScript";
  byId("status").textContent = `Drawn on your own device${slow}. Nothing is sent anywhere.`;
}

function surprise() {
  latents = Array.from({ length: WALL }, newLatent);
  kept = null; // for now, the last on the wall
  redraw();
}

function buildWall() {
  for (let place = 0; place < WALL; place++) {
    const label = document.createElement("label");
    label.innerHTML = "<input type=radio name=wall><canvas></canvas>";
    const [input, canvas] = label.children;
    input.checked = place === 0;
    input.setAttribute("aria-label", `Picture ${place + 1} of ${WALL}`);
    input.onchange = () => { explorer.chosen = place; mix.reset(); redraw(); };
    input.onkeydown = (event) => { // a row up or down; the browser would go to the neighbour
      const step = { ArrowUp: -COLUMNS, ArrowDown: COLUMNS }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = byId("wall").querySelectorAll("input")[(place + step + WALL) % WALL];
      next.focus();
      next.click();
    };
    canvases.push(canvas);
    byId("wall").append(label);
  }
}

byId("surprise").onclick = surprise;
byId("keep").onclick = () => {
  kept = mixed(inputs(explorer.chosen));
  byId("status").textContent = "Kept. Now choose another picture, and move “Mix”.";
  redraw();
};
byId("reset").onclick = () => { [mix, ...sliders].forEach(({ reset }) => reset()); redraw(); };
for (const [name, title] of Object.entries(generators)) byId("generator").add(new Option(title, name));
byId("generator").onchange = ({ target }) => chooseGenerator(target.value);
buildWall();
const wanted = new URLSearchParams(location.search).get("backend"); // ?backend=cpu
engine.start(wanted ? [wanted] : undefined).then((backend) => {
  explorer.backend = backend;
  return chooseGenerator(byId("generator").value);
});
