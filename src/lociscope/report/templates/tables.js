for (const table of document.querySelectorAll("table[data-csv]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "csv";
  button.textContent = "Download as CSV";
  button.setAttribute("aria-label", "Download as CSV: " + table.dataset.csv);
  button.addEventListener("click", () => {
    const read = cell => {
      const copy = cell.cloneNode(true);
      copy.querySelectorAll("small, [aria-hidden]").forEach(each => each.remove());
      const text = copy.textContent.trim().replace(/\s+/g, " ").replace(/^−/, "-");
      const safe = /^[=+@]/.test(text) && isNaN(text) ? "'" + text : text; // no formula for a spreadsheet
      return /[",]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
    };
    const rows = [...table.rows].filter(row => !row.classList.contains("between"));
    const text = rows.map(row => [...row.cells].filter(cell => !cell.matches("[aria-hidden], .plot")).map(read).join(",")).join("\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text + "\n"], { type: "text/csv" }));
    link.download = table.dataset.csv.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-") + ".csv";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  (table.closest(".scroll") ?? table).after(button);
}
