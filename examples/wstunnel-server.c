/* SPDX-License-Identifier: MIT */
/* The server as a program: configuration, access control, and shutdown. */
#include "program.h"
#include "server_config.h"
#include "server_log.h"
#include "server_ports.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: wstunnel-server [options]\n"
    "Joins clients of an HTTP proxy (CONNECT), or of SOCKS5, with agents that have dialled in by\n"
    "WebSocket.\n"
    "\n"
    "  --config FILE             read all of these and more (users, agents, rules, routes,\n"
    "                            limits) from a JSON file, see wstunnel.json(5); options given\n"
    "                            here take precedence\n"
    "  --listen ADDR[,ROLE...]   listen on HOST:PORT, :PORT or unix:/PATH; may be repeated\n"
    "                            (default 127.0.0.1:8080). Roles: connect, agents, health\n"
    "                            (default all of these), socks; and tls, plain or both (default\n"
    "                            tls if there is a certificate). The first byte of a connection\n"
    "                            tells what it speaks\n"
    "  --port LISTEN=HOST:PORT[@AGENT][,user=NAME][,open]\n"
    "                            forward connections to LISTEN (PORT of this machine, or as for\n"
    "                            --listen) to HOST:PORT, through the agent of that name, as that\n"
    "                            user; may be repeated. Beyond this machine only with open\n"
    "  --cert FILE, --key FILE   certificate chain and private key (PEM); may be repeated: the\n"
    "                            name that is asked for chooses\n"
    "  --client-ca FILE          ask clients and agents for certificates issued by these\n"
    "  --client-cert WHETHER     required (default with --client-ca), optional or none\n"
    "  --path PATH               where agents connect (default /websocket)\n"
    "  --protocol PROTOCOL       what agents speak: wstunnel (default) or talk: that of the Go\n"
    "                            Conference 2022 talk\n"
    "  --agent-token-file FILE   agents must present the token on the first line of FILE; or the\n"
    "                            environment variable WSTUNNEL_AGENT_TOKEN\n"
    "  --user-file FILE          clients must authenticate as one of the users in FILE:\n"
    "                            one NAME:PASSWORD a line, lines that begin with # are skipped\n"
    "  --insecure-open           listen beyond this machine even without authentication\n"
    "  --log-level LEVEL         error, warn, info (default) or debug\n"
    "  --log-format FORMAT       text (default) or json: an object a line\n"
    "  --help, --version\n"
    "\n"
    "SIGINT and SIGTERM let open tunnels finish for up to 30 s; a second one breaks them off.\n"
    "SIGHUP has configuration and certificates read again; these are also looked at each minute.\n"
    "SIGUSR1 logs how long the event loop's turns are, and the memory in use.\n";

typedef struct state {
    program_t program;
    options_t options;
    server_config_t started, reloaded;
    const server_config_t *config; /* in force: `started` or `reloaded` */
    wst_access_t *access;
    wst_server_t *server;
    wst_tls_files_t *tls; /* NULL: none */
    server_ports_t ports;
} state_t;

/* Access control ----------------------------------------------------------------------------- */

static void on_agent_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_agent_request(((state_t *)user_data)->access, server, request);
}

static void on_client_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_client_request(((state_t *)user_data)->access, server, request);
}

static void on_client_login(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_client_login(((state_t *)user_data)->access, server, request);
}

static void on_choose(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_choose(((state_t *)user_data)->access, server, request);
}

static void on_reached(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_reached(((state_t *)user_data)->access, server, request);
}

/* Notices ------------------------------------------------------------------------------------ */

static void on_agent_up(wst_server_t *server, wst_remote_t *agent, void *user_data) {
    (void)server, (void)user_data;
    server_log_agent_up(agent);
}

static void on_agent_down(wst_server_t *server, wst_remote_t *agent,
                          const wst_agent_down_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    server_log_agent_down(agent, info);
}

static void on_agent_refused(wst_server_t *server, const wst_refusal_info_t *info,
                             void *user_data) {
    (void)server, (void)user_data;
    server_log_agent_refused(info);
}

static void on_refused(wst_server_t *server, const wst_refusal_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    server_log_refused(info);
}

static void on_stream_open(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    server_log_stream_open(info);
}

static void on_stream_close(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    server_log_stream_close(info);
}

/* The end ------------------------------------------------------------------------------------ */

static void on_server_closed(void *user_data) {
    state_t *s = user_data;
    if (s->tls != NULL)
        wst_tls_files_close(s->tls, NULL);
    wst_access_free(s->access);
    s->access = NULL;
    program_finish(&s->program);
}

static void on_drained(wst_server_t *server, void *user_data) {
    (void)user_data;
    wst_server_close(server, on_server_closed);
}

static void on_stop(void *user_data, bool now) {
    state_t *s = user_data;
    if (now)
        wst_server_close(s->server, on_server_closed);
    else
        wst_server_drain(s->server);
}

/* Certificates ------------------------------------------------------------------------------- */

static void on_tls(wst_tls_files_t *files, wst_tls_config_t *config, void *user_data) {
    (void)files;
    const state_t *s = user_data;
    wst_server_set_tls(s->server, config);
}

/* Reads the certificate files of a configuration and keeps checking them. What clients must show
 * stays as it was at the start. 0 or an error, which has been noted. */
static int load_tls(state_t *s, server_config_t *config, wst_tls_files_t **out) {
    const server_config_t *started = &s->started;
    const wst_tls_files_options_t files = {.size = sizeof(files),
                                           .pairs = config->pairs,
                                           .pair_count = config->pair_count,
                                           .client_cert =
                                               (wst_tls_client_cert_t)started->client_cert,
                                           .client_ca = started->client_ca,
                                           .on_config = on_tls,
                                           .user_data = s};
    wst_tls_error_t why;
    int status = wst_tls_files_new(out, s->program.ctx, &files, &why);
    if (status != 0)
        config_fault(&config->config, NULL, "%s",
                     status == WST_ETLS ? why.text : wst_strerror(status));
    return status;
}

/* Reload ------------------------------------------------------------------------------------- */

/* The objects made from a configuration. */
typedef struct made {
    wst_access_t *access;
    wst_tls_files_t *tls; /* NULL: the files are the same */
} made_t;

/* Refuses changes of settings that are checked at the start only. */
static bool may_follow(const state_t *s, server_config_t *config, const wst_access_t *access) {
    config_t *c = &config->config;
    if (wst_access_has_users(access) != wst_access_has_users(s->access) ||
        wst_access_has_agents(access) != wst_access_has_agents(s->access))
        config_fault(c, NULL,
                     "whether users, and agents, must authenticate cannot change without a "
                     "new start");
    else if ((config->pair_count > 0) != (s->tls != NULL))
        config_fault(c, NULL, "whether there are certificates cannot change without a new start");
    else
        return true;
    return false;
}

/* Does everything that can fail, before anything changes: makes the objects of a configuration,
 * then sets the limits. False: an error, which has been noted; nothing has changed. */
static bool make_anew(state_t *s, server_config_t *config, made_t *made) {
    if (server_config_make_access(config, s->program.ctx, &made->access) != 0)
        return false;
    if (may_follow(s, config, made->access) &&
        (server_config_same_pairs(s->config, config) || load_tls(s, config, &made->tls) == 0)) {
        if (wst_server_set_limits(s->server, &config->limits) == 0)
            return true;
        config_fault(&config->config, "limits", "out of range");
        if (made->tls != NULL)
            wst_tls_files_close(made->tls, NULL);
    }
    wst_access_free(made->access);
    return false;
}

static void use(state_t *s, const server_config_t *config, const made_t *made) {
    wst_access_free(s->access);
    s->access = made->access;
    wst_access_review_agents(s->access, s->server);
    if (made->tls != NULL) {
        wst_server_set_tls(s->server, wst_tls_files_config(made->tls));
        wst_tls_files_close(s->tls, NULL);
        s->tls = made->tls;
    } else if (s->tls != NULL) {
        wst_tls_files_reload(s->tls);
    }
    log_set((wst_log_level_t)config->log_level, (log_format_t)config->log_format);
    wst_ctx_set_log_level(s->program.ctx, (wst_log_level_t)config->log_level);
    config_warn(&config->config);
    (void)server_ports_change(&s->ports, s->server, &config->ports); /* logs failures */
    server_config_free(&s->reloaded);
    s->reloaded = *config;
    s->config = &s->reloaded;
}

/* Puts the whole new configuration in force, or nothing of it. */
static void on_reload(void *user_data) {
    state_t *s = user_data;
    server_config_t config;
    made_t made = {0};
    char fixed[512];
    if (!server_config_read(&config, &s->options) || !make_anew(s, &config, &made)) {
        config_log(&config.config);
        log_line(WST_LOG_ERROR, "configuration not reloaded: nothing has changed");
        server_config_free(&config);
        return;
    }
    use(s, &config, &made);
    log_line(WST_LOG_INFO, "configuration reloaded");
    server_config_compare(fixed, sizeof(fixed), &s->started, &config);
    if (fixed[0] != '\0')
        log_line(WST_LOG_WARN, "takes effect with the next start only: %s", fixed);
}

/* The start ---------------------------------------------------------------------------------- */

/* Names the protocols of an address; "" for HTTP alone, without TLS. */
static void describe(char *out, size_t size, const state_t *s, unsigned roles) {
    bool plain = (roles & WST_LISTEN_PLAIN) != 0, tls = (roles & WST_LISTEN_TLS) != 0;
    bool secure = tls || (!plain && s->tls != NULL);
    bool socks = (roles & WST_ROLE_SOCKS) != 0, http = !socks || (roles & WST_ROLE_ALL) != 0;
    const char *protocols = !socks ? "" : http ? "HTTP and SOCKS5" : "SOCKS5";
    const char *way = secure && plain ? "TLS and plain" : secure ? "TLS" : "";
    const char *between = protocols[0] != '\0' && way[0] != '\0' ? ", " : "";
    out[0] = '\0';
    if (socks || secure)
        snprintf(out, size, " (%s%s%s)", protocols, between, way);
}

static int listen_all(state_t *s) {
    char spoken[64];
    for (size_t i = 0; i < s->config->listener_count; i++) {
        const server_listener_t *l = &s->config->listeners[i];
        int status = wst_server_listen(s->server, l->address, l->roles);
        if (status != 0) {
            log_line(WST_LOG_ERROR, "cannot listen on %s: %s", l->address,
                     status == WST_EINVAL ? "not IP:PORT, [IP]:PORT, :PORT, localhost:PORT or "
                                            "unix:/PATH (names are not looked up)"
                                          : wst_strerror(status));
            if (status == WST_EINSECURE)
                log_line(WST_LOG_ERROR, "configure agents and users for the roles it offers, or "
                                        "--insecure-open");
            return status;
        }
        describe(spoken, sizeof(spoken), s, l->roles);
        log_line(WST_LOG_INFO, "listening on %s%s", wst_server_address(s->server, i), spoken);
    }
    return 0;
}

static int make_server(state_t *s) {
    const wst_server_callbacks_t callbacks = {
        .size = sizeof(callbacks),
        .on_agent_request = wst_access_has_agents(s->access) ? on_agent_request : NULL,
        .on_client_request = wst_access_has_users(s->access) ? on_client_request : NULL,
        .on_choose = on_choose,
        .on_reached = on_reached,
        .on_agent_up = on_agent_up,
        .on_agent_down = on_agent_down,
        .on_agent_refused = on_agent_refused,
        .on_refused = on_refused,
        .on_stream_open = on_stream_open,
        .on_stream_close = on_stream_close,
        .on_drained = on_drained,
        .on_client_login = wst_access_has_users(s->access) ? on_client_login : NULL};
    wst_server_options_t options = s->started.options;
    options.callbacks = &callbacks;
    options.limits = &s->started.limits;
    options.user_data = s;
    options.tls = s->tls != NULL ? wst_tls_files_config(s->tls) : NULL;
    return wst_server_new(&s->server, s->program.ctx, &options);
}

static int failed(int status) {
    log_line(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
    return 1;
}

/* Returns the exit status. */
static int run(state_t *s) {
    server_config_t *c = &s->started;
    log_set((wst_log_level_t)c->log_level, (log_format_t)c->log_format);
    int status =
        program_init(&s->program, (wst_log_level_t)c->log_level, c->memory_budget, on_stop, s);
    if (status == 0)
        status = program_watch_reload(&s->program, on_reload);
    if (status != 0)
        return failed(status);
    if (server_config_make_access(c, s->program.ctx, &s->access) != 0 ||
        (c->pair_count > 0 && load_tls(s, c, &s->tls) != 0)) {
        config_print(&c->config, "wstunnel-server");
        return 2;
    }
    config_warn(&c->config);
    status = make_server(s);
    if (status != 0)
        return failed(status);
    status = listen_all(s);
    if (status == 0)
        status = server_ports_change(&s->ports, s->server, &c->ports);
    if (status != 0)
        wst_server_close(s->server, on_server_closed);
    uv_run(&s->program.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->program.loop);
    return status == 0 ? s->program.exit_status : 1;
}

int main(int argc, char **argv) {
    static state_t s;
    int status;
    if (!options_parse(&s.options, &server_config_fields, usage, false, argc, argv, &status))
        return status;
    s.config = &s.started;
    if (server_config_read(&s.started, &s.options)) {
        status = run(&s);
    } else {
        config_print(&s.started.config, "wstunnel-server");
        status = 2;
    }
    server_config_free(&s.reloaded);
    server_config_free(&s.started);
    return status;
}
