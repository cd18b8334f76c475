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
    return `These files are ${size(bytes)}; this service accepts ${size(Number(form.dataset.most))}. Send one field at a time.`;
  }
  if (files.length > Number(form.dataset.files)) {
    return `These are ${files.length} files; one field has at most four. Send one field at a time.`;
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
  chosen.replaceChildren(...files.map((file) => {
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

if (form) {
  input.addEventListener("change", list);
  form.addEventListener("submit", (event) => {
    const why = objection([...input.files]);
    if (why || form.classList.contains("busy")) {
      event.preventDefault();
      if (why) say(why, true);
      return;
    }
    form.classList.add("busy");
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Predicting…";
    say("Sending and predicting…");
  });
  window.addEventListener("pageshow", () => { rest(); list(); });
  document.addEventListener("dragover", (event) => dropping(event, true));
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(event, false); });
  document.addEventListener("drop", (event) => {
    dropping(event, false);
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    list();
    form.scrollIntoView({ block: "center" });
    button.focus();
  });
}

const switches = new Map([...document.querySelectorAll(".switches input")].map((each) => [each.dataset.key, each]));
const announcement = document.getElementById("announcement");

for (const each of switches.values()) {
  each.addEventListener("change", () => { announcement.textContent = `${each.dataset.stain} ${each.checked ? "shown" : "hidden"}`; });
}
document.addEventListener("keydown", (event) => {
  const one = switches.get(event.key.toLowerCase());
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (one && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) one.click();
});

const alertBox = document.getElementById("alert");
if (alertBox) alertBox.focus();

// Complete the addresses here: behind a proxy, the service knows neither its host name nor https.
for (const each of document.querySelectorAll("[data-root]")) each.textContent = new URL(each.dataset.root, location.href).href;
