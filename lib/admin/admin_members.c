/* SPDX-License-Identifier: MIT */
/* Members of a status (wstunnel/admin.h), and those that servers and agents have alike. */
#include "admin.h"

#include <wstunnel/version.h>

void wst__admin_put_text_member(wst__admin_text_t *t, const char *before, const char *text) {
    wst__admin_put(t, before);
    wst__admin_put_json(t, text);
}

void wst__admin_put_number_member(wst__admin_text_t *t, const char *before, uint64_t number) {
    wst__admin_put(t, before);
    wst__admin_put_number(t, number);
}

void wst__admin_put_known_member(wst__admin_text_t *t, const char *before, uint64_t number) {
    wst__admin_put(t, before);
    if (number > 0)
        wst__admin_put_number(t, number);
    else
        wst__admin_put(t, "null");
}

void wst__admin_put_comma(wst__admin_text_t *t, wst__admin_conn_t *c) {
    if (c->progress.items++ > 0)
        wst__admin_put(t, ",");
    wst__admin_put(t, "\n");
}

int wst__admin_next_section(wst__admin_conn_t *c) {
    c->progress.section++;
    c->progress.items = 0;
    return WST__ADMIN_MORE;
}

void wst__admin_put_beginning(wst__admin_text_t *t, const wst__admin_conn_t *c, bool draining) {
    const wst_admin_t *a = c->admin;
    wst__admin_put_text_member(t, "{\"version\":", wst_version());
    wst__admin_put_number_member(t, ",\"uptime_ms\":", wst_ctx_now(a->ctx) - a->since_ms);
    wst__admin_put(t, ",\"draining\":");
    wst__admin_put_bool(t, draining);
    wst__admin_put_text_member(t, ",\"operator\":{\"name\":", c->viewer.name);
    wst__admin_put_text_member(t, ",\"tenant\":", c->viewer.tenant);
    wst__admin_put(t, ",\"read_only\":");
    wst__admin_put_bool(t, c->viewer.read_only);
    wst__admin_put(t, "}");
}

void wst__admin_put_process(wst__admin_text_t *t, const wst__admin_conn_t *c) {
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(c->admin->ctx, &stats);
    wst__admin_put_number_member(t, ",\"memory_used\":", stats.budget_used);
    wst__admin_put_number_member(t, ",\"memory_limit\":", stats.budget_limit);
    wst__admin_put_number_member(t, ",\"descriptors\":", c->progress.descriptors.open);
    wst__admin_put_number_member(t, ",\"descriptors_limit\":", c->progress.descriptors.limit);
    wst__admin_put_number_member(t, ",\"loop\":{\"turns\":", stats.turns);
    wst__admin_put_number_member(t, ",\"over_1ms\":", stats.turns_over_1ms);
    wst__admin_put_number_member(t, ",\"over_10ms\":", stats.turns_over_10ms);
    wst__admin_put_number_member(t, ",\"max_us\":", stats.turn_max_us);
    wst__admin_put(t, "}");
}
