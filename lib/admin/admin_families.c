/* SPDX-License-Identifier: MIT */
/* Families of OpenMetrics, and those that servers and agents have alike. */
#include "admin.h"

#include <wstunnel/version.h>

#ifdef WST_TLS_OPENSSL
static const char tls_engine[] = "openssl";
#else
static const char tls_engine[] = "mbedtls";
#endif

/* Families ----------------------------------------------------------------------------------- */

static void put_line(wst__admin_text_t *t, const char *what, const char *name, const char *text) {
    wst__admin_put(t, what);
    wst__admin_put(t, name);
    wst__admin_put(t, " ");
    wst__admin_put(t, text);
    wst__admin_put(t, "\n");
}

/* `unit`: the end of the name, or NULL. */
void wst__admin_put_family(wst__admin_text_t *t, const char *name, const char *type,
                           const char *unit, const char *help) {
    put_line(t, "# TYPE ", name, type);
    if (unit != NULL)
        put_line(t, "# UNIT ", name, unit);
    put_line(t, "# HELP ", name, help);
}

void wst__admin_put_sample(wst__admin_text_t *t, const char *name, const char *suffix,
                           uint64_t value) {
    wst__admin_put(t, name);
    wst__admin_put(t, suffix);
    wst__admin_put(t, " ");
    wst__admin_put_number(t, value);
    wst__admin_put(t, "\n");
}

void wst__admin_put_gauge(wst__admin_text_t *t, const char *name, const char *unit,
                          const char *help, uint64_t value) {
    wst__admin_put_family(t, name, "gauge", unit, help);
    wst__admin_put_sample(t, name, "", value);
}

void wst__admin_put_counter(wst__admin_text_t *t, const char *name, const char *help,
                            uint64_t value) {
    wst__admin_put_family(t, name, "counter", NULL, help);
    wst__admin_put_sample(t, name, "_total", value);
}

/* The program -------------------------------------------------------------------------------- */

int wst__admin_next_family(wst__admin_conn_t *c) {
    c->progress.section++;
    c->progress.agents = (wst__admin_walk_t){0};
    return WST__ADMIN_MORE;
}

int wst__admin_put_program(wst__admin_conn_t *c, wst__admin_text_t *t) {
    const wst_admin_t *a = c->admin;
    if (wst__admin_count_descriptors(&c->progress.descriptors))
        return WST__ADMIN_MORE;
    wst__admin_put_family(t, "wstunnel_build", "info", NULL,
                          "Version of the library, and its TLS engine.");
    wst__admin_put(t, "wstunnel_build_info{version=");
    wst__admin_put_label(t, wst_version());
    wst__admin_put(t, ",tls=");
    wst__admin_put_label(t, tls_engine);
    wst__admin_put(t, "} 1\n");
    wst__admin_put_gauge(t, "process_start_time_seconds", "seconds",
                         "When the program was started, since 1970.",
                         a->since > 0 ? (uint64_t)a->since : 0);
    wst__admin_put_gauge(t, "process_open_fds", NULL, "Open descriptors.",
                         c->progress.descriptors.open);
    wst__admin_put_gauge(t, "process_max_fds", NULL, "Most descriptors that may be open.",
                         c->progress.descriptors.limit);
    return wst__admin_next_family(c);
}

static void put_expiry(wst__admin_text_t *t, const wst_admin_t *a) {
    static const char name[] = "wstunnel_certificate_expiry_timestamp_seconds";
    int64_t expires = wst__admin_expiry(a);
    if (expires == INT64_MAX)
        return;
    wst__admin_put_family(t, name, "gauge", "seconds", "When the certificate expires, since 1970.");
    wst__admin_put(t, name);
    wst__admin_put(t, " ");
    wst__admin_put_signed(t, expires);
    wst__admin_put(t, "\n");
}

static void put_longest(wst__admin_text_t *t, uint64_t us) {
    static const char name[] = "wstunnel_loop_turn_max_seconds";
    wst__admin_put_family(t, name, "gauge", "seconds",
                          "The longest turn of the event loop so far.");
    wst__admin_put(t, name);
    wst__admin_put(t, " ");
    wst__admin_put_seconds(t, us);
    wst__admin_put(t, "\n");
}

int wst__admin_put_context(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_ctx_stats_t s = {.size = sizeof(s)};
    wst_ctx_get_stats(c->admin->ctx, &s);
    put_expiry(t, c->admin);
    wst__admin_put_gauge(t, "wstunnel_memory_used_bytes", "bytes",
                         "Memory that open streams have reserved.", s.budget_used);
    wst__admin_put_gauge(t, "wstunnel_memory_limit_bytes", "bytes", "The memory budget of streams.",
                         s.budget_limit);
    put_longest(t, s.turn_max_us);
    wst__admin_put_counter(t, "wstunnel_loop_turns", "Turns of the event loop.", s.turns);
    wst__admin_put_counter(t, "wstunnel_loop_turns_over_1ms", "Turns longer than 1 ms.",
                           s.turns_over_1ms);
    wst__admin_put_counter(t, "wstunnel_loop_turns_over_10ms", "Turns longer than 10 ms.",
                           s.turns_over_10ms);
    return wst__admin_next_family(c);
}
