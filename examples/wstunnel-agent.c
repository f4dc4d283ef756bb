/* SPDX-License-Identifier: MIT */
/* The agent as a program: configuration, credentials, and shutdown. */
#include "agent_admin.h"
#include "agent_advice.h"
#include "agent_config.h"
#include "agent_log.h"
#include "agent_status.h"
#include "doctor_agent.h"
#include "network_watch.h"
#include "program.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: wstunnel-agent [options] [ws[s]://HOST[:PORT][/PATH] ...]\n"
    "       wstunnel-agent doctor [--json | --report] [--via URL [--via-user-file FILE]\n"
    "           [--via-ca FILE] [--to HOST:PORT | --echo HOST:PORT]] [options] [URL ...]\n"
    "Dials a wstunnel-server, or several, and opens the destinations that it names from where this "
    "runs.\n"
    "\n"
    "  --config FILE         read all of these, the URL and more (rules, limits) from a JSON "
    "file,\n"
    "                        see wstunnel.json(5); options given here take precedence\n"
    "  --name NAME           its name (default: the host's): 1 to 64 of A-Z a-z 0-9 . _ -\n"
    "  --token-file FILE     the token to present: the first line of FILE, read at each attempt;\n"
    "                        or the environment variable WSTUNNEL_TOKEN\n"
    "  --ca FILE             with wss://: whose certificates count (default: the system's)\n"
    "  --pin sha256/BASE64   a key of the server's chain must have this hash; may be repeated\n"
    "  --cert FILE, --key FILE  certificate and private key to show to the server\n"
    "  --sni NAME            the name to ask for in the handshake (default: HOST)\n"
    "  --insecure            do not verify the server: anyone can pose as it\n"
    "  --host NAME[:PORT]    the Host field (default: that of the URL)\n"
    "  --header 'NAME: VALUE'  one more field in the upgrade request; may be repeated\n"
    "  --proxy URL           reach the server through this proxy: http://, https://, socks5://, "
    "with\n"
    "                        USER:PASSWORD@ if need be; none: through none (default: what\n"
    "                        http_proxy, https_proxy, all_proxy and no_proxy say)\n"
    "  --proxy-user-file FILE  USER:PASSWORD for it: the first line of FILE; or the environment\n"
    "                        variable WSTUNNEL_PROXY_USER\n"
    "  --proxy-ca FILE       with https://: whose certificates count (default: the system's)\n"
    "  --allow PATTERN, --deny PATTERN  the destinations that the server may have opened, as\n"
    "                        HOST[:PORTS]: names, addresses, networks; may be repeated, the first\n"
    "                        that matches decides, and with --allow the rest is denied. This host\n"
    "                        itself (localhost, 127.0.0.0/8, ::1) must be named in any case\n"
    "  --encoding ENCODING   binary (default) or json: readable on the wire\n"
    "  --protocol PROTOCOL   wstunnel (default) or talk: that of the Go Conference 2022 talk; the\n"
    "                        server must use the same\n"
    "  --spare-connections N with --protocol talk: connections that wait to be used (default 1)\n"
    "  --no-resume           let streams end with the connection, rather than wait for another "
    "one\n"
    "  --max-age SECONDS     replace a connection before it is so old (default: never)\n"
    "  --connections N       WebSockets to keep up with each server, 1 to 64 (default 1): faster\n"
    "                        than one over a long way that loses packets\n"
    "  --all-addresses       keep them up with each address of HOST, looked up every 30 s\n"
    "  --admin ADDR          serve operators at IP:PORT, :PORT or unix:/PATH: status and metrics "
    "\n"
    "                        (default: nowhere). Beyond this machine they need accounts\n"
    "  --exit-on-refusal     exit with status 1 if the server (401, 403) or the proxy (407)\n"
    "                        refuses the credentials\n"
    "  --log-level LEVEL     error, warn, info (default) or debug\n"
    "  --log-format FORMAT   text (default) or json: an object a line\n"
    "  -t                    check the configuration and all that it names, and end\n"
    "  --help, -h, --version\n"
    "\n"
    "Examples:\n"
    "  wstunnel-agent --token-file agent.token wss://server.example:8443\n"
    "  wstunnel-agent --pin sha256/PIN --allow '*.intranet:443' wss://server.example\n"
    "  wstunnel-agent --config agent.json\n"
    "\n"
    "When it does not work: wstunnel-agent doctor tells at which step, and what to do.\n"
    "SIGINT and SIGTERM let open streams finish for up to 30 s; a second one breaks them off.\n"
    "SIGHUP has the configuration read again.\n"
    "SIGUSR1 logs how long the event loop's turns are, and the memory in use.\n";

typedef struct state {
    program_t program;
    options_t options;
    agent_config_t started, reloaded;
    const agent_config_t *config; /* in force: `started` or `reloaded` */
    wst_agent_t *agent;
    agent_admin_t admin;
    network_watch_t network;
    bool refused;
    const char *advised; /* the last advice since the agent was up; NULL: none */
} state_t;

static void on_credentials(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    (void)agent;
    const state_t *s = user_data;
    config_t scratch = {0};
    const char *token = agent_config_token(&scratch, s->config);
    char fields[CONFIG_SECRET_MAX + 32] = "";
    if (token != NULL)
        snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", token);
    if (scratch.error_count == 0) {
        wst_request_allow_with(request, token != NULL ? fields : NULL);
    } else {
        config_log(&scratch);
        wst_request_deny(request, 401, "the token cannot be read", NULL);
    }
    config_wipe(fields, sizeof(fields));
    config_free(&scratch);
}

/* Logs the advice once, not at each attempt. */
static void advise(state_t *s, const wst_agent_failure_t *failure) {
    const char *advice = agent_advice(failure->error, failure->http_status, failure->detail);
    if (advice != NULL && advice != s->advised)
        log_line(WST_LOG_INFO, "%s", advice);
    if (advice != NULL)
        s->advised = advice;
}

static void on_up(wst_agent_t *agent, void *user_data) {
    ((state_t *)user_data)->advised = NULL;
    agent_log_up(agent);
    agent_status_up();
}

static void on_network_change(void *user_data) {
    const state_t *s = user_data;
    log_line(WST_LOG_INFO, "the network has changed");
    wst_agent_reconnect(s->agent);
}

static void watch_network(state_t *s) {
    int status = network_watch_start(&s->network, &s->program.loop, on_network_change, s);
    if (status != 0 && status != UV_ENOSYS)
        log_line(WST_LOG_INFO, "changes of the network are not noticed: %s", wst_strerror(status));
}

static void on_agent_closed(void *user_data) {
    state_t *s = user_data;
    network_watch_stop(&s->network);
    agent_status_end();
    agent_log_end();
    program_finish(&s->program);
}

static void close_all(state_t *s) {
    agent_admin_close(&s->admin);
    wst_agent_close(s->agent, on_agent_closed);
}

static void on_down(wst_agent_t *agent, const wst_agent_failure_t *failure, void *user_data) {
    state_t *s = user_data;
    agent_log_down(agent, failure);
    agent_status_lost(failure);
    if (s->refused)
        close_all(s);
}

static bool has_several(const agent_config_t *c) {
    return c->options.connections > 1 || c->options.all_addresses || c->urls[1] != NULL;
}

static void on_connection(wst_agent_t *agent, const wst_agent_connection_info_t *info,
                          void *user_data) {
    state_t *s = user_data;
    agent_status_connection(info);
    if (has_several(&s->started))
        agent_log_connection(agent, info);
    if (!info->up)
        advise(s, info->failure);
    if (info->up || !info->failure->refused || !s->config->exit_on_refusal)
        return;
    s->refused = true;
    if (wst_agent_is_up(agent)) /* else on_down follows */
        close_all(s);
}

static void on_suspended(wst_agent_t *agent, const wst_agent_failure_t *failure, size_t streams,
                         void *user_data) {
    (void)user_data;
    agent_log_suspended(agent, failure, streams);
    agent_status_lost(failure);
}

static void on_resumed(wst_agent_t *agent, uint64_t outage_ms, void *user_data) {
    (void)user_data;
    agent_log_resumed(agent, outage_ms);
    agent_status_up();
}

static void on_stream_open(wst_agent_t *agent, const wst_agent_stream_info_t *info,
                           void *user_data) {
    (void)agent, (void)user_data;
    agent_log_stream_open(info);
    if (info->status == 0)
        agent_status_stream(true);
}

static void on_stream_close(wst_agent_t *agent, const wst_agent_stream_info_t *info,
                            void *user_data) {
    (void)agent, (void)user_data;
    agent_log_stream_close(info);
    agent_status_stream(false);
}

static void on_drained(wst_agent_t *agent, void *user_data) {
    (void)agent;
    close_all(user_data);
}

static void on_stop(void *user_data, bool now) {
    state_t *s = user_data;
    if (now)
        close_all(s);
    else
        wst_agent_drain(s->agent);
}

/* 0 or an error; then the old operators stay. */
static int set_admins(const state_t *s, const admin_config_t *admins) {
    return s->admin.admin != NULL
               ? wst_admin_set_accounts(s->admin.admin, admins->accounts, admins->count)
               : 0;
}

/* Puts the operators of a configuration in force. False: a fault, which has been noted. */
static bool change_admins(const state_t *s, agent_config_t *config) {
    int status = 0;
    if (s->admin.admin != NULL && (config->admins.count > 0) != (s->started.admins.count > 0))
        config_fault(&config->config, NULL,
                     "whether operators have accounts cannot change without a new start");
    else
        status = set_admins(s, &config->admins);
    if (status != 0)
        config_fault(&config->config, "admins", "%s", wst_strerror(status));
    return config->config.error_count == 0;
}

/* Puts the TLS files of a configuration in force. False: an error, which has been logged. */
static bool set_tls(state_t *s, const agent_config_t *config) {
    wst_tls_config_t *tls = NULL;
    if (!agent_config_tls(&tls, config, s->program.ctx))
        return false;
    int status = wst_agent_set_tls(s->agent, tls);
    wst_tls_config_unref(tls);
    if (status != 0)
        log_line(WST_LOG_ERROR, "TLS: %s", wst_strerror(status));
    return status == 0;
}

static void on_reload(void *user_data) {
    state_t *s = user_data;
    agent_config_t config;
    char fixed[512];
    bool valid = agent_config_read(&config, &s->options) && change_admins(s, &config);
    if (!valid)
        config_log(&config.config);
    if (!valid || !set_tls(s, &config)) {
        if (valid && set_admins(s, &s->config->admins) != 0)
            log_line(WST_LOG_WARN, "the new operators are in force nevertheless");
        log_line(WST_LOG_ERROR, "configuration not reloaded: nothing has changed");
        agent_config_free(&config);
        return;
    }
    wst_agent_set_rules(s->agent, config.rules);
    agent_config_free(&s->reloaded);
    s->reloaded = config;
    s->config = &s->reloaded;
    log_set((wst_log_level_t)config.log_level, (log_format_t)config.log_format);
    wst_ctx_set_log_level(s->program.ctx, (wst_log_level_t)config.log_level);
    config_warn(&config.config);
    log_line(WST_LOG_INFO, "configuration reloaded");
    agent_config_compare(fixed, sizeof(fixed), &s->started, &config);
    if (fixed[0] != '\0')
        log_line(WST_LOG_WARN, "takes effect with the next start only: %s", fixed);
}

/* The URL without its scheme and user information, if it has any user information. */
static const char *without_user(const char *url) {
    const char *at = strrchr(url, '@');
    return at != NULL ? at + 1 : url;
}

/* Takes the reference of `tls`. 0 or an error. */
static int start_agent(state_t *s, wst_agent_options_t *options, wst_tls_config_t *tls) {
    config_t scratch = {0};
    wst_proxy_options_t proxy;
    int status = WST_EINVAL;
    options->tls = tls;
    if (agent_config_proxy(&proxy, &scratch, s->config, s->program.ctx)) {
        options->proxy = proxy.url != NULL ? &proxy : NULL;
        status = wst_agent_new(&s->agent, s->program.ctx, options);
    }
    if (status == 0 && proxy.url != NULL)
        log_line(WST_LOG_INFO, "reaching the server by way of the proxy %s",
                 without_user(proxy.url));
    config_log(&scratch);
    config_free(&scratch);
    wst_tls_config_unref(proxy.tls);
    wst_tls_config_unref(tls);
    return status;
}

static int start(state_t *s) {
    const agent_config_t *c = s->config;
    static const wst_agent_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                    .on_credentials = on_credentials,
                                                    .on_up = on_up,
                                                    .on_down = on_down,
                                                    .on_suspended = on_suspended,
                                                    .on_resumed = on_resumed,
                                                    .on_stream_open = on_stream_open,
                                                    .on_stream_close = on_stream_close,
                                                    .on_drained = on_drained,
                                                    .on_connection = on_connection};
    wst_agent_options_t options = c->options;
    options.callbacks = &callbacks;
    options.user_data = s;
    wst_log_level_t level = s->options.check ? WST_LOG_WARN : (wst_log_level_t)c->log_level;
    log_set(level, (log_format_t)c->log_format);
    int status = program_init(&s->program, level, c->memory_budget, on_stop, s);
    if (status == 0)
        status = program_watch_reload(&s->program, on_reload);
    if (status == 0)
        agent_log_start(&s->program.loop);
    if (status == 0)
        status = agent_status_start(&s->program.loop, (const char *const *)c->urls);
    wst_tls_config_t *tls = NULL;
    if (status == 0 && !agent_config_tls(&tls, c, s->program.ctx))
        status = WST_ETLS;
    return status == 0 ? start_agent(s, &options, tls) : status;
}

/* With -t: reads what is read at each attempt, and ends before the first. Returns the exit status.
 */
static int end_check(state_t *s) {
    config_t scratch = {0};
    (void)agent_config_token(&scratch, s->config);
    int status = scratch.error_count == 0 ? 0 : 2;
    config_log(&scratch);
    config_free(&scratch);
    close_all(s);
    uv_run(&s->program.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->program.loop);
    return status;
}

/* 0 or an error, which has been logged. */
static int open_admin(state_t *s) {
    const agent_config_t *c = &s->started;
    return c->admin != NULL
               ? agent_admin_open(&s->admin, s->agent, s->program.ctx, c->admin, &c->admins)
               : 0;
}

static int run(state_t *s) {
    int status = start(s);
    if (status != 0) {
        log_line(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
        return status == WST_EINVAL || s->options.check ? 2 : 1;
    }
    config_warn(&s->started.config);
    if (s->options.check)
        return end_check(s);
    for (const char **url = s->started.urls; *url != NULL; url++)
        log_line(WST_LOG_INFO, "agent %s for %s", wst_agent_name(s->agent), *url);
    watch_network(s);
    status = open_admin(s);
    log_flush();
    if (status != 0)
        close_all(s);
    uv_run(&s->program.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->program.loop);
    return s->refused || status != 0 ? 1 : s->program.exit_status;
}

/* "doctor ...", "help" and "help doctor". Returns false for all else. */
static bool run_command(int argc, char **argv, int *status) {
    static char option[] = "--help";
    bool help = argc > 1 && strcmp(argv[1], "help") == 0;
    if (help && argc == 2) {
        fputs(usage, stdout);
        *status = 0;
        return true;
    }
    if (argc <= 1 + help || strcmp(argv[1 + help], "doctor") != 0)
        return false;
    *status = help ? doctor_agent_main(2, (char *[]){argv[2], option, NULL})
                   : doctor_agent_main(argc - 1, argv + 1);
    return true;
}

int main(int argc, char **argv) {
    static const options_syntax_t syntax = {.program = "wstunnel-agent",
                                            .usage = usage,
                                            .fields = &agent_config_fields,
                                            .takes_config = true,
                                            .takes_check = true,
                                            .takes_arguments = true};
    static state_t s;
    int status;
    program_hide_memory();
    if (run_command(argc, argv, &status))
        return status;
    if (!options_parse(&s.options, &syntax, argc, argv, &status))
        return status;
    s.config = &s.started;
    if (agent_config_read(&s.started, &s.options)) {
        status = run(&s);
        log_end();
    } else {
        config_print(&s.started.config, "wstunnel-agent", true);
        status = 2;
    }
    agent_config_free(&s.reloaded);
    agent_config_free(&s.started);
    if (s.options.check && status == 0)
        puts("wstunnel-agent: the configuration, and all that it names, is in order");
    return status;
}
