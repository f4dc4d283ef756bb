// SPDX-License-Identifier: MIT
// The page of an agent's operators: its connections to servers, and its streams.
"use strict";

const plots = {
  throughput: new Plot("Throughput", ["to destinations", "to servers"], rate),
  streams: new Plot("Streams", ["open", "being opened"], count),
  trips: new Plot("Round trip", ["least", "greatest"], milliseconds),
  errors: new Plot("Refused a second", ["refused"], (n) => n.toFixed(1)),
};

const ifAny = (ms) => (ms > 0 ? duration(ms) : "");

const connections = new Table("connections", "Connections", [
  {title: "Number", value: (c) => c.conn, text: count, number: true},
  {title: "Server", value: (c) => c.server},
  {title: "Address", value: (c) => c.address, optional: true},
  {title: "State", value: (c) => c.state},
  {title: "Up", value: (c) => c.up_ms, text: ifAny, number: true},
  {title: "Lost", value: (c) => c.outage_ms, text: ifAny, number: true, optional: true},
  {title: "Tries again in", value: (c) => c.retry_in_ms, text: ifAny, number: true, optional: true},
  {title: "Round trip", value: (c) => c.rtt_ms, text: milliseconds, number: true},
  {title: "Streams", value: (c) => c.streams, text: count, number: true},
  {title: "To destinations", value: (c) => c.bytes_to_destinations, text: bytes, number: true},
  {title: "To server", value: (c) => c.bytes_to_server, text: bytes, number: true},
], 0, false);

const streams = new Table("streams", "Streams", [
  {title: "Number", value: (s) => s.id, text: count, number: true},
  {title: "Destination", value: (s) => s.destination},
  {title: "State", value: (s) => s.state},
  {title: "Age", value: (s) => s.age_ms, text: duration, number: true},
  {title: "To destination", value: (s) => s.bytes_to_destination, text: bytes, number: true},
  {title: "To server", value: (s) => s.bytes_to_server, text: bytes, number: true},
  {title: "Rate", value: (s) => s.rate, text: rate, number: true},
  {
    title: "",
    action: ender("End", "end-stream", (s) => ({id: s.id}),
                  (s) => `End stream ${s.id} to ${s.destination}?`, () => true),
  },
], 6, true);

const orders = [
  order("reconnect", "Reconnect",
        "Try other connections to the servers? The present ones stay until those are up."),
  order("drain", "Drain the agent",
        "Drain the agent? It takes no more streams, and ends when open ones have ended."),
];

watch("agent", (status) => {
  const {totals, health} = status;
  const growth = growthOf(totals);
  const trips = status.connections.map((c) => c.rtt_ms).filter((ms) => ms !== null);
  const up = status.connections.filter((c) => c.state === "up").length;
  showBeginning(status, `${up} of ${several(status.connections.length, "connection")} up`,
                several(status.streams.length, "stream"));
  document.title = byId("program").textContent = `wstunnel-agent ${status.agent}`;
  for (const button of orders)
    button.hidden = !mayAct || status.draining;
  plots.throughput.add(growth("bytes_to_destinations"), growth("bytes_to_server"));
  plots.streams.add(totals.streams - totals.pending, totals.pending);
  plots.trips.add(...(trips.length > 0 ? [Math.min(...trips), Math.max(...trips)] : [null, null]));
  plots.errors.add(growth("streams_refused"));
  showHealth(...processFacts(health), ["Names being looked up", count(health.names)],
             ["Streams opened", count(totals.streams_opened)],
             ["Streams refused", count(totals.streams_refused)],
             ["Connections lost with streams", count(totals.suspensions)],
             ["Connections resumed", count(totals.resumes)]);
  connections.show(status.connections);
  streams.show(status.streams);
  return status.up ? "" : "No connection to a server is up.";
});
