// Optional: without JavaScript, the channels are shown as layers, and can still be switched.
const viewer = document.getElementById("viewer");
const canvas = document.getElementById("canvas");
const announcement = document.getElementById("announcement");
const said = document.getElementById("busy");
const NAMES = ["red", "green", "blue", "yellow"];
const PALETTES = {
  hpa: { red: "#ff0000", green: "#00ff00", blue: "#4d4dff", yellow: "#ffff00" },
  safe: { red: "#ff00ff", green: "#00ff00", blue: "#5a8cff", yellow: "#b0b0b0" },
  grey: { red: "#ffffff", green: "#ffffff", blue: "#ffffff", yellow: "#ffffff" },
};
const BARS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500];
const EVIDENCE = [255, 140, 0];

const columns = Number(viewer.dataset.columns), rows = Number(viewer.dataset.rows), pixelSize = Number(viewer.dataset.pixelSize);
const base = viewer.dataset.base;
const images = {}, full = {}, looks = {};
const switches = {};
const view = { x: 0, y: 0, zoom: 1 }; // the upper left corner in px of the field; 1 shows the whole field
let evidence = null, cells = null, marked = 0, asked = false;
const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const pen = canvas.getContext("2d");

for (const name of NAMES) {
  images[name] = viewer.querySelector(`.layer[data-channel=${name}] img`);
  switches[name] = viewer.querySelector(`.switches input[data-channel=${name}]`);
  looks[name] = { low: 0, high: 255, tint: PALETTES.hpa[name] };
}

const get = (id) => document.getElementById(id);
const palette = get("palette");
const visible = () => NAMES.filter((name) => switches[name].checked);
const panels = () => (palette.value === "grey" && visible().length > 1 ? visible().map((name) => [name]) : [visible()]);

function draw() {
  asked = false;
  const width = Math.max(64, Math.min(1400, Math.round(canvas.clientWidth * Math.min(2, window.devicePixelRatio || 1))));
  const height = Math.round(width * rows / columns);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, width, height);
  const shown = panels(), across = shown.length > 1 ? 2 : 1;
  shown.forEach((names, k) => {
    const left = Math.round((k % across) * width / across), top = Math.round(Math.floor(k / across) * height / across);
    panel(names, left, top, Math.round(width / across) - (across - 1), Math.round(height / across) - (across - 1));
  });
  if (across > 1) label(shown, width, height);
  scale(width / across);
  get("zoomed").textContent = `${(100 * width / across * view.zoom / columns).toFixed(0)} %`;
}

function panel(names, left, top, width, height) {
  if (!width || !height) return;
  const factor = width * view.zoom / columns; // px of the canvas for a px of the field
  const sum = new Float32Array(3 * width * height);
  scratch.canvas.width = width; scratch.canvas.height = height;
  for (const name of names) {
    const image = full[name] && full[name].complete && full[name].naturalWidth ? full[name] : images[name];
    if (!image.complete || !image.naturalWidth) continue;
    if (factor * columns > 1.05 * image.naturalWidth) sharpen(name);
    const data = pick(image, factor, width, height);
    const { low, high, tint } = looks[name], span = Math.max(1, high - low);
    const table = [1, 3, 5].map((at) => {
      const part = parseInt(tint.slice(at, at + 2), 16) / 255;
      return Float32Array.from({ length: 256 }, (_, v) => part * Math.max(0, Math.min(255, 255 * (v - low) / span)));
    });
    for (let p = 0, q = 0; q < sum.length; p += 4, q += 3) {
      const v = data[p];
      sum[q] += table[0][v]; sum[q + 1] += table[1][v]; sum[q + 2] += table[2][v];
    }
  }
  const picture = pen.createImageData(width, height), out = picture.data;
  const heat = evidence && evidence.complete && evidence.naturalWidth ? pick(evidence, factor, width, height) : null;
  for (let p = 0, q = 0; q < sum.length; p += 4, q += 3) {
    const share = heat ? 0.6 * heat[p] / 255 : 0;
    for (let c = 0; c < 3; c++) out[p + c] = Math.min(255, sum[q + c]) * (1 - share) + share * EVIDENCE[c];
    out[p + 3] = 255;
  }
  pen.putImageData(picture, left, top);
  if (cells) outline(left, top, width, height, factor);
}

function pick(image, factor, width, height) {
  const ratio = image.naturalWidth / columns, across = width / factor, down = height / factor;
  scratch.fillStyle = "#000";
  scratch.fillRect(0, 0, width, height);
  scratch.imageSmoothingEnabled = factor < 3 || image === evidence;
  scratch.drawImage(image, view.x * ratio, view.y * ratio * image.naturalHeight / (ratio * rows), across * ratio, down * image.naturalHeight / rows, 0, 0, width, height);
  return scratch.getImageData(0, 0, width, height).data;
}

function outline(left, top, width, height, factor) {
  pen.save();
  pen.beginPath(); pen.rect(left, top, width, height); pen.clip();
  pen.lineWidth = Math.max(1.5, width / 500);
  for (const cell of cells) {
    pen.strokeStyle = colour(cell.top);
    pen.setLineDash(cell.top < 0 ? [4, 4] : cell.top >= 12 ? [10, 4] : []);
    pen.lineWidth = (cell.cell === marked ? 3 : 1) * Math.max(1.5, width / 500);
    for (const ring of cell.outline) {
      pen.beginPath();
      ring.forEach(([x, y], k) => pen[k ? "lineTo" : "moveTo"](left + (x - view.x) * factor, top + (y - view.y) * factor));
      pen.stroke();
    }
  }
  pen.restore();
}

const colour = (location) => (location < 0 ? "#c8c8c8" : `hsl(${30 * (location % 12)} 90% 66%)`);

function label(shown, width, height) {
  pen.font = `${Math.round(width / 42)}px system-ui, sans-serif`;
  shown.forEach(([name], k) => {
    const text = switches[name].parentElement.textContent.trim();
    const x = (k % 2) * width / 2 + width / 80, y = Math.floor(k / 2) * height / 2 + width / 32;
    pen.lineWidth = 4; pen.strokeStyle = "#000"; pen.strokeText(text, x, y);
    pen.fillStyle = "#fff"; pen.fillText(text, x, y);
  });
}

function scale(width) {
  const svg = get("scale");
  if (!svg || !pixelSize) return;
  const micrometres = pixelSize * columns / view.zoom, length = BARS.filter((um) => um <= micrometres / 4).pop() || BARS[0];
  const box = svg.viewBox.baseVal, part = width / canvas.width, px = box.width * part * length / micrometres;
  const [rect, text] = [svg.querySelector("rect"), svg.querySelector("text")];
  const right = 0.965 * box.width;
  rect.setAttribute("x", right - px); rect.setAttribute("width", px);
  text.setAttribute("x", right - px / 2); text.textContent = `${length} µm`;
  svg.setAttribute("aria-label", `Scale bar: ${length} µm`);
}

function sharpen(name) {
  if (!base || full[name] || columns <= images[name].naturalWidth) return;
  said.textContent = "Loading the full resolution…";
  const image = full[name] = new Image();
  image.addEventListener("load", () => { said.textContent = ""; redraw(); });
  image.addEventListener("error", () => { said.textContent = "The full resolution cannot be loaded."; });
  image.src = `${base}/channels/${name}?full=true`;
}

function redraw() {
  if (!asked) { asked = true; requestAnimationFrame(draw); }
}

function clamp() {
  view.zoom = Math.max(1, Math.min(Math.max(8, columns / 60), view.zoom));
  view.x = Math.max(0, Math.min(columns - columns / view.zoom, view.x));
  view.y = Math.max(0, Math.min(rows - rows / view.zoom, view.y));
  canvas.classList.toggle("zoomed", view.zoom > 1);
  redraw();
}

// Zoom about a point of the view, (0, 0) its upper left corner and (1, 1) its lower right one.
function zoomBy(times, u = 0.5, v = 0.5) {
  const before = view.zoom;
  view.zoom = Math.max(1, Math.min(Math.max(8, columns / 60), before * times));
  view.x += u * (columns / before - columns / view.zoom);
  view.y += v * (rows / before - rows / view.zoom);
  clamp();
}

function zoomTo(kind) {
  if (kind === "in") zoomBy(1.5);
  else if (kind === "out") zoomBy(1 / 1.5);
  else if (kind === "one") zoomBy(columns / canvas.width * (panels().length > 1 ? 2 : 1) / view.zoom);
  else { Object.assign(view, { x: 0, y: 0, zoom: 1 }); clamp(); }
}

function place(event) {
  const box = canvas.getBoundingClientRect(), across = panels().length > 1 ? 2 : 1;
  return [((event.clientX - box.left) / box.width * across) % 1, ((event.clientY - box.top) / box.height * across) % 1];
}

const pointers = new Map();
let moved = false;
canvas.addEventListener("pointerdown", (event) => { pointers.set(event.pointerId, event); canvas.setPointerCapture(event.pointerId); moved = false; });
canvas.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  const box = canvas.getBoundingClientRect(), across = panels().length > 1 ? 2 : 1;
  if (pointers.size === 2) {
    const [other] = [...pointers.values()].filter((each) => each.pointerId !== event.pointerId);
    const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoomBy(far(event) / Math.max(1, far(last)), ...place(event));
  } else {
    view.x -= (event.clientX - last.clientX) / box.width * across * columns / view.zoom;
    view.y -= (event.clientY - last.clientY) / box.height * across * rows / view.zoom;
    clamp();
  }
  moved ||= Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) > 2;
  pointers.set(event.pointerId, event);
});
for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => pointers.delete(event.pointerId));
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return; // the page scrolls
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY / 400), ...place(event));
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const step = 0.2 / view.zoom, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const zooms = { "+": "in", "=": "in", "-": "out", "−": "out", 0: "fit" };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (moves[event.key]) { view.x += moves[event.key][0] * columns; view.y += moves[event.key][1] * rows; clamp(); }
  else if (zooms[event.key] && get("shortcuts").checked) zoomTo(zooms[event.key]);
  else return;
  event.preventDefault();
});
for (const each of document.querySelectorAll("[data-zoom]")) each.addEventListener("click", () => zoomTo(each.dataset.zoom));

// === Channels ===

for (const name of NAMES) {
  switches[name].addEventListener("change", () => {
    announcement.textContent = `${switches[name].dataset.stain} ${switches[name].checked ? "shown" : "hidden"}`;
    redraw();
  });
  images[name].addEventListener("load", redraw);
  const box = viewer.querySelector(`.contrast fieldset[data-channel=${name}]`);
  box.querySelector(".low").addEventListener("input", (event) => { looks[name].low = Math.min(Number(event.target.value), looks[name].high - 5); redraw(); });
  box.querySelector(".high").addEventListener("input", (event) => { looks[name].high = Math.max(Number(event.target.value), looks[name].low + 5); redraw(); });
  box.querySelector(".tint").addEventListener("input", (event) => { looks[name].tint = event.target.value; palette.value = "own"; dots(); redraw(); });
}

function dots() {
  for (const name of NAMES) {
    viewer.querySelector(`.switches i[data-channel=${name}]`).style.background = looks[name].tint;
    viewer.querySelector(`.contrast fieldset[data-channel=${name}] .tint`).value = looks[name].tint;
  }
}

function paint(key) {
  for (const name of NAMES) looks[name].tint = PALETTES[key][name];
  dots();
  redraw();
}

palette.addEventListener("change", () => { if (PALETTES[palette.value]) paint(palette.value); });
get("reset").addEventListener("click", () => {
  for (const name of NAMES) Object.assign(looks[name], { low: 0, high: 255 });
  for (const each of viewer.querySelectorAll(".contrast input[type=range]")) each.value = each.className === "low" ? 0 : 255;
  palette.value = "hpa";
  paint("hpa");
});

const shortcuts = get("shortcuts");
try { shortcuts.checked = localStorage.getItem("lociscope-shortcuts") !== "off"; } catch { /* storage is forbidden */ }
viewer.classList.toggle("silent", !shortcuts.checked);
shortcuts.addEventListener("change", () => {
  viewer.classList.toggle("silent", !shortcuts.checked);
  try { localStorage.setItem("lociscope-shortcuts", shortcuts.checked ? "on" : "off"); } catch { /* only for this page */ }
});
document.addEventListener("keydown", (event) => {
  const name = NAMES.find((each) => each[0] === event.key.toLowerCase());
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (name && shortcuts.checked && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) switches[name].click();
});

// === Evidence ===

if (get("evidence")) {
  get("evidence").addEventListener("change", (event) => {
    evidence = null;
    redraw();
    if (!event.target.value) { said.textContent = ""; return; }
    const image = new Image(), name = event.target.selectedOptions[0].textContent;
    said.textContent = "Looking for the evidence…";
    image.addEventListener("load", () => { evidence = image; said.textContent = `Orange: where the evidence for ${name} is strongest.`; redraw(); });
    image.addEventListener("error", () => { said.textContent = "The evidence cannot be loaded. Try again."; });
    image.src = `${base}/evidence/${event.target.value}`;
  });
}

// === Cells ===

const finder = get("find-cells"), section = get("cells");

function fill(list) {
  get("cell-table").tBodies[0].replaceChildren(...list.map((cell) => {
    const line = document.createElement("tr"), head = document.createElement("th"), button = document.createElement("button");
    head.scope = "row";
    button.type = "button";
    button.textContent = `Cell ${cell.cell}`;
    button.addEventListener("click", () => mark(cell, true));
    head.append(button);
    const names = document.createElement("td"), dot = document.createElement("i");
    dot.dataset.channel = "";
    dot.style.background = colour(cell.top);
    names.append(dot, cell.names.join(", ") || "unsure");
    const texts = [cell.probability.toFixed(2), cell.area_um2.toFixed(0), cell.at_edge ? "yes" : ""].map((text, k) => {
      const each = document.createElement("td");
      each.textContent = text;
      if (k < 2) each.className = "number";
      return each;
    });
    line.dataset.cell = cell.cell;
    line.append(head, names, ...texts);
    return line;
  }));
}

function mark(cell, centre) {
  marked = cell.cell;
  for (const line of get("cell-table").tBodies[0].rows) line.classList.toggle("marked", Number(line.dataset.cell) === marked);
  if (centre) {
    view.zoom = Math.max(view.zoom, 2.5);
    Object.assign(view, { x: cell.x - columns / view.zoom / 2, y: cell.y - rows / view.zoom / 2 });
    clamp();
  }
  announcement.textContent = `Cell ${cell.cell}: ${cell.names.join(", ") || "unsure"}`;
  redraw();
}

function inside(cell, x, y) {
  return cell.outline.some((ring) => ring.reduce((odd, [x1, y1], k) => {
    const [x2, y2] = ring[(k + 1) % ring.length];
    return (y1 > y) !== (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1 ? !odd : odd;
  }, false));
}

canvas.addEventListener("click", (event) => {
  if (moved || !cells) return;
  const [u, v] = place(event);
  const cell = cells.find((each) => inside(each, view.x + u * columns / view.zoom, view.y + v * rows / view.zoom));
  if (!cell) return;
  mark(cell, false);
  get("cell-table").querySelector(`[data-cell="${cell.cell}"]`).scrollIntoView({ block: "nearest" });
});

if (finder) {
  finder.hidden = false;
  finder.addEventListener("click", async () => {
    if (cells) { cells = null; finder.textContent = "Find and outline the cells"; get("cells-box").hidden = true; get("cells-said").textContent = ""; redraw(); return; }
    get("cells-said").textContent = "Looking for cells…";
    finder.disabled = true;
    try {
      const answer = await fetch(section.dataset.source, { headers: { accept: "application/json" } });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      cells = found.cells;
      get("cells-said").textContent = `${cells.length} ${cells.length === 1 ? "cell" : "cells"}.`;
      get("cells-box").hidden = !cells.length;
      finder.textContent = "Remove the outlines";
      fill(cells);
      redraw();
    } catch (error) {
      get("cells-said").textContent = `Cells cannot be shown: ${error.message}`;
    } finally {
      finder.disabled = false;
    }
  });
  for (const button of section.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), up = head.getAttribute("aria-sort") !== "ascending", key = button.dataset.sort;
      for (const each of section.querySelectorAll("thead th")) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (cell) => (key === "names" ? cell.names.join() : cell[key]);
      fill([...cells].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (up ? 1 : -1)));
    });
  }
}

if (columns && rows && pen) {
  canvas.hidden = get("tools").hidden = get("looks").hidden = false;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The visible channels in colour. Arrow keys move, plus and minus zoom, 0 shows the whole field.");
  new ResizeObserver(redraw).observe(canvas);
  dots();
  clamp();
}
