/* SPDX-License-Identifier: MIT */
/* The server as a program: configuration, access control, and shutdown. */
#include "doctor_client.h"
#include "init.h"
#include "listen_address.h"
#include "nearest.h"
#include "next_command.h"
#include "notify.h"
#include "passwd.h"
#include "program.h"
#include "server_config.h"
#include "server_log.h"
#include "server_ports.h"
#include "sockets.h"
#include "status.h"
#include "succession.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: wstunnel-server [options]\n"
    "       wstunnel-server init --name HOST [--user NAME] DIR\n"
    "       wstunnel-server passwd [--realm REALM] NAME\n"
    "       wstunnel-server doctor [--json | --report] [--ca FILE] [--proxy-user-file FILE]\n"
    "           [--to HOST:PORT | --echo HOST:PORT] PROXY-URL\n"
    "       wstunnel-server status [--password-file FILE] [--sort KEY] [--once | --json] "
    "[ADDRESS]\n"
    "Joins clients of an HTTP proxy (CONNECT), or of SOCKS5, with agents that have dialled in by\n"
    "WebSocket.\n"
    "\n"
    "  --config FILE             read all of these and more (users, agents, rules, routes,\n"
    "                            limits) from a JSON file, see wstunnel.json(5); options given\n"
    "                            here take precedence\n"
    "  --listen ADDR[,ROLE...]   listen on HOST:PORT, :PORT or unix:/PATH; may be repeated\n"
    "                            (default 127.0.0.1:8080). Roles: connect, agents, health\n"
    "                            (default all of these), socks; admin, alone: operators' page,\n"
    "                            status and metrics; and tls, plain or both (default tls if\n"
    "                            there is a certificate). The first byte of a connection tells\n"
    "                            what it speaks. With proxy each connection begins with the\n"
    "                            header of the PROXY protocol, from a proxy that is trusted\n"
    "  --trust NETWORK           trust the proxies in NETWORK (10.0.0.0/8, an address, or unix: "
    "for\n"
    "                            Unix sockets) to tell whose connection (PROXY) or request\n"
    "                            (Forwarded, X-Forwarded-For) they pass on; may be repeated\n"
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
    "                            one NAME:PASSWORD a line, or a line of wstunnel-server passwd;\n"
    "                            lines that begin with # are skipped\n"
    "  --insecure-open           listen beyond this machine even without authentication\n"
    "  --kick WHAT               what a SIGHUP breaks off: users (default): the tunnels of "
    "removed\n"
    "                            users; all: also those that a rule denies now; none\n"
    "  --resume-grace SECONDS    how long tunnels wait for an agent whose connection is lost\n"
    "                            (default 60; 0: they end with it)\n"
    "  --log-level LEVEL         error, warn, info (default) or debug\n"
    "  --log-format FORMAT       text (default) or json: an object a line\n"
    "  -t                        check the configuration and all that it names, and end\n"
    "  --help, -h, --version\n"
    "\n"
    "Examples:\n"
    "  wstunnel-server init --name server.example conf\n"
    "  wstunnel-server --config conf/wstunnel.json\n"
    "  wstunnel-server --listen 127.0.0.1:8080 --port 2222=build-host:22\n"
    "\n"
    "When it does not work for clients: wstunnel-server doctor tells at which step, and what to "
    "do.\n"
    "SIGINT and SIGTERM let open tunnels finish for up to 30 s; a second one breaks them off.\n"
    "SIGHUP has configuration and certificates read again; these are also looked at each minute.\n"
    "SIGUSR2 starts the program again, which takes over the listening sockets; this one leaves.\n"
    "SIGUSR1 logs the event loop's turns and the memory in use.\n";

typedef struct state {
    program_t program;
    char **argv;
    options_t options;
    server_config_t started, reloaded;
    const server_config_t *config; /* in force: `started` or `reloaded` */
    wst_access_t *access;
    wst_pac_t *pac; /* until the server has it */
    wst_server_t *server;
    wst_admin_t *admin;   /* NULL: none */
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
    notify_changed();
}

static void on_agent_suspended(wst_server_t *server, wst_remote_t *agent,
                               const wst_agent_suspended_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    server_log_agent_suspended(agent, info);
    notify_changed();
}

static void on_agent_resumed(wst_server_t *server, wst_remote_t *agent,
                             const wst_agent_resumed_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    server_log_agent_resumed(agent, info);
    notify_changed();
}

static void on_agent_down(wst_server_t *server, wst_remote_t *agent,
                          const wst_agent_down_info_t *info, void *user_data) {
    const state_t *s = user_data;
    (void)server;
    server_log_agent_down(agent, info);
    if (s->admin != NULL)
        wst_admin_note_agent_down(s->admin, agent, info);
    notify_changed();
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
    notify_changed();
}

static void on_stream_close(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    server_log_stream_close(info);
    notify_changed();
}

/* Tells the service manager what is going on. */
static void describe_load(char out[NOTIFY_STATUS_MAX], void *user_data) {
    const state_t *s = user_data;
    wst_server_stats_t stats = {.size = sizeof(stats)};
    wst_server_get_stats(s->server, &stats);
    snprintf(out, NOTIFY_STATUS_MAX, "%sagents: %zu, tunnels: %zu",
             s->program.signal_count > 0 ? "leaving; " : "", stats.agents, stats.streams);
}

/* The end ------------------------------------------------------------------------------------ */

static void on_server_closed(void *user_data) {
    state_t *s = user_data;
    if (s->tls != NULL)
        wst_tls_files_close(s->tls, NULL);
    wst_access_free(s->access);
    s->access = NULL;
    server_log_end();
    program_finish(&s->program);
}

static void close_all(state_t *s) {
    if (s->admin != NULL)
        wst_admin_close(s->admin, NULL);
    s->admin = NULL;
    wst_server_close(s->server, on_server_closed);
}

static void on_drained(wst_server_t *server, void *user_data) {
    (void)server;
    close_all(user_data);
}

static void on_stop(void *user_data, bool now) {
    state_t *s = user_data;
    succession_cancel();
    if (now)
        close_all(s);
    else
        wst_server_drain(s->server);
}

/* The successor ------------------------------------------------------------------------------ */

/* Connections that have been accepted may not have asked for anything yet. */
static void keep_serving(state_t *s) {
    wst_server_limits_t limits = s->config->limits;
    if (limits.drain_delay_ms < SERVER_HANDOVER_MS)
        limits.drain_delay_ms = SERVER_HANDOVER_MS;
    if (wst_server_set_limits(s->server, &limits) != 0)
        log_line(WST_LOG_WARN, "clients that have just connected are not served");
}

static void on_succeeded(int pid, void *user_data) {
    state_t *s = user_data;
    log_line(WST_LOG_INFO, "successor %d listens: finishing what is open", pid);
    notify_hand_over(pid);
    wst_server_hand_over(s->server);
    keep_serving(s);
    program_leave(&s->program);
}

/* Lists the sockets of addresses and ports. Returns how many. */
static size_t list_sockets(const state_t *s, succession_socket_t *out) {
    const char *error;
    const char *const *passed = sockets_passed(&error);
    size_t count = 0;
    for (size_t i = 0; i < s->started.listener_count; i++) {
        const char *text = *passed != NULL ? *passed++ : s->started.listeners[i].address;
        out[count++] = (succession_socket_t){wst_server_descriptor(s->server, i), text};
    }
    for (size_t i = 0; i < s->ports.count; i++) {
        const server_port_t *p = &s->ports.list[i];
        if (p->port != NULL)
            out[count++] = (succession_socket_t){wst_port_descriptor(p->port), p->config->listen};
    }
    return count;
}

/* Stands for an address among the sockets: the one by which the successor hands agents back. */
static const char way_back[] = "predecessor";

/* Adds that one. Without it streams would be lost if their agents' connections break, which is no
 * reason not to start a successor. */
static size_t add_way_back(const state_t *s, succession_socket_t *out) {
    int fd = wst_server_successor_socket(s->server);
    if (fd < 0)
        log_line(WST_LOG_WARN, "agents cannot come back to this process: %s", wst_strerror(fd));
    else
        *out = (succession_socket_t){fd, way_back};
    return fd >= 0 ? 1 : 0;
}

static void on_upgrade(void *user_data) {
    state_t *s = user_data;
    succession_socket_t sockets[SERVER_LISTENERS_MAX + PORTS_MAX + 1];
    if (succession_is_under_way()) {
        log_line(WST_LOG_ERROR, "cannot start a successor: one is being started");
        return;
    }
    size_t count = list_sockets(s, sockets);
    count += add_way_back(s, sockets + count);
    int status = succession_start(&s->program.loop, s->argv, sockets, count, on_succeeded, s);
    if (status == 0)
        log_line(WST_LOG_INFO, "starting a successor");
    else
        log_line(WST_LOG_ERROR, "cannot start a successor: %s", wst_strerror(status));
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

/* Operators ---------------------------------------------------------------------------------- */

static void on_admin_connection(wst_server_t *server, wst_stream_t *connection, void *user_data) {
    (void)server;
    wst_admin_serve(((state_t *)user_data)->admin, connection);
}

static void on_admin_action(wst_admin_t *admin, const wst_admin_action_t *action, void *user_data) {
    (void)admin, (void)user_data;
    operators_log(action);
}

static int64_t certificate_expires(void *user_data) {
    const state_t *s = user_data;
    return s->tls != NULL ? wst_tls_config_expiry(wst_tls_files_config(s->tls), NULL) : INT64_MAX;
}

/* Does nothing if there is no address for operators. */
static int make_admin(state_t *s) {
    const server_config_t *c = &s->started;
    unsigned roles = 0;
    for (size_t i = 0; i < c->listener_count; i++)
        roles |= c->listeners[i].roles;
    if ((roles & WST_ROLE_ADMIN) == 0)
        return 0;
    const wst_admin_options_t options = {.size = sizeof(options),
                                         .server = s->server,
                                         .accounts = c->admins.accounts,
                                         .account_count = c->admins.count,
                                         .allow_open = c->open_to_operators,
                                         .on_action = on_admin_action,
                                         .user_data = s,
                                         .certificate_expires = certificate_expires};
    return wst_admin_new(&s->admin, s->program.ctx, &options);
}

/* Whether operators may be served at an address: without accounts, only on this machine. */
static bool may_serve_operators(const state_t *s, const char *address) {
    const server_config_t *c = &s->started;
    return c->admins.count > 0 || c->open_to_operators || operators_are_local(address);
}

/* Reload ------------------------------------------------------------------------------------- */

/* The objects made from a configuration. */
typedef struct made {
    wst_access_t *access;
    wst_pac_t *pac;       /* NULL: none */
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
    else if ((config->admins.count > 0) != (s->started.admins.count > 0))
        config_fault(c, NULL, "whether operators have accounts cannot change without a new start");
    else
        return true;
    return false;
}

/* False: an error, which has been noted; both are as they were. */
static bool set_limits_and_admins(state_t *s, server_config_t *config) {
    const admin_config_t *admins = &config->admins;
    if (wst_server_set_limits(s->server, &config->limits) != 0) {
        config_fault(&config->config, "limits", "out of range");
        return false;
    }
    int status =
        s->admin != NULL ? wst_admin_set_accounts(s->admin, admins->accounts, admins->count) : 0;
    if (status != 0 &&
        wst_server_set_limits(s->server, &s->config->limits) == 0) /* they were in range */
        config_fault(&config->config, "admins", "%s", wst_strerror(status));
    return status == 0;
}

/* Does everything that can fail, before anything changes: makes the objects of a configuration,
 * then sets the limits. False: an error, which has been noted; nothing has changed. */
static bool make_anew(state_t *s, server_config_t *config, made_t *made) {
    if (server_config_make_access(config, s->program.ctx, &made->access) != 0)
        return false;
    if (server_config_make_pac(config, &made->pac) == 0 && may_follow(s, config, made->access) &&
        (server_config_same_pairs(s->config, config) || load_tls(s, config, &made->tls) == 0)) {
        if (set_limits_and_admins(s, config))
            return true;
        if (made->tls != NULL)
            wst_tls_files_close(made->tls, NULL);
    }
    wst_pac_free(made->pac);
    wst_access_free(made->access);
    return false;
}

/* Ends open tunnels that the new configuration does not allow, as far as it says so. */
static void kick(state_t *s, int kick) {
    static const unsigned which[] = {
        [KICK_NONE] = 0,
        [KICK_USERS] = WST_ACCESS_REVIEW_USERS,
        [KICK_ALL] = WST_ACCESS_REVIEW_USERS | WST_ACCESS_REVIEW_RULES,
    };
    wst_access_review_flows(s->access, s->server, which[kick]);
}

static void use(state_t *s, const server_config_t *config, const made_t *made) {
    wst_access_free(s->access);
    s->access = made->access;
    wst_server_set_pac(s->server, made->pac);
    wst_access_review_agents(s->access, s->server);
    kick(s, config->kick);
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

/* Whether an address speaks TLS. */
static bool is_secure(const state_t *s, unsigned roles) {
    return (roles & WST_LISTEN_TLS) != 0 || ((roles & WST_LISTEN_PLAIN) == 0 && s->tls != NULL);
}

/* Names the protocols of an address; "" for HTTP alone, without TLS. */
static void describe(char *out, size_t size, const state_t *s, unsigned roles) {
    bool plain = (roles & WST_LISTEN_PLAIN) != 0, secure = is_secure(s, roles);
    bool socks = (roles & WST_ROLE_SOCKS) != 0, http = !socks || (roles & WST_ROLE_ALL) != 0;
    const char *protocols = !socks ? "" : http ? "HTTP and SOCKS5" : "SOCKS5";
    const char *way = secure && plain ? "TLS and plain" : secure ? "TLS" : "";
    const char *between = protocols[0] != '\0' && way[0] != '\0' ? ", " : "";
    const char *header = (roles & WST_LISTEN_PROXY) == 0 ? ""
                         : socks || secure               ? ", by proxies"
                                                         : "by proxies";
    out[0] = '\0';
    if (socks || secure || header[0] != '\0')
        snprintf(out, size, " (%s%s%s%s)", protocols, between, way, header);
}

/* As wst_server_listen, but with -t: at a free port of the address, since a server may be running
 * at the address itself. */
static int listen_at(state_t *s, const server_listener_t *l) {
    char any[LISTEN_ADDRESS_MAX], text[SOCKETS_TEXT];
    bool inherited = strncmp(l->address, "fd:", 3) == 0; /* and so need not be tried elsewhere */
    if (!s->options.check || inherited)
        return wst_server_listen(s->server, sockets_take(text, l->address), l->roles);
    if (!listen_address_is_valid(l->address))
        return WST_EINVAL;
    return listen_address_any_port(any, l->address) ? wst_server_listen(s->server, any, l->roles)
                                                    : 0;
}

static int listen_all(state_t *s) {
    char spoken[64];
    for (size_t i = 0; i < s->config->listener_count; i++) {
        const server_listener_t *l = &s->config->listeners[i];
        int status = listen_at(s, l);
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
        const char *real = s->options.check ? l->address : wst_server_address(s->server, i);
        if ((l->roles & WST_ROLE_ADMIN) != 0 && !may_serve_operators(s, real)) {
            log_line(WST_LOG_ERROR,
                     "cannot listen on %s: beyond this machine operators need accounts: "
                     "configure \"admins\", or --insecure-open",
                     l->address);
            return WST_EINSECURE;
        }
        if (s->options.check)
            continue;
        describe(spoken, sizeof(spoken), s, l->roles);
        log_line(WST_LOG_INFO, "listening on %s%s", wst_server_address(s->server, i), spoken);
    }
    return 0;
}

static const char *authentication(const state_t *s, bool configured) {
    return configured && s->config->certified ? "on, and by certificate"
           : configured                       ? "on"
           : s->config->certified             ? "by certificate"
                                              : "off";
}

static void tell_authentication(const state_t *s) {
    log_line(WST_LOG_INFO, "authentication of clients: %s; of agents: %s",
             authentication(s, wst_access_has_users(s->access)),
             authentication(s, wst_access_has_agents(s->access)));
}

static bool serves_agents(unsigned roles) {
    unsigned some = roles & (WST_ROLE_ALL | WST_ROLE_SOCKS | WST_ROLE_ADMIN);
    return (some == 0 || (some & WST_ROLE_AGENTS) != 0) && (roles & WST_LISTEN_PROXY) == 0;
}

/* On a terminal, tells people what to type at the agent: for the first address that serves agents.
 */
static void tell_next(const state_t *s) {
    const server_config_t *c = s->config;
    char line[1024];
    size_t i = 0;
    while (i < c->listener_count && !serves_agents(c->listeners[i].roles))
        i++;
    if (i == c->listener_count || c->log_format != LOG_TEXT || isatty(STDERR_FILENO) == 0)
        return;
    const unsigned roles = c->listeners[i].roles;
    const next_command_t next = {
        .config = c,
        .address = wst_server_address(s->server, i),
        .tls = is_secure(s, roles),
        .token = wst_access_has_agents(s->access),
        .certificate =
            s->tls != NULL ? wst_tls_config_certificate(wst_tls_files_config(s->tls), 0) : NULL};
    if (next_command_write(line, sizeof(line), &next))
        log_line(WST_LOG_INFO, "inside the private network, type next: %s", line);
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
        .on_agent_suspended = on_agent_suspended,
        .on_agent_resumed = on_agent_resumed,
        .on_agent_refused = on_agent_refused,
        .on_refused = on_refused,
        .on_stream_open = on_stream_open,
        .on_stream_close = on_stream_close,
        .on_drained = on_drained,
        .on_client_login = wst_access_has_users(s->access) ? on_client_login : NULL,
        .on_admin_connection = on_admin_connection};
    wst_server_options_t options = s->started.options;
    options.callbacks = &callbacks;
    options.limits = &s->started.limits;
    options.user_data = s;
    options.tls = s->tls != NULL ? wst_tls_files_config(s->tls) : NULL;
    int status = wst_server_new(&s->server, s->program.ctx, &options);
    if (status == 0)
        wst_server_set_pac(s->server, s->pac);
    else
        wst_pac_free(s->pac);
    s->pac = NULL;
    return status;
}

/* The server has a predecessor if one has started this process. It may be of another version. */
static void find_predecessor(const state_t *s) {
    char text[SOCKETS_TEXT];
    const char *found = sockets_take(text, way_back);
    if (found != text)
        return;
    int fd = (int)strtol(found + strlen("fd:"), NULL, 10);
    int status = wst_server_set_predecessor(s->server, fd);
    if (status == 0)
        return;
    log_line(WST_LOG_WARN, "agents cannot come back to the predecessor: %s", wst_strerror(status));
    close(fd);
}

static void tell_ready(void) {
    log_flush(); /* somebody may wait for the lines that say where it listens */
    notify_ready();
    succession_tell_ready();
}

static int failed(int status) {
    log_line(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
    return 1;
}

/* 0 or an error, which has been logged. */
static int open_all(state_t *s) {
    const ports_config_t *ports = &s->started.ports;
    int status = make_admin(s);
    if (status == 0)
        status = listen_all(s);
    if (status != 0)
        return status;
    if (s->options.check)
        return server_ports_check(s->server, ports);
    tell_authentication(s);
    tell_next(s);
    return server_ports_change(&s->ports, s->server, ports);
}

/* 0 or an error. */
static int begin(state_t *s) {
    const server_config_t *c = &s->started;
    wst_log_level_t level = s->options.check ? WST_LOG_WARN : (wst_log_level_t)c->log_level;
    log_set(level, (log_format_t)c->log_format);
    int status = program_init(&s->program, level, c->memory_budget, on_stop, s);
    if (status == 0)
        status = program_watch_reload(&s->program, on_reload);
    if (status == 0)
        status = program_watch_upgrade(&s->program, on_upgrade);
    return status != 0 || s->options.check ? status
                                           : notify_start(&s->program.loop, describe_load, s);
}

/* Returns the exit status. With -t it ends when all has been made. */
static int run(state_t *s) {
    server_config_t *c = &s->started;
    int wrong = s->options.check ? 2 : 1, status = begin(s);
    if (status != 0)
        return failed(status);
    server_log_start(&s->program.loop);
    if (server_config_make_access(c, s->program.ctx, &s->access) != 0 ||
        server_config_make_pac(c, &s->pac) != 0 ||
        (c->pair_count > 0 && load_tls(s, c, &s->tls) != 0)) {
        log_end(); /* before what is printed without it */
        config_print(&c->config, "wstunnel-server", true);
        return 2;
    }
    config_warn(&c->config);
    status = make_server(s);
    if (status != 0) {
        failed(status);
        return wrong;
    }
    find_predecessor(s);
    status = open_all(s);
    sockets_close_rest();
    if (status == 0 && !s->options.check)
        tell_ready();
    else
        close_all(s);
    uv_run(&s->program.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->program.loop);
    return status == 0 ? s->program.exit_status : wrong;
}

/* Commands ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} commands[] = {{"doctor", doctor_client_main},
                {"init", init_main},
                {"passwd", passwd_main},
                {"status", status_main}};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static size_t find_command(const char *name) {
    size_t i = 0;
    while (i < COMMANDS && strcmp(commands[i].name, name) != 0)
        i++;
    return i;
}

static int complain_of_command(const char *name) {
    nearest_t nearest = {NULL, 0};
    nearest_try(&nearest, name, "help");
    for (size_t i = 0; i < COMMANDS; i++)
        nearest_try(&nearest, name, commands[i].name);
    fprintf(stderr, "wstunnel-server: unexpected argument '%s'", name);
    if (nearest.word != NULL)
        fprintf(stderr, "; did you mean %s?", nearest.word);
    fputs("\nTry wstunnel-server --help\n", stderr);
    return 2;
}

/* Runs "COMMAND ..." or "help [COMMAND]"; returns the exit status. */
static int run_command(int argc, char **argv) {
    static char option[] = "--help";
    bool help = strcmp(argv[1], "help") == 0;
    if (help && argc == 2) {
        fputs(usage, stdout);
        return 0;
    }
    const char *name = argv[help ? 2 : 1];
    size_t i = find_command(name);
    if (i == COMMANDS)
        return complain_of_command(name);
    if (help)
        return commands[i].main(2, (char *[]){argv[2], option, NULL});
    return commands[i].main(argc - 1, argv + 1);
}

/* -------------------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    static const options_syntax_t syntax = {.program = "wstunnel-server",
                                            .usage = usage,
                                            .fields = &server_config_fields,
                                            .takes_config = true,
                                            .takes_check = true};
    static state_t s;
    int status;
    program_hide_memory();
    if (argc > 1 && argv[1][0] != '-')
        return run_command(argc, argv);
    if (!options_parse(&s.options, &syntax, argc, argv, &status))
        return status;
    s.argv = argv;
    s.config = &s.started;
    if (server_config_read(&s.started, &s.options)) {
        status = run(&s);
        log_end();
    } else {
        config_print(&s.started.config, "wstunnel-server", true);
        status = 2;
    }
    server_config_free(&s.reloaded);
    server_config_free(&s.started);
    if (s.options.check && status == 0)
        puts("wstunnel-server: the configuration, and all that it names, is in order");
    return status;
}
