document.querySelector(".all")?.removeAttribute("hidden");
document.querySelectorAll(".all button").forEach(button => button.addEventListener("click", () => {
  const on = button.dataset.on.split(" ");
  document.querySelectorAll(".switch").forEach(box => { box.checked = on.includes(box.dataset.channel); });
}));
document.querySelectorAll(".enlarge").forEach(button => {
  button.hidden = false;
  button.addEventListener("click", () => {
    const large = button.closest(".card").classList.toggle("large");
    button.textContent = large ? "reduce" : "enlarge";
    button.closest(".card").scrollIntoView({ block: "nearest" });
  });
});
