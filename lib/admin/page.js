// SPDX-License-Identifier: MIT
// The page of an operator: asks for status.json, draws the last ten minutes, lists agents and flows.
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

// Plots -------------------------------------------------------------------------------------------

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

  add(time, values) {
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

// Tables ------------------------------------------------------------------------------------------

class Table {
  // A column: title, value(row), and optionally text(value), number, action; `optional`: it is left
  // out while it is empty.
  constructor(id, columns, sorted, descending) {
    this.columns = columns;
    this.sorted = sorted;
    this.descending = descending;
    this.rows = [];
    this.note = byId(`${id}-note`);
    this.filter = byId(`${id}-filter`);
    if (this.filter)
      this.filter.addEventListener("input", () => this.draw());
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
    byId(id).append(element("thead", {}, element("tr", {}, ...this.heads)), this.body);
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
    const words = this.filter ? this.filter.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
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
    if (this.note)
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

let mayAct = true; // until a status says otherwise

function tell(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = text === "";
}

// The page ----------------------------------------------------------------------------------------

const plots = {
  throughput: new Plot("Throughput", ["to clients", "to agents"], rate),
  streams: new Plot("Streams", ["open"], count),
  dials: new Plot("Time to connect", ["median", "99th percentile"], milliseconds),
  errors: new Plot("Refused a second", ["refused"], (n) => n.toFixed(1)),
};

const agents = new Table("agents", [
  {title: "Name", value: (a) => a.name},
  {title: "Tenant", value: (a) => a.tenant, optional: true},
  {title: "State", value: (a) => a.state},
  {title: "Address", value: (a) => a.address},
  {title: "Software", value: (a) => a.software},
  {title: "Labels", value: (a) => a.labels.join(" "), optional: true},
  {title: "Up", value: (a) => a.uptime_ms, text: duration, number: true},
  {title: "Round trip", value: (a) => a.rtt_ms, text: milliseconds, number: true},
  {title: "Streams", value: (a) => a.streams, text: count, number: true},
  {title: "To agent", value: (a) => a.bytes_to_agent, text: bytes, number: true},
  {title: "To clients", value: (a) => a.bytes_to_client, text: bytes, number: true},
  {
    title: "",
    action: ender("End", "end-agent", (a) => ({name: a.name, instance: a.instance}),
                  (a) => `End all sessions of agent ${a.name}? It may come back.`, () => true),
  },
], 0, false);

const flows = new Table("flows", [
  {title: "Number", value: (f) => f.id, text: (id) => (id !== null ? count(id) : "–"), number: true},
  {title: "User", value: (f) => f.user, optional: true},
  {title: "Tenant", value: (f) => f.tenant, optional: true},
  {title: "Client", value: (f) => f.client},
  {title: "Destination", value: (f) => f.destination},
  {title: "Address", value: (f) => f.address},
  {title: "Agent", value: (f) => f.agent},
  {title: "State", value: (f) => f.state},
  {title: "Age", value: (f) => f.age_ms, text: duration, number: true},
  {title: "To agent", value: (f) => f.bytes_to_agent, text: bytes, number: true},
  {title: "To client", value: (f) => f.bytes_to_client, text: bytes, number: true},
  {title: "Rate", value: (f) => f.rate, text: rate, number: true},
  {
    title: "",
    action: ender("End", "end-flow", (f) => ({id: f.id}),
                  (f) => `End flow ${f.id} to ${f.destination}?`, (f) => f.id !== null),
  },
], 11, true);

const gone = new Table("gone", [
  {title: "Name", value: (a) => a.name},
  {title: "Tenant", value: (a) => a.tenant, optional: true},
  {title: "Address", value: (a) => a.address},
  {title: "Ago", value: (a) => a.ago_ms, text: duration, number: true},
  {title: "Why", value: (a) => a.why},
], 3, false);

let before = null; // the last status, and when it came

function drawPlots(status) {
  const now = {time: performance.now(), totals: status.totals};
  const seconds = before === null ? 0 : (now.time - before.time) / 1000;
  const growth = (name) => (seconds > 0 && status.totals[name] >= before.totals[name]
    ? (status.totals[name] - before.totals[name]) / seconds : null);
  const {health} = status;
  plots.throughput.add(now.time, [growth("bytes_to_clients"), growth("bytes_to_agents")]);
  plots.streams.add(now.time, [status.totals.streams]);
  plots.dials.add(now.time, [health.dial_p50_ms, health.dial_p99_ms]);
  plots.errors.add(now.time, [growth("refused")]);
  before = now;
}

function drawHealth(health) {
  const rows = [];
  const add = (title, text, alarm) => rows.push(element("dt", {}, title),
    element("dd", {className: alarm ? "alarm" : ""}, text));
  const part = (title, used, limit, text) => add(title, `${text(used)} of ${text(limit)}`,
                                                 used > 0.9 * limit);
  if (health.certificate_days !== null)
    add("Certificate", `${health.certificate_days} days left`, health.certificate_days < 14);
  part("Memory of streams", health.memory_used, health.memory_limit, bytes);
  part("Descriptors", health.descriptors, health.descriptors_limit, count);
  add("Longest turn of the loop", milliseconds(health.loop.max_us / 1000),
      health.loop.max_us > 100000);
  add("Round trip to agents", `${milliseconds(health.round_trip_p50_ms)} median, ` +
    `${milliseconds(health.round_trip_p99_ms)} 99th percentile`);
  for (const [kind, n] of Object.entries(health.refusals))
    if (n > 0)
      add(`Refused: ${kind.replaceAll("_", " ")}`, count(n));
  byId("health").replaceChildren(...rows.map((_, i) => (i % 2 === 0
    ? element("div", {}, rows[i], rows[i + 1]) : null)).filter(Boolean));
}

function show(status) {
  const whole = !!status.totals; // an operator of one tenant sees no figures of the server
  mayAct = !status.operator.read_only;
  byId("version").textContent = status.version;
  byId("summary").textContent = `up ${duration(status.uptime_ms)}, ` +
    `${several(status.agents.length, "agent")}, ${several(status.flows.length, "flow")}` +
    (status.draining ? ", draining" : "");
  byId("plots-title").parentElement.hidden = !whole;
  byId("health-section").hidden = !whole;
  byId("drain").hidden = !whole || !mayAct || status.draining;
  if (whole) {
    drawPlots(status);
    drawHealth(status.health);
  }
  agents.show(status.agents);
  flows.show(status.flows);
  gone.show(status.gone);
  byId("gone-section").hidden = status.gone.length === 0;
}

let asking = false;

async function refresh() {
  if (asking)
    return;
  asking = true;
  try {
    const answer = await fetch("status.json");
    if (!answer.ok)
      throw new Error(`${answer.status} ${answer.statusText}`);
    show(await answer.json());
    tell("problem", "");
  } catch (error) {
    tell("problem", `The server does not answer (${error.message}). What is shown may be old.`);
  } finally {
    asking = false;
  }
}

byId("drain").addEventListener("click", () => act(byId("drain"), "drain", {},
  "Drain the server? It accepts nobody any more, and stops when open tunnels have ended."));
setInterval(refresh, PERIOD_MS);
refresh();
