/* SPDX-License-Identifier: MIT */
#include "agent_status.h"

#include "notify.h"

#include <stdio.h>
#include <string.h>

enum { READY_MS = 10000, SERVER_MAX = 128, TROUBLE_MAX = 160 };

static struct {
    uv_timer_t patience; /* until it is ready anyway */
    bool ready, up;
    char server[SERVER_MAX];   /* the last one connected to; before, the first one */
    char trouble[TROUBLE_MAX]; /* why the last attempt failed, or the last connection ended */
    size_t streams;
} a;

/* Without user, path and query, which may be secrets. */
static void note_server(const char *url) {
    const char *scheme_end = strstr(url, "://");
    const char *begin = scheme_end != NULL ? scheme_end + 3 : url;
    const char *end = begin + strcspn(begin, "/?#"), *host = end;
    while (host > begin && host[-1] != '@')
        host--;
    snprintf(a.server, sizeof(a.server), "%.*s%.*s", (int)(begin - url), url, (int)(end - host),
             host);
}

static void describe(char out[NOTIFY_STATUS_MAX], void *user_data) {
    (void)user_data;
    if (a.up)
        snprintf(out, NOTIFY_STATUS_MAX, "connected to %s, streams: %zu", a.server, a.streams);
    else if (a.trouble[0] != '\0')
        snprintf(out, NOTIFY_STATUS_MAX, "not connected to %s: %s", a.server, a.trouble);
    else
        snprintf(out, NOTIFY_STATUS_MAX, "connecting to %s", a.server);
}

static void become_ready(void) {
    uv_timer_stop(&a.patience);
    if (!a.ready)
        notify_ready();
    a.ready = true;
}

static void on_patience(uv_timer_t *timer) {
    (void)timer;
    become_ready();
}

int agent_status_start(uv_loop_t *loop, const char *const *urls) {
    note_server(urls[0]);
    int status = notify_start(loop, describe, NULL);
    if (status != 0)
        return status;
    uv_timer_init(loop, &a.patience);
    uv_unref((uv_handle_t *)&a.patience);
    notify_changed();
    return uv_timer_start(&a.patience, on_patience, READY_MS, 0);
}

void agent_status_connection(const wst_agent_connection_info_t *info) {
    if (info->up)
        note_server(info->url);
    notify_changed();
}

void agent_status_lost(const wst_agent_failure_t *failure) {
    a.up = false;
    snprintf(a.trouble, sizeof(a.trouble), "%s", failure->detail);
    notify_changed();
}

void agent_status_up(void) {
    a.up = true;
    become_ready();
    notify_changed();
}

void agent_status_stream(bool open) {
    a.streams = open ? a.streams + 1 : a.streams - 1;
    notify_changed();
}

void agent_status_end(void) {
    uv_close((uv_handle_t *)&a.patience, NULL);
}
