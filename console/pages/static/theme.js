// runs before the first paint, so that a chosen theme doesn't flash; without a choice the system's rules
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // storage may be forbidden: then the system's theme it is
}
document.documentElement.classList.add("js");
