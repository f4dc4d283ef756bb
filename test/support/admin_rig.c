/* SPDX-License-Identifier: MIT */
#include "admin_rig.h"

#include <stdio.h>

static void on_drain(wst_admin_t *admin, void *user_data) {
    (void)admin;
    ((admin_rig_t *)user_data)->drains++;
}

static void on_action(wst_admin_t *admin, const wst_admin_action_t *action, void *user_data) {
    admin_rig_t *r = user_data;
    (void)admin;
    snprintf(r->done, sizeof(r->done), "%s %s %s %zu", action->name, action->action, action->target,
             action->count);
}

static void on_closed(void *user_data) {
    ((admin_rig_t *)user_data)->closed++;
}

void admin_rig_init(admin_rig_t *r) {
    memset(r, 0, sizeof(*r));
    server_world_init(&r->w);
    r->w.admits_operators = true;
    r->options = (wst_admin_options_t){
        .size = sizeof(r->options), .on_drain = on_drain, .on_action = on_action, .user_data = r};
}

bool admin_rig_try_start(admin_rig_t *r) {
    if (r->w.env.ctx == NULL || !server_world_try_start(&r->w))
        return false;
    int status = wst_server_listen(r->w.server, "127.0.0.1:0", WST_ROLE_ADMIN);
    r->options.server = r->w.server;
    if (status == 0)
        status = wst_admin_new(&r->admin, r->w.env.ctx, &r->options);
    assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
    if (status != 0)
        return false;
    r->w.admin = r->admin;
    snprintf(r->address, sizeof(r->address), "%s", wst_server_address(r->w.server, 1));
    return true;
}

void admin_rig_start(admin_rig_t *r) {
    assert_true(admin_rig_try_start(r));
}

void admin_rig_open(admin_rig_t *r) {
    admin_rig_init(r);
    admin_rig_start(r);
}

void admin_rig_close(admin_rig_t *r) {
    if (r->admin == NULL)
        return;
    wst_admin_close(r->admin, on_closed);
    r->w.admin = NULL;
    test_env_until_count(&r->w.env, &r->closed, 1);
    r->admin = NULL;
}

void admin_rig_free(admin_rig_t *r) {
    admin_rig_close(r);
    if (r->w.server != NULL)
        server_world_free(&r->w);
    else
        test_env_close(&r->w.env);
}

void admin_rig_client(admin_rig_t *r, server_client_t *c) {
    server_client_open_at(&r->w, c, r->address);
}

static bool is_over(void *arg) {
    const server_client_t *c = arg;
    return c->ended + c->broken > 0;
}

const char *admin_rig_ask(admin_rig_t *r, const char *request, const char *fields,
                          const char *body) {
    server_client_t c;
    char text[8192], length[64] = "";
    if (body != NULL)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nConnection: close\r\n%s%s\r\n%s", request, fields,
             length, body != NULL ? body : "");
    admin_rig_client(r, &c);
    server_client_say(&c, text);
    test_env_until(&r->w.env, is_over, &c);
    snprintf(r->answer, sizeof(r->answer), "%.*s", (int)c.got_len, c.got);
    server_client_close(&c);
    return r->answer;
}

int admin_rig_status(admin_rig_t *r, const char *request, const char *fields, const char *body) {
    int status = 0;
    sscanf(admin_rig_ask(r, request, fields, body), "HTTP/1.1 %d ", &status);
    return status;
}

typedef struct awaited {
    server_client_t *client;
    const char *text;
} awaited_t;

/* Where the text begins; NULL: it has not come. */
static char *find_text(const awaited_t *a) {
    a->client->got[a->client->got_len] = '\0';
    return strstr(a->client->got, a->text);
}

static bool has_come(void *arg) {
    return find_text(arg) != NULL;
}

void admin_rig_until(admin_rig_t *r, server_client_t *c, const char *text) {
    awaited_t a = {c, text};
    test_env_until(&r->w.env, has_come, &a);
    size_t used = (size_t)(find_text(&a) - c->got) + strlen(text);
    c->got_len -= used;
    memmove(c->got, c->got + used, c->got_len);
}

void admin_rig_pass(admin_rig_t *r, uint64_t ms) {
    wst__deadlines_run(&r->admin->deadlines, wst_ctx_now(r->w.env.ctx) + ms);
}
