// Optional: without JavaScript, the page of a job loads itself again.
const job = document.querySelector(".job");
const bar = document.getElementById("progress");
const finished = document.getElementById("finished");

if (job && job.dataset.state === "running" && "EventSource" in window) {
  const events = new EventSource(job.dataset.events);
  events.addEventListener("progress", (event) => {
    const now = JSON.parse(event.data);
    bar.value = now.done + now.failed;
    finished.textContent = now.done + now.failed;
    document.title = `${now.done + now.failed} of ${now.total} · lociscope`;
  });
  events.addEventListener("done", () => { events.close(); location.reload(); });
  window.addEventListener("pagehide", () => events.close());
}

for (const each of document.querySelectorAll(".sorting select")) each.addEventListener("change", () => each.form.requestSubmit());
for (const each of document.querySelectorAll("form button.danger")) {
  each.addEventListener("click", (event) => { if (!confirm("Delete the files and results of this job? This cannot be undone.")) event.preventDefault(); });
}
