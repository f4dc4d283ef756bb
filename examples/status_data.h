/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_STATUS_DATA_H
#define EXAMPLES_STATUS_DATA_H
/*
 * What a server's /status.json says (wstunnel/admin.h), as far as the table of `wstunnel-server
 * status` shows it. Members that are missing are 0 or "", so that servers of other releases can be
 * looked at. No I/O.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_ORDERS "rate|bytes|age|user|destination"
typedef enum status_order {
    STATUS_BY_RATE, /* the greatest first, as for bytes and age */
    STATUS_BY_BYTES,
    STATUS_BY_AGE,
    STATUS_BY_USER, /* in alphabetical order, as for destinations */
    STATUS_BY_DESTINATION
} status_order_t;

/* A time or a number that the server does not know. */
#define STATUS_UNKNOWN UINT64_MAX

typedef struct status_agent {
    const char *name, *address, *software, *state;
    uint64_t sessions, streams, uptime_ms, rtt_ms, bytes_to_agent, bytes_to_client;
} status_agent_t;

typedef struct status_flow {
    const char *user, *client, *destination, *agent, *state;
    uint64_t id; /* STATUS_UNKNOWN: it does not relay yet */
    uint64_t age_ms, bytes_to_agent, bytes_to_client, rate;
} status_flow_t;

typedef struct status_refusal {
    const char *kind;
    uint64_t count;
} status_refusal_t;

typedef struct status_data {
    void *memory; /* of the texts */
    const char *version;
    uint64_t uptime_ms;
    bool draining;

    status_agent_t *agents; /* in the server's order */
    size_t agent_count, suspended_count;
    status_flow_t *flows; /* the first `shown_count` are those that are shown, in order */
    size_t flow_count, shown_count, opening_count;
    uint64_t rate; /* of all flows */

    bool has_figures; /* those of the whole server follow: an operator of one tenant gets none */
    uint64_t memory_used, memory_limit, descriptors, descriptors_limit;
    uint64_t refused, connections, streams_opened, bytes_to_agents, bytes_to_clients;
    double dial_p50_ms, dial_p99_ms, round_trip_p50_ms, round_trip_p99_ms; /* < 0: unknown */
    int64_t certificate_days;                                              /* INT64_MAX: none */
    status_refusal_t *refusals; /* the most frequent first; those that have occurred */
    size_t refusal_count;
} status_data_t;

/* Reads a status. False: `*why` says, for people, what is wrong; nothing is to be freed. */
bool status_data_read(status_data_t *out, const char *text, size_t len, const char **why);
void status_data_free(status_data_t *s);

/* Sorts the flows, and selects those to show: all that have `filter` in their user, client,
 * destination or agent, whatever the case of its letters. "": all. */
void status_data_arrange(status_data_t *s, status_order_t order, const char *filter);

#endif
