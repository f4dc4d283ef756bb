// SPDX-License-Identifier: MIT
// The page of a server's operators: draws the last ten minutes, lists agents and flows.
"use strict";

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
