// What makes pages quicker to use; each reads and works without it. Attributes are listed in macros.html.
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
function make(name, props = {}, ...children) {
  const node = Object.assign(document.createElement(name), props);
  node.append(...children);
  return node;
}

// ---- theme: system → light → dark
const THEMES = ["system", "light", "dark"];
function theme(next) {
  let now = document.documentElement.dataset.theme ?? "system";
  if (next) {
    now = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    if (now === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = now;
    try {
      localStorage.setItem("theme", now);
    } catch { /* then it holds for this page */ }
  }
  for (const button of $$("[data-theme-switch]")) Object.assign(button, { hidden: false, textContent: `Theme: ${now}` });
}

// ---- copying
async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // without TLS away from loopback there is no clipboard but this
    const area = make("textarea", { value: text });
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1500);
}

// ---- dialogs
function dialog(title, body, actions) {
  const box = make("dialog", {}, make("h2", { textContent: title, id: "dialog-title" }), body, make("p", { className: "actions" }, ...actions));
  box.setAttribute("aria-labelledby", "dialog-title");
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

function confirmed(form, submitter) {
  const yes = make("button", { className: "button primary", textContent: submitter?.textContent.trim() || "Yes", autofocus: true });
  const no = make("button", { className: "button", textContent: "Cancel" });
  const box = dialog(form.dataset.confirm, make("p", { textContent: form.dataset.confirmText ?? "" }), [no, yes]);
  no.onclick = () => box.close();
  yes.onclick = () => {
    box.close();
    form.dataset.confirmed = "yes";
    form.requestSubmit(submitter);
  };
}

function help() {
  if ($("dialog[open]")) return;
  const list = make("dl", { className: "keys" });
  const add = (key, does) => list.append(make("dt", {}, make("kbd", { textContent: key })), make("dd", { textContent: does }));
  if ($("[data-search]")) add("/", "Search");
  if ($("[data-row]")) {
    add("j", "Next row");
    add("k", "Row before");
    add("Enter", "Open the row");
    if ($("[data-row] input[type=checkbox]")) add("x", "Check the row");
  }
  const seen = new Set();
  for (const node of $$("[data-key]")) {
    if (seen.has(node.dataset.key) || !node.checkVisibility()) continue;
    seen.add(node.dataset.key);
    add(node.dataset.key, (node.getAttribute("aria-label") ?? node.textContent).trim() || node.name);
  }
  $$(".top nav a").forEach((link, at) => add(`g ${at + 1}`, link.textContent.trim()));
  add("?", "These keys");
  const close = make("button", { className: "button", textContent: "Close", onclick: () => box.close() });
  const box = dialog("Keys", list, [close]);
}

// ---- keys
let [here, before] = [-1, ""];
function walk(step) {
  const rows = $$("[data-row]");
  if (!rows.length) return;
  rows[here]?.classList.remove("here");
  here = Math.max(0, Math.min(rows.length - 1, here + step));
  rows[here].classList.add("here");
  rows[here].scrollIntoView({ block: "nearest" });
  ($("a[href], summary, button", rows[here]) ?? rows[here]).focus({ preventScroll: true });
}

function press(event) {
  const key = event.key;
  const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
  if (key === "Escape" && typing) event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  const [row, last] = [$$("[data-row]")[here], before];
  before = key;
  if (last === "g" && /^[1-9]$/.test(key)) $$(".top nav a")[key - 1]?.click();
  else if (key === "/") ($("main [data-search]") ?? $("[data-search]"))?.focus();
  else if (key === "?") help();
  else if (key === "j" || key === "k") walk(key === "j" ? 1 : -1);
  else if (key === "x" && row) $("input[type=checkbox]", row)?.click();
  else {
    const target = $$("[data-key]").find((node) => node.dataset.key === key && node.checkVisibility());
    if (!target || target.disabled) return;
    if (target.matches("input, select, textarea")) target.focus();
    else target.click();
  }
  event.preventDefault();
}

// ---- parts that are fetched
async function part(url, select) {
  const answer = await fetch(url, { headers: { accept: "text/html" }, credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok) throw new Error($(".state p", page)?.textContent.trim() || `status ${answer.status}`);
  if (answer.redirected && new URL(answer.url).pathname === "/login") throw new Error("You are logged out: load the page again");
  const found = select ? $(select, page) : ($("#main", page) ?? page.body);
  if (!found) throw new Error("The page has no such part");
  return found;
}

async function load(node) {
  if (node.dataset.loaded === "now") return;
  node.dataset.loaded = "now";
  const into = node.matches("details") ? ($("[data-into]", node) ?? node.appendChild(make("div"))) : node;
  into.replaceChildren(make("p", { className: "loading", role: "status", textContent: "Loading …" }));
  try {
    into.replaceChildren(...(await part(node.dataset.load, node.dataset.select)).childNodes);
    node.dataset.loaded = "yes";
    ready(into);
  } catch (error) {
    const again = make("button", { type: "button", className: "button", textContent: "Try again", onclick: () => load(node) });
    into.replaceChildren(make("div", { className: "state bad" },
      make("p", { className: "title", textContent: "This could not be loaded" }), make("p", { textContent: error.message }), again));
    node.dataset.loaded = "failed";
  }
}

function isInUse(node) {
  return document.hidden || node.contains(document.activeElement) || $("dialog[open], [data-row] input:checked, details[open]:not([data-was-open])", node)
    || (getSelection()?.toString() && node.contains(getSelection().anchorNode));
}

function refresh(node) {
  const timer = setInterval(async () => {
    if (!node.isConnected) return clearInterval(timer);
    if (isInUse(node)) return;
    try {
      const fresh = await part(node.dataset.load ?? location.href, node.dataset.load ? node.dataset.select : `#${CSS.escape(node.id)}`);
      if (!isInUse(node)) node.replaceChildren(...fresh.childNodes);
      node.classList.remove("stale");
      ready(node);
    } catch {
      node.classList.add("stale"); // what is shown stays, greyed, until it can be had again
    }
  }, Math.max(2, Number(node.dataset.refreshS)) * 1000);
}

// ---- boxes of rows
let lastBox = null;
function count(form) {
  const n = $$("[data-row] input[type=checkbox]:checked", form).length;
  for (const node of $$("[data-checked]", form)) node.textContent = n.toLocaleString("en");
  for (const node of $$("[data-needs-checked]", form)) node.disabled = n === 0;
}

function checked(event) {
  const box = event.target;
  if (!box.matches?.("input[type=checkbox]")) return;
  const scope = box.closest("form") ?? document;
  if (box.hasAttribute("data-check-all")) {
    for (const one of $$("[data-row] input[type=checkbox]", box.closest("table"))) one.checked = box.checked;
  } else if (!box.closest("[data-row]")) return;
  count(scope);
}

function range(event) {
  if (!event.target.matches?.("[data-row] input[type=checkbox]")) return;
  const boxes = $$("[data-row] input[type=checkbox]", event.target.closest("table, form") ?? document);
  const [from, to] = [boxes.indexOf(lastBox), boxes.indexOf(event.target)].sort((a, b) => a - b);
  if (event.shiftKey && from >= 0) for (const one of boxes.slice(from, to + 1)) one.checked = event.target.checked;
  lastBox = event.target;
}

// ---- forms
function submit(event) {
  const form = event.target;
  if (form.dataset.confirm && form.dataset.confirmed !== "yes") {
    event.preventDefault();
    confirmed(form, event.submitter);
    return;
  }
  delete form.dataset.confirmed;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent === "yes") return event.preventDefault();
  form.dataset.sent = "yes";
  for (const button of $$("button", form)) button.setAttribute("aria-busy", "true");
  setTimeout(() => unsent(form), 8000); // a download leaves the page where it is
}

function unsent(form) {
  delete form.dataset.sent;
  for (const button of $$("[aria-busy]", form)) button.removeAttribute("aria-busy");
}

function ready(within) {
  for (const node of $$("details[open]", within)) node.dataset.wasOpen = "";
  for (const node of $$("[data-load]", within)) {
    if (node.matches("details")) node.addEventListener("toggle", () => node.open && node.dataset.loaded !== "yes" && load(node));
    else if (!node.dataset.loaded) load(node);
  }
  for (const form of $$("form", within)) if ($("[data-needs-checked], [data-checked]", form)) count(form);
}

document.addEventListener("click", (event) => {
  const found = event.target.closest?.("[data-copy], [data-theme-switch], [data-keys]");
  if (found?.dataset.copy !== undefined) copy(found);
  else if (found?.hasAttribute("data-theme-switch")) theme(true);
  else if (found) help();
  range(event);
});
document.addEventListener("change", (event) => {
  checked(event);
  if (event.target.matches?.("select[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("submit", submit);
document.addEventListener("keydown", press);
// the local time is worked out when it is asked for: a page may have thousands
document.addEventListener("mouseover", (event) => {
  const time = event.target.closest?.("time[datetime]:not([data-told])");
  const at = time && new Date(time.dateTime);
  if (!at || Number.isNaN(at.getTime())) return;
  time.dataset.told = "";
  time.title = `${time.dateTime}\n${at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" })} (here)`;
});
addEventListener("pageshow", () => $$("form[data-sent]").forEach(unsent));
theme(false);
for (const node of $$("[data-keys]")) node.hidden = false;
for (const node of $$("[data-refresh-s]")) refresh(node);
$(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
ready(document);
