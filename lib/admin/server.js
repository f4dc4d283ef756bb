// SPDX-License-Identifier: MIT
// The page of a server's operators: draws the last ten minutes, lists agents and flows.
"use strict";

const plots = {
  throughput: new Plot("Throughput", ["to clients", "to agents"], rate),
  streams: new Plot("Streams", ["open"], count),
  dials: new Plot("Time to connect", ["median", "99th percentile"], milliseconds),
  errors: new Plot("Refused a second", ["refused"], (n) => n.toFixed(1)),
};

const agents = new Table("agents", "Agents", [
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

const flows = new Table("flows", "Flows", [
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

const gone = new Table("gone", "Agents that have gone", [
  {title: "Name", value: (a) => a.name},
  {title: "Tenant", value: (a) => a.tenant, optional: true},
  {title: "Address", value: (a) => a.address},
  {title: "Ago", value: (a) => a.ago_ms, text: duration, number: true},
  {title: "Why", value: (a) => a.why},
], 3, false);

const drain = order("drain", "Drain the server",
  "Drain the server? It accepts nobody any more, and stops when open tunnels have ended.");

function showPlots(totals, health) {
  const growth = growthOf(totals);
  plots.throughput.add(growth("bytes_to_clients"), growth("bytes_to_agents"));
  plots.streams.add(totals.streams);
  plots.dials.add(health.dial_p50_ms, health.dial_p99_ms);
  plots.errors.add(growth("refused"));
}

const healthOf = (health) => [
  health.certificate_days !== null && ["Certificate", `${health.certificate_days} days left`,
                                       health.certificate_days < 14],
  ...processFacts(health),
  ["Round trip to agents", `${milliseconds(health.round_trip_p50_ms)} median, ` +
                           `${milliseconds(health.round_trip_p99_ms)} 99th percentile`],
  ...Object.entries(health.refusals).map(([kind, n]) =>
    n > 0 && [`Refused: ${kind.replaceAll("_", " ")}`, count(n)]),
];

watch("server", (status) => {
  const whole = !!status.totals; // an operator of one tenant sees no figures of the server
  showBeginning(status, several(status.agents.length, "agent"), several(status.flows.length, "flow"));
  plotsSection.hidden = healthSection.hidden = !whole;
  drain.hidden = !whole || !mayAct || status.draining;
  if (whole) {
    showPlots(status.totals, status.health);
    showHealth(...healthOf(status.health));
  }
  agents.show(status.agents);
  flows.show(status.flows);
  gone.show(status.gone);
  gone.section.hidden = status.gone.length === 0;
});
