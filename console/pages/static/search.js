// The search page: completion, the chart, rows that open in place, live tail. Each has a link or form that works without.
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const SVG = "http://www.w3.org/2000/svg";
const DRAG_MIN = 5; // pixels: less is a click
const ROWS_KEPT = 500; // of a live tail; older ones go
const COMPLETE_MS = 120; // typing is over for so long

// ---- completion of the query
function completing(input) {
  let list = null;
  let items = [];
  let at = -1;
  let asked = 0;
  let timer = 0;
  const close = () => {
    list?.remove();
    list = null;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (next) => {
    at = next;
    [...list.children].forEach((node, n) => node.setAttribute("aria-selected", String(n === at)));
    if (at < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  };
  const take = (item) => {
    input.setRangeText(item.text, item.from, item.until, "end");
    close();
    input.focus();
    if (/[:.(]$/.test(item.text)) later();
  };
  const show = (found) => {
    close();
    items = found;
    if (!items.length || document.activeElement !== input) return;
    list = document.createElement("ul");
    list.className = "suggest";
    list.id = "suggest";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Suggestions");
    items.forEach((item, n) => {
      const node = document.createElement("li");
      node.id = `suggest-${n}`;
      node.setAttribute("role", "option");
      node.setAttribute("aria-selected", "false");
      node.append(item.label);
      if (item.about) {
        const about = document.createElement("span");
        about.className = "muted";
        about.textContent = `  ${item.about}`;
        node.append(about);
      }
      node.addEventListener("mousedown", (event) => {
        event.preventDefault(); // the input keeps the focus
        take(item);
      });
      list.append(node);
    });
    input.parentElement.append(list);
    input.setAttribute("aria-expanded", "true");
  };
  const ask = async () => {
    const mine = ++asked;
    const url = new URL(input.dataset.complete, location.href);
    url.searchParams.set("q", input.value);
    url.searchParams.set("at", String([...input.value.slice(0, input.selectionStart)].length));
    try {
      const answer = await fetch(url, { headers: { accept: "application/json" }, credentials: "same-origin" });
      if (mine !== asked) return;
      show(answer.ok ? suggestions(await answer.json(), input) : []);
    } catch { /* without suggestions one types on */ }
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, COMPLETE_MS);
  };
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", "suggest"]]) input.setAttribute(name, value);
  input.addEventListener("input", later);
  input.addEventListener("blur", () => {
    clearTimeout(timer);
    asked += 1;
    close();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      ask();
    }
    if (!list) return;
    if (event.key === "ArrowDown") mark((at + 1) % items.length);
    else if (event.key === "ArrowUp") mark((at - 1 + items.length) % items.length);
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(items[at]);
    else if (event.key === "Escape") {
      close();
      event.stopPropagation();
    } else return;
    event.preventDefault();
  });
}

// characters of the server are code points, those of the page are halves of them
const unit = (text, points) => [...text].slice(0, points).join("").length;
function suggestions(found, input) {
  const from = unit(input.value, found.position);
  const until = unit(input.value, found.position + found.length);
  return found.completions.map((one) => ({ text: one.text, label: one.label ?? one.text, about: one.about ?? "", from, until }));
}

// ---- the chart: one tab stop, arrows within, and a drag that looks closer
function charted(svg) {
  const bars = $$("a", svg);
  bars.forEach((bar, n) => bar.setAttribute("tabindex", n === bars.length - 1 ? "0" : "-1"));
  svg.addEventListener("keydown", (event) => {
    const here = bars.indexOf(event.target.closest("a"));
    const next = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: bars.length - 1 }[event.key];
    if (here < 0 || next === undefined || !bars[next]) return;
    event.preventDefault();
    bars[here].setAttribute("tabindex", "-1");
    bars[next].setAttribute("tabindex", "0");
    bars[next].focus();
  });
  let start = null;
  let box = null;
  const place = (event) => {
    const frame = svg.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - frame.left) / frame.width));
  };
  const end = () => {
    box?.remove();
    box = null;
    start = null;
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.button === 0) start = { share: place(event), x: event.clientX };
  });
  svg.addEventListener("dragstart", (event) => event.preventDefault());
  svg.addEventListener("pointermove", (event) => {
    if (!start || (!box && Math.abs(event.clientX - start.x) < DRAG_MIN)) return;
    if (!box) {
      svg.setPointerCapture(event.pointerId);
      box = document.createElementNS(SVG, "rect");
      box.setAttribute("class", "selection");
      box.setAttribute("y", "0");
      box.setAttribute("height", "96");
      svg.append(box);
    }
    const [low, high] = [start.share, place(event)].sort((a, b) => a - b);
    box.setAttribute("x", String(low * 1200));
    box.setAttribute("width", String((high - low) * 1200));
  });
  svg.addEventListener("pointerup", (event) => {
    if (box) {
      const [low, high] = [start.share, place(event)].sort((a, b) => a - b);
      const first = Number(svg.dataset.first);
      const length = Number(svg.dataset.end) - first;
      const at = (share) => new Date(first + Math.round(share * length)).toISOString();
      const url = new URL(svg.dataset.zoom, location.href);
      url.searchParams.set("since", at(low));
      url.searchParams.set("until", at(Math.min(1, high + 1e-9)));
      svg.addEventListener("click", (click) => click.preventDefault(), { once: true, capture: true });
      location.assign(url);
    }
    end();
  });
  svg.addEventListener("pointercancel", end);
}

function counted() {
  const total = $("#over-time .total");
  const count = $("#count");
  const shown = Number(count?.dataset.shown);
  if (!total || !shown) return;
  const all = Number(total.dataset.total);
  const about = Number(total.dataset.sampled) > 1 ? "about " : "";
  if (all >= shown) count.textContent = `${shown.toLocaleString("en")} of ${about}${all.toLocaleString("en")} events, newest first`;
}

function overTime() {
  for (const svg of $$("#over-time svg.histogram:not([data-ready])")) {
    svg.dataset.ready = "";
    charted(svg);
  }
  counted();
}

// ---- rows that open in place
async function open(link) {
  const row = link.closest("tr");
  if (link.getAttribute("aria-expanded") === "true") {
    row.nextElementSibling?.remove();
    link.setAttribute("aria-expanded", "false");
    return;
  }
  link.setAttribute("aria-expanded", "true");
  const inside = document.createElement("tr");
  inside.className = "opened";
  const cell = inside.insertCell();
  cell.colSpan = row.cells.length;
  cell.append(Object.assign(document.createElement("p"), { className: "loading", role: "status", textContent: "Loading …" }));
  row.after(inside);
  try {
    const url = new URL(link.href);
    url.searchParams.set("around", "none");
    const answer = await fetch(url, { headers: { accept: "text/html" }, credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = $("#event", page);
    if (!found) throw new Error($(".state .title, .state h1", page)?.textContent ?? `status ${answer.status}`);
    found.removeAttribute("id");
    const heading = $("h1", found);
    if (heading) {
      const smaller = Object.assign(document.createElement("h2"), { textContent: heading.textContent });
      heading.replaceWith(smaller);
    }
    cell.replaceChildren(document.adoptNode(found));
  } catch (error) {
    cell.replaceChildren(Object.assign(document.createElement("p"), { className: "note-box bad", textContent: `This could not be loaded: ${error.message}` }));
  }
}

// ---- live tail
let source = null;
const told = { rows: 0, dropped: 0 };
function tailSays(text) {
  $("[data-tail-said]").textContent = text;
}

function tailCounts() {
  const dropped = told.dropped ? ` ${told.dropped.toLocaleString("en")} came too fast to show: narrow the query to see them all.` : "";
  tailSays(`Live: ${told.rows.toLocaleString("en")} new event${told.rows === 1 ? "" : "s"}.${dropped}`);
}

function tailFrom(button) {
  source = new EventSource(button.dataset.tail);
  source.addEventListener("ready", tailCounts);
  source.addEventListener("rows", (event) => {
    const found = JSON.parse(event.data);
    const body = $("#rows");
    if (!body) return location.reload(); // the first event of an empty page
    const made = document.createElement("template");
    made.innerHTML = `<table><tbody>${found.html}</tbody></table>`; // rendered by the server, which escapes
    body.prepend(...$$("tr", made.content));
    while (body.rows.length > ROWS_KEPT) body.lastElementChild.remove();
    told.rows += found.rows;
    told.dropped += found.dropped;
    tailCounts();
  });
  source.addEventListener("away", (event) => tailSays(`Waiting: ${JSON.parse(event.data).said} is away.`));
  source.addEventListener("end", (event) => {
    stopTail();
    $("#tail").hidden = false;
    tailSays(`Ended: ${JSON.parse(event.data).said}. Press Live tail to go on.`);
  });
  source.onerror = () => {
    if (source?.readyState !== EventSource.CLOSED) return tailSays("The connection was lost; trying again …");
    tailSays("The live tail could not be had. There may be too many at once: try again in a minute.");
    source = null;
    $("[data-tail]").setAttribute("aria-pressed", "false");
  };
}

function startTail(button) {
  button.setAttribute("aria-pressed", "true");
  $("#tail").hidden = false;
  tailSays("Waiting for new events …");
  tailFrom(button);
}

function stopTail() {
  source?.close();
  source = null;
  $("[data-tail]")?.setAttribute("aria-pressed", "false");
  $("#tail").hidden = true;
}

// ---- all together
document.addEventListener("click", (event) => {
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const link = event.target.closest?.("a[data-open], a[data-exclude], a[data-tail], [data-tail-stop], [data-permalink], [data-copy-link]");
  if (!link || !plain) return;
  if (link.matches("[data-exclude]")) {
    if (!event.altKey) return;
    event.preventDefault();
    location.assign(link.dataset.exclude);
    return;
  }
  event.preventDefault();
  if (link.matches("[data-open]")) open(link);
  else if (link.matches("[data-tail]")) {
    if (source) stopTail();
    else startTail(link);
  } else if (link.matches("[data-tail-stop]")) stopTail();
  else copyAddress(link);
});

async function copyAddress(button) {
  const text = button.href ?? location.href;
  const was = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch { // without TLS away from loopback there is no clipboard: it is shown to be copied
    window.prompt("Address", text);
  }
  setTimeout(() => { button.textContent = was; }, 1500);
}

// a hidden tab is not looked at: the stream stops, and goes on with what comes from then
document.addEventListener("visibilitychange", () => {
  const button = $("[data-tail][aria-pressed=true]");
  if (!button) return;
  if (document.hidden && source) {
    source.close();
    source = null;
    tailSays("Paused while the tab was hidden.");
  } else if (!document.hidden && !source) tailFrom(button);
});
addEventListener("pagehide", () => source?.close());

// menus close on Escape and on a click elsewhere
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  $("summary", menu).focus();
});
document.addEventListener("click", (event) => {
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

const box = $("input[data-complete]");
if (box) completing(box);
const chart = $("#over-time");
if (chart) {
  new MutationObserver(overTime).observe(chart, { childList: true });
  overTime();
}
