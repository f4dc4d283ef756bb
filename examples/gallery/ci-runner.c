/* SPDX-License-Identifier: MIT */
/*
 * A job of a CI runner that lends its application to a test cloud: it starts an agent, waits until
 * the tunnel is up, runs the tests, lets what is open finish, and ends with their status.
 *
 *     wstunnel-server --listen 127.0.0.1:8080
 *     ./ci-runner ws://127.0.0.1:8080 127.0.0.1:3000 npm test
 *
 * The cloud's browsers use the server as their proxy, and reach the one address that the job names
 * as long as the job runs. A job fails if its tunnel is not up within a minute.
 */
#include <signal.h>
#include <stdio.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

static wst_ctx_t *ctx;
static wst_agent_t *agent;
static uv_timer_t patience; /* with the first connection */
static uv_process_t tests;
static char **command;
static int result = 1;

static void finish(const char *why) {
    if (why != NULL)
        fprintf(stderr, "ci-runner: %s\n", why);
    uv_close((uv_handle_t *)&patience, NULL);
    wst_agent_close(agent, NULL);
    wst_ctx_close(ctx, NULL); /* waits for the agent; then the loop ends */
}

static void on_late(uv_timer_t *timer) {
    (void)timer;
    finish("no tunnel within a minute");
}

static void on_drained(wst_agent_t *a, void *user_data) {
    (void)a, (void)user_data;
    finish(NULL);
}

static void on_exit(uv_process_t *process, int64_t status, int number) {
    result = number != 0 ? 128 + number : (int)status;
    uv_close((uv_handle_t *)process, NULL);
    wst_agent_drain(agent); /* takes no more streams; on_drained when the last one has ended */
}

static void on_up(wst_agent_t *a, void *user_data) {
    (void)a, (void)user_data;
    if (!uv_is_active((uv_handle_t *)&patience))
        return; /* up again after an outage: the tests are running */
    uv_timer_stop(&patience);
    uv_stdio_container_t same[3];
    for (int fd = 0; fd < 3; fd++)
        same[fd] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
    const uv_process_options_t options = {
        .file = command[0], .args = command, .exit_cb = on_exit, .stdio = same, .stdio_count = 3};
    if (uv_spawn(uv_default_loop(), &tests, &options) != 0)
        finish("cannot run the tests");
}

static void on_down(wst_agent_t *a, const wst_agent_failure_t *failure, void *user_data) {
    (void)a, (void)user_data; /* it tries again, ... */
    fprintf(stderr, "ci-runner: no tunnel: %s\n", failure->detail);
    if (failure->refused && uv_is_active((uv_handle_t *)&patience))
        finish("the server does not want this job"); /* ... which would not help here */
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fputs("usage: ci-runner ws://SERVER HOST:PORT COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    command = argv + 3;
    const char *const destinations[] = {argv[2], NULL};
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = destinations};
    const wst_rules_options_t only = {
        .size = sizeof(only), .rules = &rule, .count = 1, .deny_by_default = true};
    const wst_agent_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_up = on_up, .on_down = on_down, .on_drained = on_drained};
    wst_rules_t *rules = NULL;
    int status = wst_rules_new(&rules, &only, NULL);
    const wst_agent_options_t options = {
        .size = sizeof(options), .callbacks = &callbacks, .url = argv[1], .rules = rules};
    if (status == 0)
        status = wst_ctx_new(&ctx, uv_default_loop(), NULL);
    if (status == 0)
        status = wst_agent_new(&agent, ctx, &options);
    uv_timer_init(uv_default_loop(), &patience);
    uv_timer_start(&patience, on_late, 60000, 0);
    if (status == 0)
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    else
        fprintf(stderr, "ci-runner: %s\n", wst_strerror(status));
    wst_rules_free(rules);
    return result;
}
