// Optional: the form and the pages also work without JavaScript.
"use strict";

const CHANNELS = ["red", "green", "blue", "yellow"];
const form = document.querySelector("form.send");
const input = document.getElementById("files");
const chosen = document.getElementById("chosen");
const said = document.getElementById("said");
const button = form && form.querySelector(".go");

function size(bytes) {
  return bytes < 1e5 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 1048576).toPrecision(3)} MB`;
}

function channelOf(name) {
  return CHANNELS.find((channel) => new RegExp(`_${channel}\\.[^_]+$`, "i").test(name));
}

// Return why the selected files cannot be sent; empty if they can.
function objection(files) {
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  if (bytes > Number(form.dataset.most)) {
    return `These files are ${size(bytes)}; this service accepts ${size(Number(form.dataset.most))}. Send fewer fields at a time.`;
  }
  if (files.length > Number(form.dataset.files)) {
    return `These are ${files.length} files; this service accepts ${form.dataset.files}. Send them as a zip, or fewer at a time.`;
  }
  return "";
}

function say(text, wrong = false) {
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

function list() {
  const files = [...input.files];
  chosen.hidden = !files.length;
  chosen.replaceChildren(...files.slice(0, 24).map((file) => {
    const item = document.createElement("li");
    const dot = document.createElement("i");
    dot.dataset.channel = channelOf(file.name) || "";
    item.append(dot, file.name, " ");
    const small = document.createElement("small");
    small.textContent = size(file.size);
    item.append(small);
    return item;
  }));
  form.classList.toggle("filled", files.length > 0);
  const why = objection(files);
  say(why || (files.length ? `${files.length} ${files.length === 1 ? "file" : "files"} selected.` : ""), Boolean(why));
}

function rest() {
  form.classList.remove("busy");
  button.removeAttribute("aria-disabled");
  button.textContent = "Predict";
}

function dropping(event, on) {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  document.body.classList.toggle("dragging", on);
}

// Folders: a form cannot hold their files, so they are sent from here, with their paths.
const folder = document.getElementById("folder");
const chooser = document.getElementById("choose-folder");

function walk(entry, path, found) {
  if (entry.isFile) return new Promise((done, fail) => entry.file((file) => { found.push([file, path + file.name]); done(); }, fail));
  const reader = entry.createReader();
  const more = () => new Promise((done, fail) => reader.readEntries(done, fail)).then((some) => (some.length
    ? some.reduce((before, each) => before.then(() => walk(each, `${path}${entry.name}/`, found)), Promise.resolve()).then(more) : undefined));
  return more();
}

function sendEntries(entries) {
  const found = [];
  say("Reading the folder…");
  entries.reduce((before, each) => before.then(() => walk(each, "", found)), Promise.resolve())
    .then(() => send(found)).catch((error) => say(`This folder cannot be read: ${error.message}.`, true));
}

function send(found) {
  const why = found.length ? objection(found.map(([file]) => file)) : "This folder has no file.";
  if (why) { say(why, true); return; }
  const data = new FormData(form);
  data.delete("files");
  data.append("ask", "1");
  for (const [file, path] of found) data.append("files", file, path);
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("accept", "application/json");
  request.upload.addEventListener("progress", (event) => say(`Sending ${size(event.loaded)} of ${size(event.total)}…`));
  request.addEventListener("load", () => {
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { answer = { error: request.statusText }; }
    if (request.status === 202) location.href = `${form.action}/${answer.id}`;
    else { rest(); say(answer.error || `The service answered ${request.status}.`, true); }
  });
  request.addEventListener("error", () => { rest(); say("The service cannot be reached. Try again.", true); });
  busy();
  request.send(data);
}

function busy() {
  form.classList.add("busy");
  button.setAttribute("aria-disabled", "true");
  button.textContent = "Predicting…";
  say("Sending and predicting…");
}

if (folder) {
  chooser.hidden = false;
  chooser.addEventListener("click", () => folder.click());
  folder.addEventListener("change", () => send([...folder.files].map((file) => [file, file.webkitRelativePath || file.name])));
}

if (form) {
  input.addEventListener("change", list);
  form.addEventListener("submit", (event) => {
    const why = objection([...input.files]);
    if (why || form.classList.contains("busy")) {
      event.preventDefault();
      if (why) say(why, true);
      return;
    }
    busy();
  });
  window.addEventListener("pageshow", () => { rest(); list(); });
  document.addEventListener("dragover", (event) => dropping(event, true));
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(event, false); });
  document.addEventListener("drop", (event) => {
    dropping(event, false);
    if (!event.dataTransfer.files.length) return;
    const entries = [...event.dataTransfer.items].map((each) => each.webkitGetAsEntry && each.webkitGetAsEntry()).filter(Boolean);
    if (folder && entries.some((each) => each.isDirectory)) { sendEntries(entries); return; }
    input.files = event.dataTransfer.files;
    list();
    form.scrollIntoView({ block: "center" });
    button.focus();
  });
}

const alertBox = document.getElementById("alert");
if (alertBox) alertBox.focus();

// Complete the addresses here: behind a proxy, the service knows neither its host name nor https.
for (const each of document.querySelectorAll("[data-root]")) each.textContent = new URL(each.dataset.root, location.href).href;
