// Optional: without JavaScript, the live page loads itself again, and its forms are sent as usual.
const board = document.getElementById("board");
const said = document.getElementById("said");
const root = board.dataset.root;
let name = localStorage.getItem("lociscope-name") || "";

// Replace the changing part of the page; what has the focus, or was typed, stays.
async function refresh() {
  const answer = await fetch(`${root}board`, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const focus = document.activeElement && document.activeElement.id;
  const scrolled = [...board.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
  board.innerHTML = await answer.text();
  [...board.querySelectorAll(".scroll")].forEach((each, index) => { [each.scrollLeft, each.scrollTop] = scrolled[index] || [0, 0]; });
  const again = focus && document.getElementById(focus);
  if (again) again.focus();
  sign();
}

function sign() {
  const by = document.getElementById("by");
  if (by) by.value = name;
}

function say(text, wrong = false) {
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

board.addEventListener("input", (event) => {
  if (event.target.id === "by") { name = event.target.value; localStorage.setItem("lociscope-name", name); }
});

board.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  if (button.id === "stop" && !confirm("Stop the run after the current image? The same command resumes it.")) return;
  const form = new FormData(event.target, button);
  if (form.has("by")) form.set("by", name);
  button.disabled = true;
  try {
    const answer = await fetch(event.target.action, { method: "POST", body: new URLSearchParams(form), headers: { accept: "application/json" } });
    const told = await answer.json();
    say(answer.ok ? "" : told.error, !answer.ok);
  } catch {
    say("The program does not answer. Look at the terminal in which it runs.", true);
  }
  await refresh();
});

sign();
if ("EventSource" in window && board.dataset.state !== "ended") {
  const events = new EventSource(`${root}events`);
  events.addEventListener("changed", refresh);
  events.addEventListener("ended", async () => { events.close(); await refresh(); document.title = "Ended · lociscope"; });
  events.addEventListener("error", () => say("The connection to the program is interrupted.", true));
  events.addEventListener("open", () => say(""));
  window.addEventListener("pagehide", () => events.close());
}
