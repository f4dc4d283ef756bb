/* SPDX-License-Identifier: MIT */
#include "status_data.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>
#include <wstunnel/json.h>

/* Members ------------------------------------------------------------------------------------ */

static const char *text_of(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL ? text : "";
}

static uint64_t number_or(const cJSON *object, const char *name, uint64_t fallback) {
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(member) || !(member->valuedouble >= 0))
        return fallback;
    return member->valuedouble < 1e18 ? (uint64_t)member->valuedouble : (uint64_t)1e18;
}

static uint64_t number_of(const cJSON *object, const char *name) {
    return number_or(object, name, 0);
}

static double time_of(const cJSON *object, const char *name) {
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(member) ? member->valuedouble : -1;
}

/* Lists -------------------------------------------------------------------------------------- */

static void read_agent(status_data_t *s, const cJSON *item) {
    status_agent_t *agent = &s->agents[s->agent_count++];
    *agent = (status_agent_t){.name = text_of(item, "name"),
                              .address = text_of(item, "address"),
                              .software = text_of(item, "software"),
                              .state = text_of(item, "state"),
                              .sessions = number_of(item, "sessions"),
                              .streams = number_of(item, "streams"),
                              .uptime_ms = number_of(item, "uptime_ms"),
                              .rtt_ms = number_or(item, "rtt_ms", STATUS_UNKNOWN),
                              .bytes_to_agent = number_of(item, "bytes_to_agent"),
                              .bytes_to_client = number_of(item, "bytes_to_client")};
    s->suspended_count += strcmp(agent->state, "suspended") == 0;
}

static void read_flow(status_data_t *s, const cJSON *item) {
    status_flow_t *flow = &s->flows[s->flow_count++];
    *flow = (status_flow_t){.user = text_of(item, "user"),
                            .client = text_of(item, "client"),
                            .destination = text_of(item, "destination"),
                            .agent = text_of(item, "agent"),
                            .state = text_of(item, "state"),
                            .id = number_or(item, "id", STATUS_UNKNOWN),
                            .age_ms = number_of(item, "age_ms"),
                            .bytes_to_agent = number_of(item, "bytes_to_agent"),
                            .bytes_to_client = number_of(item, "bytes_to_client"),
                            .rate = number_of(item, "rate")};
    s->rate += flow->rate;
    s->opening_count += flow->id == STATUS_UNKNOWN;
}

/* Kinds that have not occurred are left out. */
static void read_refusal(status_data_t *s, const cJSON *item) {
    const double count = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (count >= 1 && count < 1e18)
        s->refusals[s->refusal_count++] = (status_refusal_t){item->string, (uint64_t)count};
}

static int compare_refusals(const void *left, const void *right) {
    const status_refusal_t *a = left, *b = right;
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : strcmp(a->kind, b->kind);
}

/* Makes an array for the items of a list, and reads them. `*list` is NULL: no memory. */
static void read_list(status_data_t *s, const cJSON *list, size_t size, void *array,
                      void (*read)(status_data_t *s, const cJSON *item)) {
    void *items = calloc((size_t)cJSON_GetArraySize(list) + 1, size);
    const cJSON *item;
    memcpy(array, &items, sizeof(items));
    if (items == NULL)
        return;
    cJSON_ArrayForEach(item, list) {
        read(s, item);
    }
}

/* The whole ---------------------------------------------------------------------------------- */

static void read_figures(status_data_t *s, const cJSON *health, const cJSON *totals) {
    const cJSON *days = cJSON_GetObjectItemCaseSensitive(health, "certificate_days");
    s->has_figures = cJSON_IsObject(health) && cJSON_IsObject(totals);
    s->memory_used = number_of(health, "memory_used");
    s->memory_limit = number_of(health, "memory_limit");
    s->descriptors = number_of(health, "descriptors");
    s->descriptors_limit = number_of(health, "descriptors_limit");
    s->dial_p50_ms = time_of(health, "dial_p50_ms");
    s->dial_p99_ms = time_of(health, "dial_p99_ms");
    s->round_trip_p50_ms = time_of(health, "round_trip_p50_ms");
    s->round_trip_p99_ms = time_of(health, "round_trip_p99_ms");
    s->certificate_days = cJSON_IsNumber(days) ? days->valueint : INT64_MAX;
    s->refused = number_of(totals, "refused");
    s->connections = number_of(totals, "connections");
    s->streams_opened = number_of(totals, "streams_opened");
    s->bytes_to_agents = number_of(totals, "bytes_to_agents");
    s->bytes_to_clients = number_of(totals, "bytes_to_clients");
}

static bool read_root(status_data_t *s, const cJSON *root, const char **why) {
    const cJSON *agents = cJSON_GetObjectItemCaseSensitive(root, "agents");
    const cJSON *flows = cJSON_GetObjectItemCaseSensitive(root, "flows");
    const cJSON *health = cJSON_GetObjectItemCaseSensitive(root, "health");
    if (!cJSON_IsArray(agents) || !cJSON_IsArray(flows)) {
        *why = "the answer is not the status of a wstunnel-server";
        return false;
    }
    s->version = text_of(root, "version");
    s->uptime_ms = number_of(root, "uptime_ms");
    s->draining = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "draining"));
    read_figures(s, health, cJSON_GetObjectItemCaseSensitive(root, "totals"));
    read_list(s, agents, sizeof(*s->agents), &s->agents, read_agent);
    read_list(s, flows, sizeof(*s->flows), &s->flows, read_flow);
    read_list(s, cJSON_GetObjectItemCaseSensitive(health, "refusals"), sizeof(*s->refusals),
              &s->refusals, read_refusal);
    *why = "out of memory";
    return s->agents != NULL && s->flows != NULL && s->refusals != NULL;
}

bool status_data_read(status_data_t *out, const char *text, size_t len, const char **why) {
    status_data_t s = {0};
    wst_json_error_t error;
    if (wst_json_check(text, len, &error) != 0) {
        *why = "the answer is not the JSON of a wstunnel-server";
        return false;
    }
    cJSON *root = cJSON_ParseWithLength(text, len);
    *why = "out of memory"; /* the only error left */
    s.memory = root;
    if (root == NULL || !read_root(&s, root, why)) {
        status_data_free(&s);
        return false;
    }
    qsort(s.refusals, s.refusal_count, sizeof(*s.refusals), compare_refusals);
    s.shown_count = s.flow_count;
    *out = s;
    return true;
}

void status_data_free(status_data_t *s) {
    free(s->agents);
    free(s->flows);
    free(s->refusals);
    cJSON_Delete(s->memory);
    *s = (status_data_t){0};
}

/* The order ---------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static uint64_t bytes_of(const status_flow_t *flow) {
    return flow->bytes_to_agent + flow->bytes_to_client;
}

/* Equals are in the order in which they came, so that rows do not change places idly. */
static int equals(const status_flow_t *a, const status_flow_t *b) {
    return compare_numbers(a->id, b->id);
}

static int by_rate(const void *left, const void *right) {
    const status_flow_t *a = left, *b = right;
    int order = compare_numbers(b->rate, a->rate);
    return order != 0 ? order : equals(a, b);
}

static int by_bytes(const void *left, const void *right) {
    const status_flow_t *a = left, *b = right;
    int order = compare_numbers(bytes_of(b), bytes_of(a));
    return order != 0 ? order : equals(a, b);
}

static int by_age(const void *left, const void *right) {
    const status_flow_t *a = left, *b = right;
    int order = compare_numbers(b->age_ms, a->age_ms);
    return order != 0 ? order : equals(a, b);
}

static int by_user(const void *left, const void *right) {
    const status_flow_t *a = left, *b = right;
    int order = strcmp(a->user, b->user);
    return order != 0 ? order : equals(a, b);
}

static int by_destination(const void *left, const void *right) {
    const status_flow_t *a = left, *b = right;
    int order = strcmp(a->destination, b->destination);
    return order != 0 ? order : equals(a, b);
}

static bool contains(const char *text, const char *part) {
    size_t len = strlen(part);
    for (; *text != '\0'; text++)
        if (strncasecmp(text, part, len) == 0)
            return true;
    return len == 0;
}

static bool is_shown(const status_flow_t *flow, const char *filter) {
    return contains(flow->destination, filter) || contains(flow->user, filter) ||
           contains(flow->client, filter) || contains(flow->agent, filter);
}

void status_data_arrange(status_data_t *s, status_order_t order, const char *filter) {
    static int (*const orders[])(const void *left,
                                 const void *right) = {[STATUS_BY_RATE] = by_rate,
                                                       [STATUS_BY_BYTES] = by_bytes,
                                                       [STATUS_BY_AGE] = by_age,
                                                       [STATUS_BY_USER] = by_user,
                                                       [STATUS_BY_DESTINATION] = by_destination};
    s->shown_count = 0;
    for (size_t i = 0; i < s->flow_count; i++) {
        const status_flow_t flow = s->flows[i];
        if (is_shown(&flow, filter)) {
            s->flows[i] = s->flows[s->shown_count];
            s->flows[s->shown_count++] = flow;
        }
    }
    qsort(s->flows, s->shown_count, sizeof(*s->flows), orders[order]);
}
