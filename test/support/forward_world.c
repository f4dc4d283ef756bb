/* SPDX-License-Identifier: MIT */
/* The world of the tests of forwarding. */
#include "forward_world.h"

#include "server.h"

#include <stdio.h>

void forward_init(forward_t *f) {
    memset(f, 0, sizeof(*f));
    server_world_init(&f->w);
}

void forward_start(forward_t *f) {
    server_world_start(&f->w);
    server_agent_open(&f->w, &f->a, "one", 1);
    server_client_open(&f->w, &f->c);
}

void forward_open(forward_t *f) {
    forward_init(f);
    forward_start(f);
}

void forward_close(forward_t *f) {
    if (!f->c.closed)
        server_client_close(&f->c);
    server_agent_close(&f->a);
    server_world_free(&f->w);
}

/* With the server's name in place of '@'. */
static void fill_in(const forward_t *f, char *out, size_t size, const char *text) {
    size_t len = 0;
    out[0] = '\0';
    for (; *text != '\0' && len < size; text++)
        len += (size_t)(*text == '@' ? snprintf(out + len, size - len, "%s", f->w.server->pseudonym)
                                     : snprintf(out + len, size - len, "%c", *text));
    assert_true(len < size);
}

void forward_expect(forward_t *f, const char *text) {
    char filled[4096];
    fill_in(f, filled, sizeof(filled), text);
    server_client_expect(&f->c, filled);
}

void forward_expect_end(forward_t *f) {
    server_client_expect_end(&f->c);
    server_client_close(&f->c);
}

void forward_expect_reset(forward_t *f) {
    server_client_expect_reset(&f->c);
    server_client_close(&f->c);
}

void forward_asked(forward_t *f, const char *text) {
    char filled[4096];
    fill_in(f, filled, sizeof(filled), text);
    server_agent_expect(&f->a, filled);
}

void forward_reply(forward_t *f, const char *text) {
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, f->w.env.ctx, text, strlen(text)), 0);
    assert_true(wst_stream_write(f->a.stream, &slice, 1) >= 0);
}

void forward_end(forward_t *f) {
    assert_int_equal(wst_stream_shutdown(f->a.stream), 0);
}

void forward_reset(forward_t *f) {
    wst_stream_reset(f->a.stream, WST_ERESET, NULL);
    f->a.stream = NULL;
}

void forward_get(forward_t *f) {
    server_client_say(&f->c, FORWARD_GET);
    forward_asked(f, FORWARD_GOT);
    forward_reply(f, FORWARD_OK);
    forward_expect(f, FORWARD_OK_SENT);
}

void forward_expect_refusal(forward_t *f, int status, const char *reason, const char *error,
                            const char *detail) {
    char body[512], text[1024];
    bool more = detail[0] != '\0';
    snprintf(body, sizeof(body), "%s\n%s%s", reason, detail, more ? "\n" : "");
    snprintf(text, sizeof(text),
             "HTTP/1.1 %d %s\r\nProxy-Status: libwstunnel; error=%s; details=\"%s\"\r\n%s"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s",
             status, reason, error, more ? detail : reason,
             status == 503 ? "Retry-After: 5\r\n" : "", strlen(body), body);
    server_client_expect(&f->c, text);
    forward_expect_end(f);
}
