// Optional: the form also works without JavaScript.
"use strict";

const shortcutSwitch = document.getElementById("shortcuts");
const reviewForm = document.getElementById("review");
const nextLink = document.getElementById("next");

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || (shortcutSwitch && !shortcutSwitch.checked)) return;
  if (event.key === "Enter") {
    if (event.target.closest("a, button, summary")) return;
    event.preventDefault();
    if (nextLink) nextLink.click();
    else if (reviewForm) reviewForm.querySelector("button[value=labelled]").click();
    return;
  }
  const choice = reviewForm && reviewForm.querySelector(`[data-choice="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!choice) return;
  event.preventDefault();
  choice.click();
});

if (reviewForm) {
  const none = reviewForm.querySelector("[name=none]");
  const locations = [...reviewForm.querySelectorAll("[name=location]")];
  // A field without a location has none, and a location is not none.
  none.addEventListener("change", () => { if (none.checked) for (const each of locations) each.checked = false; });
  for (const each of locations) each.addEventListener("change", () => { if (each.checked) none.checked = false; });
  reviewForm.addEventListener("submit", (event) => {
    const marked = none.checked || locations.some((each) => each.checked);
    none.setCustomValidity(marked || event.submitter.value !== "labelled" ? "" : "Mark a location, or that there is none.");
    if (!reviewForm.reportValidity()) event.preventDefault();
    none.setCustomValidity(""); // otherwise the browser would refuse the next attempt before this listener runs
  });
}
