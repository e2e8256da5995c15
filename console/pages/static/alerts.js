// The queue's keys act on the row that they stand on when no row is checked.
const keys = new Map([...document.querySelectorAll(".bulk [data-needs-checked][data-key]")].map((button) => [button.dataset.key, button]));

document.addEventListener("keydown", (event) => {
  if (!keys.has(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input:not([type=checkbox]), select, textarea") || document.querySelector("dialog[open]")) return;
  const form = keys.get(event.key).form;
  if (form.querySelector("[data-row] input[type=checkbox]:checked")) return;
  form.querySelector("[data-row].here input[type=checkbox]")?.click(); // console.js then finds the button enabled
}, { capture: true });
