// SPDX-License-Identifier: MIT
// What the pages of operators have in common: sections, plots, tables, actions. view.js says what is
// in them, and shows a status: server.js or agent.js, whichever is served by that name.
"use strict";

const PERIOD_MS = 2000;
const SHOWN_MS = 600000; // by a plot
const ROWS = 500; // of a table, so that ten thousand flows do not stop the browser

const byId = (id) => document.getElementById(id);

// Texts -------------------------------------------------------------------------------------------

function inUnits(value, units, step) {
  let i = 0;
  while (value >= step && i < units.length - 1) {
    value /= step;
    i++;
  }
  const digits = value >= 100 || i === 0 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[i]}`;
}

const bytes = (n) => inUnits(n, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
const rate = (n) => `${bytes(n)}/s`;
const count = (n) => n.toLocaleString("en");
const several = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
const milliseconds = (n) => (n === null ? "–" : n < 1000 ? `${n < 10 ? n.toFixed(1) : n.toFixed(0)} ms`
                                      : `${(n / 1000).toFixed(1)} s`);

function duration(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60)
    return `${s} s`;
  if (s < 3600)
    return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400)
    return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Appends a section to the page.
function section(id, title, ...content) {
  const made = element("section", {}, element("h2", {id: `${id}-title`}, title), ...content);
  made.setAttribute("aria-labelledby", `${id}-title`);
  byId("main").append(made);
  return made;
}

function tell(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = text === "";
}

// Plots -------------------------------------------------------------------------------------------

const plotsSection = section("plots", "The last ten minutes", element("div", {id: "plots"}));
const WIDTH = 300, HEIGHT = 100;

class Plot {
  constructor(title, names, format) {
    this.format = format;
    this.samples = []; // {time, values}; a value that is not known is null and leaves a gap
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true"); // the captions say the latest values
    for (const y of [0.5, HEIGHT / 2, HEIGHT - 0.5])
      svg.append(this.shape("line", {x1: 0, x2: WIDTH, y1: y, y2: y}));
    this.paths = names.map((_, i) => this.shape("path", {class: `series-${i}`}));
    svg.append(...this.paths);
    this.top = element("span", {className: "top"});
    this.values = names.map((name, i) => element("span", {className: `series-${i}`}, name));
    this.names = names;
    const caption = element("figcaption", {}, element("strong", {}, this.top, title),
                            ...this.values);
    byId("plots").append(element("figure", {}, caption, svg));
  }

  shape(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes))
      made.setAttribute(key, value);
    return made;
  }

  add(...values) {
    const time = performance.now();
    this.samples.push({time, values});
    while (this.samples[0].time < time - SHOWN_MS)
      this.samples.shift();
    const most = Math.max(...this.samples.flatMap((sample) => sample.values), 0); // null counts as 0
    this.top.textContent = most > 0 ? `up to ${this.format(most)}` : "";
    values.forEach((value, i) => {
      this.paths[i].setAttribute("d", this.line(i, time, most || 1));
      this.values[i].textContent = `${this.names[i]} ${value === null ? "–" : this.format(value)}`;
    });
  }

  line(i, now, most) {
    let path = "", pen = "M";
    for (const {time, values} of this.samples) {
      if (values[i] === null) {
        pen = "M";
        continue;
      }
      const x = WIDTH * (1 - (now - time) / SHOWN_MS);
      const y = HEIGHT - 1 - values[i] / most * (HEIGHT - 4);
      path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
    }
    return path;
  }
}

let before = null; // the last totals, and when they came

// How fast each total grows in a second; null: not known.
function growthOf(totals) {
  const last = before, time = performance.now();
  const seconds = last === null ? 0 : (time - last.time) / 1000;
  before = {time, totals};
  return (name) => (seconds > 0 && totals[name] >= last.totals[name]
    ? (totals[name] - last.totals[name]) / seconds : null);
}

// Health ------------------------------------------------------------------------------------------

const healthSection = section("health", "Health", element("dl", {id: "health"}));

// Facts: title, text, and whether it is an alarm; false ones are left out.
function showHealth(...facts) {
  byId("health").replaceChildren(...facts.filter(Boolean).map(([title, text, alarm]) =>
    element("div", {}, element("dt", {}, title),
            element("dd", {className: alarm ? "alarm" : ""}, text))));
}

const part = (title, used, limit, text) => [title, `${text(used)} of ${text(limit)}`,
                                            used > 0.9 * limit];

const processFacts = (health) => [
  part("Memory of streams", health.memory_used, health.memory_limit, bytes),
  part("Descriptors", health.descriptors, health.descriptors_limit, count),
  ["Longest turn of the loop", milliseconds(health.loop.max_us / 1000), health.loop.max_us > 100000],
];

// Tables ------------------------------------------------------------------------------------------

class Table {
  // A column: title, value(row), and optionally text(value), number, action; `optional`: it is left
  // out while it is empty.
  constructor(id, title, columns, sorted, descending) {
    this.columns = columns;
    this.sorted = sorted;
    this.descending = descending;
    this.rows = [];
    this.note = element("p", {className: "note"});
    this.filter = element("input", {id: `${id}-filter`, type: "search", autocomplete: "off",
                                    oninput: () => this.draw()});
    this.heads = this.columns.map((column, i) => {
      const head = element("th", {scope: "col"});
      if (column.number)
        head.className = "number";
      if (column.value)
        head.append(element("button", {type: "button", onclick: () => this.sortBy(i)},
                            column.title));
      else
        head.append(column.title);
      return head;
    });
    this.body = element("tbody");
    const scroll = element("div", {className: "scroll", tabIndex: 0},
                           element("table", {id}, element("thead", {}, element("tr", {}, ...this.heads)),
                                   this.body));
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-labelledby", `${id}-title`);
    this.section = section(id, title, element("label", {}, "Filter ", this.filter), scroll, this.note);
  }

  sortBy(i) {
    this.descending = i === this.sorted ? !this.descending : !!this.columns[i].number;
    this.sorted = i;
    this.draw();
  }

  show(rows) {
    this.rows = rows;
    this.draw();
  }

  chosen() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const textOf = (row) => this.columns.map((column) => this.text(column, row)).join(" ")
      .toLowerCase();
    const rows = words.length === 0
      ? this.rows.slice()
      : this.rows.filter((row) => {
        const text = textOf(row);
        return words.every((word) => text.includes(word));
      });
    const {value} = this.columns[this.sorted];
    const sign = this.descending ? -1 : 1;
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b); // null is 0
    return rows.sort((a, b) => sign * compare(value(a), value(b)));
  }

  text(column, row) {
    if (!column.value)
      return "";
    const value = column.value(row);
    return column.text ? column.text(value, row) : String(value);
  }

  cell(column, row) {
    const text = this.text(column, row);
    const cell = element("td", {className: column.number ? "number" : "", title: text}, text);
    if (column.action && column.action.applies(row))
      cell.replaceChildren(column.action.button(row));
    return cell;
  }

  draw() {
    const active = document.activeElement;
    if (this.body.contains(active) && active.tagName === "BUTTON")
      return; // do not take the button away from under a hand
    this.heads.forEach((head, i) => {
      if (i === this.sorted)
        head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else
        head.removeAttribute("aria-sort");
    });
    const columns = this.columns.filter((column) => !column.optional ||
      this.rows.some((row) => this.text(column, row) !== ""));
    this.columns.forEach((column, i) => {
      this.heads[i].hidden = !columns.includes(column); // not taken away: it may have the focus
    });
    const rows = this.chosen();
    const shown = rows.slice(0, ROWS);
    this.body.replaceChildren(...shown.map((row) => element("tr", {},
      ...columns.map((column) => this.cell(column, row)))));
    this.note.textContent = rows.length === 0 ? "None." :
      rows.length > ROWS ? `${count(ROWS)} of ${count(rows.length)}; filter to see others.` : "";
  }
}

// Actions -----------------------------------------------------------------------------------------

async function post(path, form) {
  const answer = await fetch(path, {
    method: "POST",
    headers: {"Wstunnel-Admin": "1"},
    body: new URLSearchParams(form),
  }).catch((error) => ({ok: false, status: 0, text: async () => error.message}));
  tell("refused", answer.ok ? "" : `${answer.status || "No answer"}: ` +
                                   (await answer.text()).trim());
}

async function act(button, path, form, question) {
  if (confirm(question))
    await post(path, form);
  button.blur(); // or its table would not be drawn any more
  refresh();
}

const ender = (title, path, form, question, applies) => ({
  applies: (row) => mayAct && applies(row),
  button: (row) => element("button", {
    type: "button",
    onclick: (event) => act(event.currentTarget, path, form(row), question(row)),
  }, title),
});

// Adds a button to the head of the page.
function order(path, title, question) {
  const button = element("button", {type: "button", id: path, hidden: true,
                                    onclick: () => act(button, path, {}, question)}, title);
  document.querySelector("header").append(button);
  return button;
}

let mayAct = true; // until a status says otherwise

// The page ----------------------------------------------------------------------------------------

let program, show, asking = false;

// What the members say that every status has, and more facts for the summary.
function showBeginning(status, ...facts) {
  mayAct = !status.operator.read_only;
  byId("main").hidden = false;
  byId("version").textContent = status.version;
  byId("summary").textContent = [`up ${duration(status.uptime_ms)}`, ...facts,
                                 ...(status.draining ? ["draining"] : [])].join(", ");
}

async function refresh() {
  if (asking)
    return;
  asking = true;
  try {
    const answer = await fetch("status.json");
    if (!answer.ok)
      throw new Error(`${answer.status} ${answer.statusText}`);
    tell("problem", show(await answer.json()) ?? "");
  } catch (error) {
    tell("problem", `The ${program} does not answer (${error.message}). What is shown may be old.`);
  } finally {
    asking = false;
  }
}

// Has a function show the status of a "server" or "agent" now and again; it returns what is wrong, or
// nothing.
function watch(what, by) {
  program = what;
  show = by;
  document.title = byId("program").textContent = `wstunnel-${program}`;
  setInterval(refresh, PERIOD_MS);
  refresh();
}
