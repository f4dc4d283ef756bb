/* SPDX-License-Identifier: MIT */
/* The life of an admin (wstunnel/admin.h), its turns and deadlines, and the agents that have left.
 */
#include "admin.h"

#include "sized.h"
#include "utf8.h"

#include <string.h>

/* The end ------------------------------------------------------------------------------------ */

static void admin_gone(wst_admin_t *a) {
    if (!a->closing || a->handles > 0 || a->conn_count > 0)
        return;
    const wst_allocator_t allocator = a->allocator;
    if (a->close_cb != NULL)
        a->close_cb(a->options.user_data);
    wst__attempts_free(a->attempts);
    wst__wipe(a->key, sizeof(a->key));
    wst__free(&allocator, a->accounts);
    wst__free(&allocator, a->part);
    wst__free(&allocator, a->gone);
    wst__free(&allocator, a->rates);
    wst__free(&allocator, a);
}

static void on_admin_handle_closed(uv_handle_t *handle) {
    wst_admin_t *a = handle->data;
    a->handles--;
    admin_gone(a);
}

void wst_admin_close(wst_admin_t *a, wst_close_cb close_cb) {
    if (a->closing)
        return;
    a->closing = true;
    a->close_cb = close_cb;
    WST__LIST_EACH_SAFE(wst__admin_conn_t, c, &a->conns, node)
        wst__admin_conn_close(c);
    uv_close((uv_handle_t *)&a->timer, on_admin_handle_closed);
    uv_close((uv_handle_t *)&a->idle, on_admin_handle_closed);
}

void wst__admin_conn_gone(wst_admin_t *a, wst__list_t *node) {
    wst__list_remove(node);
    a->conn_count--;
    admin_gone(a);
}

/* Turns and deadlines ------------------------------------------------------------------------ */

/* One connection in each turn of the loop, so that others do not wait for operators. */
static void on_turn(uv_idle_t *idle) {
    wst_admin_t *a = idle->data;
    wst__admin_conn_t *c =
        wst__list_item(wst__list_first(&a->turns), offsetof(wst__admin_conn_t, turn));
    if (c == NULL) {
        uv_idle_stop(idle);
        return;
    }
    wst__list_remove(&c->turn);
    a->turn++;
    wst__admin_conn_turn(c);
}

void wst__admin_wants_turn(wst__admin_conn_t *c) {
    wst_admin_t *a = c->admin;
    wst__list_remove(&c->turn);
    wst__list_append(&a->turns, &c->turn);
    uv_idle_start(&a->idle, on_turn); /* cannot fail: it has a callback */
}

static void on_admin_timer(uv_timer_t *timer) {
    wst_admin_t *a = timer->data;
    wst__deadlines_run(&a->deadlines, wst_ctx_now(a->ctx));
}

static void on_deadlines_changed(wst__deadlines_t *deadlines) {
    wst_admin_t *a = WST__CONTAINER(deadlines, wst_admin_t, deadlines);
    uint64_t next = wst__deadlines_next(deadlines), now = wst_ctx_now(a->ctx);
    if (a->closing)
        return;
    if (next == WST__NEVER)
        uv_timer_stop(&a->timer);
    else
        uv_timer_start(&a->timer, on_admin_timer, next > now ? next - now : 0, 0);
}

/* The beginning ------------------------------------------------------------------------------ */

/* The loop's handles, which must be closed from here on. They do not keep the loop alive. */
static void init_handles(wst_admin_t *a) {
    struct uv_loop_s *loop = wst_ctx_loop(a->ctx);
    uv_timer_init(loop, &a->timer);
    uv_idle_init(loop, &a->idle);
    a->timer.data = a->idle.data = a;
    a->handles = 2;
    uv_unref((uv_handle_t *)&a->timer);
}

/* What can fail. 0 or an error. */
static int prepare_admin(wst_admin_t *a, const wst_admin_options_t *options) {
    int status = uv_random(NULL, NULL, a->key, sizeof(a->key), 0, NULL);
    if (status != 0)
        return status;
    a->part = wst__alloc(&a->allocator, WST__ADMIN_PART);
    if (a->part == NULL)
        return WST_ENOMEM;
    return options->account_count > 0
               ? wst_admin_set_accounts(a, options->accounts, options->account_count)
               : 0;
}

int wst_admin_new(wst_admin_t **out, wst_ctx_t *ctx, const wst_admin_options_t *given) {
    wst_admin_options_t options;
    uv_timeval64_t clock;
    if (wst__sized_read(&options, sizeof(options), given) != 0 ||
        (options.server == NULL) == (options.agent == NULL))
        return WST_EINVAL;
    wst_admin_t *a = wst__zalloc(wst_ctx_allocator(ctx), sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->allocator = *wst_ctx_allocator(ctx);
    a->ctx = ctx;
    a->options = options;
    a->options.accounts = NULL; /* they are copied */
    a->since_ms = wst_ctx_now(ctx);
    if (uv_gettimeofday(&clock) == 0)
        a->since = clock.tv_sec;
    a->deadlines.changed = on_deadlines_changed;
    wst__list_init(&a->conns);
    wst__list_init(&a->turns);
    int status = prepare_admin(a, &options);
    if (status != 0) {
        a->closing = true;
        admin_gone(a);
        return status;
    }
    init_handles(a);
    *out = a;
    return 0;
}

/* Whether a request of the connection is being served. One that is refused is not. */
static bool is_serving(const wst__admin_conn_t *c) {
    return c->state != WST__ADMIN_HEAD && c->state < WST__ADMIN_LINGER && c->verdict.status == 0;
}

/* Closes the oldest open connection that is not being served, if there are too many: those who stay
 * silent, or do not read why they are refused, must not keep operators out. */
static void make_place(wst_admin_t *a) {
    if (a->open_count < WST__ADMIN_CONNECTIONS)
        return;
    WST__LIST_EACH(wst__admin_conn_t, c, &a->conns, node) {
        if (c->state != WST__ADMIN_CLOSED && !is_serving(c)) {
            wst__admin_conn_close(c);
            return;
        }
    }
}

void wst_admin_serve(wst_admin_t *a, wst_stream_t *connection) {
    make_place(a);
    if (a->closing || a->open_count == WST__ADMIN_CONNECTIONS ||
        wst__admin_conn_new(a, connection) != 0)
        wst_stream_close(connection, NULL);
}

void wst_admin_note_agent_down(wst_admin_t *a, const wst_remote_t *agent,
                               const wst_agent_down_info_t *info) {
    if (a->gone == NULL)
        a->gone = wst__zalloc(&a->allocator, WST__ADMIN_GONE * sizeof(*a->gone));
    if (a->gone == NULL)
        return; /* the log has it */
    wst__admin_gone_t *g = &a->gone[a->gone_count++ % WST__ADMIN_GONE];
    const char *error = info->error != 0 ? wst_strerror(info->error) : "it left";
    wst__utf8_cut(g->name, sizeof(g->name), wst_remote_name(agent));
    wst__utf8_cut(g->instance, sizeof(g->instance), wst_remote_instance(agent));
    wst__utf8_cut(g->tenant, sizeof(g->tenant), wst_remote_tenant(agent));
    wst__utf8_cut(g->address, sizeof(g->address), wst_remote_peer(agent));
    wst__utf8_cut(g->why, sizeof(g->why),
                  info->detail != NULL && info->detail[0] != '\0' ? info->detail : error);
    g->at_ms = wst_ctx_now(a->ctx);
}
