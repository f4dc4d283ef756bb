/* SPDX-License-Identifier: MIT */
/*
 * A database in a private network, for clients that know no proxy: a server of your own with a port
 * that leads to it. The program logs each connection: when it opens, how long it lasts, its bytes.
 *
 *     ./database 127.0.0.1:8080 unix:/run/db/.s.PGSQL.5432 db.intranet:5432
 *     wstunnel-agent ws://127.0.0.1:8080
 *     psql --host /run/db
 *
 * The port is a Unix socket where psql looks for one, so the directory's permissions say who may
 * use it; "127.0.0.1:5432" is a port of TCP. The bytes are not looked at: any protocol passes, and
 * the database asks for its own password. On SIGTERM open sessions may finish, for 30 s. Agents on
 * other machines need credentials (access.h); without, wst_server_listen() refuses their address.
 */
#include <signal.h>
#include <stdio.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

static wst_ctx_t *ctx;
static wst_server_t *server;

static void on_agent_up(wst_server_t *s, wst_remote_t *agent, void *user_data) {
    (void)s, (void)user_data;
    printf("agent %s is there\n", wst_remote_name(agent));
}

static void on_stream_open(wst_server_t *s, const wst_stream_info_t *info, void *user_data) {
    (void)s, (void)user_data;
    printf("%llu: open to %s\n", (unsigned long long)info->id, info->destination);
}

static void on_stream_close(wst_server_t *s, const wst_stream_info_t *info, void *user_data) {
    (void)s, (void)user_data;
    printf("%llu: %s, %llu ms, %llu bytes in, %llu bytes out\n", (unsigned long long)info->id,
           info->status == 0 ? "ended" : wst_strerror(info->status),
           (unsigned long long)info->duration_ms, (unsigned long long)info->bytes_to_agent,
           (unsigned long long)info->bytes_to_client);
}

/* The client, which cannot be told the reason, sees a connection that is reset. */
static void on_refused(wst_server_t *s, const wst_refusal_info_t *refusal, void *user_data) {
    (void)s, (void)user_data;
    printf("refused: %s\n", refusal->reason);
}

static void on_drained(wst_server_t *s, void *user_data) {
    (void)user_data;
    wst_server_close(s, NULL); /* and with it the port */
    wst_ctx_close(ctx, NULL);  /* waits for the server; then the loop ends */
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    uv_close((uv_handle_t *)handle, NULL); /* a second signal ends the program at once */
    wst_server_drain(server);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: database AGENTS-ADDRESS PORT-ADDRESS HOST:PORT\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    const wst_server_callbacks_t callbacks = {.size = sizeof(callbacks),
                                              .on_agent_up = on_agent_up,
                                              .on_stream_open = on_stream_open,
                                              .on_stream_close = on_stream_close,
                                              .on_refused = on_refused,
                                              .on_drained = on_drained};
    const wst_server_options_t options = {.size = sizeof(options), .callbacks = &callbacks};
    const wst_port_options_t leads = {
        .size = sizeof(leads), .listen = argv[2], .destination = argv[3]};
    wst_port_t *port;
    int status = wst_ctx_new(&ctx, uv_default_loop(), NULL);
    if (status == 0)
        status = wst_server_new(&server, ctx, &options);
    if (status == 0)
        status = wst_server_listen(server, argv[1], WST_ROLE_AGENTS);
    if (status == 0)
        status = wst_port_new(&port, server, &leads);
    if (status != 0) {
        fprintf(stderr, "database: %s\n", wst_strerror(status));
        return 1;
    }
    printf("agents at %s, port at %s\n", wst_server_address(server, 0), wst_port_address(port));
    uv_signal_t term;
    uv_signal_init(uv_default_loop(), &term);
    uv_signal_start(&term, on_signal, SIGTERM);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
