// On a narrow screen a table of many columns is shown row by row, each cell beside the name of its column.
for (const table of document.querySelectorAll(".md-typeset table:not([class])")) {
  const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
  if (names.length < 5) continue;
  table.dataset.columns = names.length;
  for (const row of table.querySelectorAll("tbody tr"))
    [...row.cells].forEach((cell, column) => { cell.dataset.name = names[column] ?? ""; });
}
