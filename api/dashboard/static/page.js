// Improves the pages, which work without it: forms are sent without a reload, statuses stay live, tables can be sorted,
// times and numbers are shown as the reader's browser writes them.

const parser = new DOMParser();

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
  for (const data of root.querySelectorAll("data[value]")) {
    const percent = { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 };
    const format = data.classList.contains("percent") ? percent : {};
    data.textContent = new Intl.NumberFormat(undefined, format).format(Number(data.value));
  }
}

function sortKey(cell) {
  const number = cell.querySelector("data")?.value;
  return number === undefined ? (cell.querySelector("time")?.dateTime ?? cell.textContent.trim()) : Number(number);
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function makeSortable(root) {
  for (const heading of root.querySelectorAll("table[data-sortable] th:not([data-fixed])")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
  }
}

function sort(heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = heading.closest("table").tBodies[0];
  const key = (row) => sortKey(row.cells[heading.cellIndex]);
  const rows = [...body.rows].sort((a, b) => compare(key(a), key(b)) * (descending ? -1 : 1));
  body.append(...rows);
}

// A value of the source becomes a button that adds it to the filter, or removes it.
function makeValuesButtons(root) {
  for (const item of root.querySelectorAll(".values li")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes);
    item.append(button);
  }
  markChosen(root);
}

function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter((line) => line);
}

function markChosen(root) {
  for (const button of root.querySelectorAll(".values button")) {
    const field = document.getElementById(button.closest(".values").dataset.for);
    button.setAttribute("aria-pressed", lines(field?.value ?? "").includes(button.textContent));
  }
}

function choose(button) {
  const field = document.getElementById(button.closest(".values").dataset.for);
  const [value, chosen] = [button.textContent, lines(field.value)];
  field.value = (chosen.includes(value) ? chosen.filter((line) => line !== value) : [...chosen, value]).join("\n");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// On a narrow screen the menu scrolls: the page that is shown has to be in sight.
function showWhereWeAre(root) {
  const nav = root.querySelector("header nav");
  const here = nav?.querySelector("[aria-current]");
  if (here) nav.scrollLeft = here.offsetLeft - nav.offsetLeft - 16;
}

function improve(root) {
  localise(root);
  makeSortable(root);
  makeValuesButtons(root);
}

// Replaces an element by the one with the same id in another document.
function replace(id, page) {
  const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
  if (!old || !fresh) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id || document.activeElement.name : "";
  improve(fresh);
  old.replaceWith(fresh);
  if (focused) fresh.querySelector(`[id="${focused}"], [name="${focused}"]`)?.focus();
}

async function fetched(url, options) {
  const answer = await fetch(url, { credentials: "same-origin", ...options });
  if (!answer.headers.get("content-type")?.startsWith("text/html")) throw new TypeError("not a page");
  return { answer, page: parser.parseFromString(await answer.text(), "text/html") };
}

function submission(form, submitter, more = {}) {
  const body = new URLSearchParams(new FormData(form, submitter));
  for (const [name, value] of Object.entries(more)) body.set(name, value);
  return { method: "POST", body };
}

async function send(form, submitter) {
  const sent = submission(form, submitter);
  const buttons = [...form.querySelectorAll("button:enabled")];
  form.setAttribute("aria-busy", "true");
  for (const button of buttons) button.disabled = true;
  try {
    const { answer, page } = await fetched(form.action, sent);
    document.title = page.title;
    // The page of a form has the URL of the form's own page, so that a reload does not send the form again.
    if (answer.redirected) history.pushState(null, "", answer.url);
    show(page);
  } catch {
    // The form may have been carried out, so it is not sent again.
    form.removeAttribute("aria-busy");
    for (const button of buttons) button.disabled = false;
    const problem = document.createElement("p");
    problem.className = "notice bad";
    problem.textContent = document.body.dataset.away;
    document.getElementById("alert").replaceChildren(problem);
  }
}

function show(page) {
  improve(page);
  document.body.replaceChildren(...page.body.childNodes);
  showWhereWeAre(document);
  const target = document.querySelector('[aria-invalid="true"]') ?? document.getElementById("main");
  target?.focus();
  window.scrollTo(0, 0);
  poll();
}

let timer;
function poll() {
  clearTimeout(timer);
  const seconds = document.getElementById("live")?.dataset.poll;
  if (seconds) timer = setTimeout(refresh, Number(seconds) * 1000);
}

async function refresh() {
  try {
    if (!document.hidden) {
      const { page } = await fetched(location.href);
      replace("live", page);
    }
  } catch {
    // The next attempt may succeed; meanwhile the page shows the last known status.
  }
  poll();
}

// Sends the form of a segment for a part of its page, "preview" or "values", which changes nothing.
async function fill(form, part) {
  try {
    const { answer, page } = await fetched(form.dataset.preview, submission(form, null, { [part]: "1" }));
    replace(answer.ok ? part : "alert", page);
  } catch {
    // The next change of the form tries again.
  }
}

let typing;
function fillSoon(form) {
  clearTimeout(typing);
  typing = setTimeout(() => fill(form, "preview"), 600);
}

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (form.method !== "post" || submitter?.hasAttribute("data-reload") || form.action.endsWith("/sign-out")) return;
  if (new URL(form.action).pathname === "/sign-in") return;
  event.preventDefault();
  if (["preview", "values"].includes(submitter?.name)) fill(form, submitter.name);
  else send(form, submitter);
});
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-preview]");
  if (!form) return;
  markChosen(form);
  if (!["name", "description"].includes(event.target.name)) fillSoon(form);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("table[data-sortable] th button");
  if (button) sort(button.closest("th"));
  const value = event.target.closest(".values button");
  if (value) choose(value);
});
window.addEventListener("popstate", () => location.reload());

improve(document);
showWhereWeAre(document);
poll();
