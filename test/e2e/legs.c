/* SPDX-License-Identifier: MIT */
/*
 * Dials through a proxy that wants a scheme of several legs, on the public interface:
 *
 *     legs PROXY-URL HOST PORT TOKEN...
 *
 * Each challenge is printed and answered by the next token, "Proxy-Authorization: NTLM TOKEN". What
 * the destination says is printed up to its end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include <wstunnel/wstunnel.h>

static char **tokens;
static wst_ctx_t *ctx;
static int exit_status = 1;

static void on_challenge(wst_request_t *request, void *user_data) {
    (void)user_data;
    const wst_http_header_t *field =
        wst_http_header(wst_request_head(request), "Proxy-Authenticate", NULL);
    printf("challenge: %.*s\n", field != NULL ? (int)field->value.len : 0,
           field != NULL ? field->value.ptr : "");
    if (*tokens == NULL) {
        wst_request_deny(request, 407, "no more tokens", NULL);
        return;
    }
    char fields[1024];
    snprintf(fields, sizeof(fields), "Proxy-Authorization: NTLM %s\r\n", *tokens++);
    wst_request_allow_with(request, fields);
}

static void on_closed(void *user_data) {
    (void)user_data;
    wst_ctx_close(ctx, NULL);
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream;
    (void)user_data;
    printf("%.*s", (int)data.len, (const char *)data.data);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)user_data;
    exit_status = 0;
    wst_stream_close(stream, on_closed);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)user_data;
    printf("%s\n", wst_strerror(error));
    wst_stream_close(stream, on_closed);
}

static void on_dialled(int status, wst_stream_t *stream, const wst_proxy_failure_t *failure,
                       void *user_data) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end, .on_error = on_error};
    (void)user_data;
    if (status != 0) {
        printf("%s: %s\n", wst_err_name(status), failure->detail);
        wst_ctx_close(ctx, NULL);
        return;
    }
    wst_stream_set_callbacks(stream, &callbacks, NULL);
    wst_stream_read_start(stream, 0);
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    tokens = argv + 4;
    uv_loop_t *loop = uv_default_loop();
    wst_proxy_dial_t *dial;
    const wst_proxy_dial_options_t options = {
        .size = sizeof(options),
        .proxy = &(const wst_proxy_options_t){.size = sizeof(wst_proxy_options_t),
                                              .url = argv[1],
                                              .on_challenge = on_challenge},
        .host = argv[2],
        .port = (uint16_t)atoi(argv[3])};
    if (wst_ctx_new(&ctx, loop, NULL) != 0 ||
        wst_proxy_dial(&dial, ctx, &options, NULL, on_dialled, NULL) != 0)
        return 1;
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    return exit_status;
}
