/* SPDX-License-Identifier: MIT */
#include "socks_world.h"

#include "ctx.h"

#include <stdio.h>

static void on_log(wst_log_level_t level, const char *line, void *user_data) {
    socks_world_t *s = user_data;
    size_t len = strlen(s->log);
    (void)level;
    snprintf(s->log + len, sizeof(s->log) - len, "%s\n", line);
    s->w.env.log_lines++;
}

void socks_world_init(socks_world_t *s) {
    memset(s, 0, sizeof(*s));
    server_world_init(&s->w);
    s->w.env.ctx->options.log = on_log;
    s->w.env.ctx->options.log_level = WST_LOG_DEBUG;
    s->w.headless = true;
}

const char *socks_world_listen(socks_world_t *s, unsigned roles) {
    size_t n = 0;
    assert_int_equal(wst_server_listen(s->w.server, "127.0.0.1:0", roles), 0);
    while (wst_server_address(s->w.server, n + 1) != NULL)
        n++;
    return wst_server_address(s->w.server, n);
}

void socks_world_start(socks_world_t *s) {
    server_world_start(&s->w);
    snprintf(s->address, sizeof(s->address), "%s", socks_world_listen(s, WST_ROLE_SOCKS));
    server_agent_open(&s->w, &s->a, "one", 1);
    s->log[0] = '\0';
}

void socks_world_open(socks_world_t *s) {
    socks_world_init(s);
    socks_world_start(s);
}

void socks_world_free(socks_world_t *s) {
    server_agent_close(&s->a);
    server_world_free(&s->w);
}

void socks_world_client(socks_world_t *s, server_client_t *c) {
    server_client_open_at(&s->w, c, s->address);
}

void socks_world_expect_last(server_client_t *c, const char *bytes, size_t len) {
    server_client_expect_bytes(c, bytes, len);
    server_client_expect_end(c);
    server_client_close(c);
}

void socks_world_converse(socks_world_t *s, const char *says, size_t says_len, const char *told,
                          size_t told_len) {
    server_client_t c;
    socks_world_client(s, &c);
    server_client_send(&c, says, says_len);
    socks_world_expect_last(&c, told, told_len);
}

void socks_world_assert_logged(const socks_world_t *s, const char *text) {
    if (strstr(s->log, text) == NULL)
        fail_msg("no line \"%s\" in:\n%s", text, s->log);
}
