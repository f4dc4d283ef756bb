/* SPDX-License-Identifier: MIT */
/* The agent's way: name, TCP, proxy, TLS, upgrade, hello, round trip; then, as a client, a tunnel.
 */
#include "doctor_agent.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent_advice.h"
#include "agent_config.h"
#include "doctor_session.h"
#include "doctor_tunnel.h"
#include "log.h"

#define PROGRAM "wstunnel-agent doctor"

enum { FIELDS_MAX = 20000 };

static const char usage[] =
    "usage: wstunnel-agent doctor [options] [ws[s]://HOST[:PORT][/PATH] ...]\n"
    "Goes the agent's way to its server step by step, and tells of each step how long it took, or "
    "why it\n"
    "failed and what to do. The server gives it no work, and running agents are not disturbed.\n"
    "\n"
    "  --config FILE         the agent's configuration\n"
    "  --name NAME, --token-file FILE, --ca FILE, --pin PIN, --cert FILE, --key FILE, --sni NAME,\n"
    "  --insecure, --host NAME, --header FIELD, --proxy URL, --proxy-user-file FILE,\n"
    "  --proxy-ca FILE, --encoding ENCODING and all others as for wstunnel-agent\n"
    "  --via URL             also be a client: open a tunnel through this proxy, which is the\n"
    "                        server: http://, https:// or socks5://, with USER:PASSWORD@ if need "
    "be\n"
    "  --via-user-file FILE  USER:PASSWORD for it: the first line of FILE; or the environment\n"
    "                        variable WSTUNNEL_VIA_USER\n"
    "  --via-ca FILE         with https://: whose certificates count (default: the system's)\n"
    "  --to HOST:PORT        with --via: the tunnel's destination\n"
    "  --echo HOST:PORT      the same, for one that sends back what it gets: its round trip, and\n"
    "                        10 MB there and back\n"
    "  --json                print the steps as JSON, at the end\n"
    "  --report              print a report to send to others: no secrets, no values of options\n"
    "  --help, -h, --version\n"
    "\n"
    "Examples:\n"
    "  wstunnel-agent doctor --config agent.json\n"
    "  wstunnel-agent doctor --token-file agent.token --pin sha256/PIN wss://server.example:8443\n"
    "  wstunnel-agent doctor --config agent.json --via https://server.example:8443 \\\n"
    "      --via-user-file user --echo build-host:7\n"
    "\n"
    "The exit status is 0 if all is well, 1 if a step failed, 2 for wrong options.\n";

typedef struct visit {
    doctor_t doctor;
    options_t options;
    agent_config_t config;
    config_t secrets; /* the token, and the proxy's credentials */
    doctor_tunnel_t tunnel;
    bool json, report;
    wst_tls_config_t *tls;
    wst_proxy_options_t proxy; /* url NULL: none */
    doctor_place_t server, proxy_place;
    char name[WST_NAME_MAX + 1];
    char fields[FIELDS_MAX]; /* of the upgrade request */
    bool has_token;
} visit_t;

static const config_field_t members[] = {
    {.name = "via",
     .kind = CONFIG_TEXT,
     .offset = offsetof(visit_t, tunnel.proxy),
     .line_only = true,
     .hides = true},
    {.name = "via_user_file",
     .kind = CONFIG_TEXT,
     .offset = offsetof(visit_t, tunnel.user_file),
     .line_only = true},
    {.name = "via_user",
     .kind = CONFIG_SECRET,
     .offset = offsetof(visit_t, tunnel.user),
     .max = 2 * CONFIG_SECRET_MAX,
     .variable = "WSTUNNEL_VIA_USER"},
    {.name = "via_ca",
     .kind = CONFIG_TEXT,
     .offset = offsetof(visit_t, tunnel.ca),
     .line_only = true},
    {.name = "to", .kind = CONFIG_TEXT, .offset = offsetof(visit_t, tunnel.to), .line_only = true},
    {.name = "echo",
     .kind = CONFIG_TEXT,
     .offset = offsetof(visit_t, tunnel.echo),
     .line_only = true},
    {.name = "json", .kind = CONFIG_FLAG, .offset = offsetof(visit_t, json), .line_only = true},
    {.name = "report", .kind = CONFIG_FLAG, .offset = offsetof(visit_t, report), .line_only = true},
};
static const config_fields_t fields = {members, sizeof(members) / sizeof(members[0])};

/* What is given ------------------------------------------------------------------------------ */

static bool read_options(visit_t *v) {
    options_t own = v->options; /* the file has none of ours */
    own.config_file = NULL;
    agent_config_read(&v->config, &v->options);
    config_t *c = &v->config.config;
    options_read(c, &own, &fields, v);
    options_pick_secret(c, &own, "via_user", &v->tunnel.user, &v->tunnel.user_file,
                        "WSTUNNEL_VIA_USER");
    if (v->tunnel.proxy == NULL && (v->tunnel.echo != NULL || v->tunnel.to != NULL))
        config_fault(c, v->tunnel.echo != NULL ? "--echo" : "--to",
                     "needs --via URL, the client's way to the server");
    if (v->json && v->report)
        config_fault(c, NULL, "either --json or --report");
    return c->error_count == 0;
}

/* Has the library check all options, by an agent that is gone before it connects. */
static bool check(visit_t *v) {
    wst_agent_t *agent;
    wst_agent_options_t options = v->config.options;
    options.tls = v->tls;
    options.proxy = v->proxy.url != NULL ? &v->proxy : NULL;
    int status = wst_agent_new(&agent, v->doctor.ctx, &options);
    if (status != 0) {
        config_fault(&v->config.config, NULL, "%s", wst_strerror(status));
        return false;
    }
    snprintf(v->name, sizeof(v->name), "%s", wst_agent_name(agent));
    wst_agent_close(agent, NULL);
    return true;
}

/* Keeps the values of header fields, such as cookies, out of the report. */
static void hide_fields(visit_t *v) {
    for (const char **h = v->config.headers; h != NULL && *h != NULL; h++) {
        const char *value = strchr(*h, ':');
        if (value != NULL)
            doctor_hide(&v->doctor, value + 1 + strspn(value + 1, " \t"));
    }
}

static bool names_product(const agent_config_t *config) {
    static const char product[] = "User-Agent:";
    for (const char **h = config->headers; h != NULL && *h != NULL; h++)
        if (strncasecmp(*h, product, strlen(product)) == 0)
            return true;
    return false;
}

static void write_fields(visit_t *v, const char *token) {
    const char *more = v->config.options.fields;
    v->has_token = token != NULL;
    snprintf(v->fields, sizeof(v->fields), "%s%s%s%s%s%s%s",
             names_product(&v->config) ? "" : "User-Agent: libwstunnel/",
             names_product(&v->config) ? "" : wst_version(),
             names_product(&v->config) ? "" : " (doctor)\r\n", more != NULL ? more : "",
             token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
             token != NULL ? "\r\n" : "");
}

/* Makes what the options describe. False: a fault, which has been noted or logged. */
static bool prepare(visit_t *v) {
    config_t *c = &v->config.config;
    if (v->config.options.connect_timeout_ms != 0)
        v->doctor.timeout_ms = v->config.options.connect_timeout_ms;
    const char *why, *token = agent_config_token(&v->secrets, &v->config);
    if (v->secrets.error_count > 0 ||
        !agent_config_proxy(&v->proxy, &v->secrets, &v->config, v->doctor.ctx)) {
        config_print(&v->secrets, PROGRAM, false);
        return false;
    }
    if (!agent_config_tls(&v->tls, &v->config, v->doctor.ctx) || !check(v))
        return false;
    doctor_hide(&v->doctor, token);
    doctor_hide_login(&v->doctor, v->proxy.credentials);
    doctor_hide_login(&v->doctor, v->proxy.url);
    hide_fields(v);
    write_fields(v, token);
    if (v->proxy.url != NULL && !doctor_place_parse(&v->proxy_place, v->proxy.url, &why))
        config_fault(c, "proxy", "%s", why);
    return v->tunnel.proxy == NULL || doctor_tunnel_prepare(&v->tunnel, &v->doctor, c);
}

/* One server --------------------------------------------------------------------------------- */

/* Tries the proxy itself first, by a connection of its own. */
static wst_stream_t *reach_by_proxy(visit_t *v) {
    doctor_t *d = &v->doctor;
    doctor_proxied_t proxied;
    wst_stream_t *first = doctor_connect(d, &v->proxy_place, NULL);
    if (first == NULL)
        return NULL;
    wst_stream_close(first, NULL);
    doctor_begin(d, "proxy");
    doctor_proxy_dial(d, &proxied, &v->proxy, v->server.host, v->server.port);
    if (proxied.status == 0)
        doctor_pass(d, "%s leads to %s:%u%s%s", v->proxy_place.where, v->server.host,
                    v->server.port, proxied.schemes[0] != '\0' ? "; it asks for " : "",
                    proxied.schemes);
    else
        doctor_fail(d,
                    doctor_proxy_advice(&proxied,
                                        "--proxy-user-file FILE with USER:PASSWORD; NTLM and "
                                        "Negotiate need a local proxy that speaks them"),
                    "%s", proxied.detail);
    return proxied.stream;
}

static wst_stream_t *reach(visit_t *v) {
    static const char hint[] = "nothing answers: a firewall drops it, perhaps since only a proxy "
                               "may get out: --proxy URL";
    if (v->proxy.url != NULL)
        return reach_by_proxy(v);
    wst_stream_t *stream = doctor_connect(&v->doctor, &v->server, hint);
    if (stream != NULL)
        doctor_skip(&v->doctor, "proxy", "none: by --proxy or the environment");
    return stream;
}

static const char *tls_advice(int error, const char *detail) {
    const char *advice = agent_advice(error, 0, detail);
    if (advice != NULL)
        return advice;
    if (strncmp(detail, "public key is not pinned", strlen("public key is not pinned")) == 0)
        return "if this is the pin that the server's log tells, its key is a new one: --pin; if "
               "not, something between breaks TLS open";
    if (strstr(detail, "expired") != NULL)
        return "the certificate must be renewed at the server; or the clock of this machine is "
               "wrong";
    if (strstr(detail, "not valid before") != NULL)
        return "the clock of this machine or of the certificate's maker is wrong";
    if (strstr(detail, "for other names") != NULL)
        return "use one of these names in the URL; or another server answers, such as a captive "
               "portal: see the issuer";
    if (error == WST_ETLSCERT)
        return "the certificate must be replaced at the server";
    return "does the server speak TLS there? Without, the URL is ws://; an inspecting firewall may "
           "also break it off";
}

/* Takes the stream; over TLS if the URL says so. NULL: a step has failed. */
static wst_stream_t *secure(visit_t *v, wst_stream_t *stream) {
    wst_tls_config_t *config = wst_tls_config_ref(v->tls);
    const char *sni = v->config.options.sni;
    if (!v->server.tls) {
        doctor_skip(&v->doctor, "tls", "ws:// has none: nothing is encrypted up to the server");
        return stream;
    }
    if (config == NULL && wst_tls_client_config(&config, v->doctor.ctx, NULL, NULL) != 0) {
        doctor_begin(&v->doctor, "tls");
        doctor_fail(&v->doctor, "--ca FILE or --pin", "this system has no trust store");
        wst_stream_close(stream, NULL);
        return NULL;
    }
    const doctor_tls_t tls = {.config = config,
                              .server_name = v->server.host,
                              .sni = sni,
                              .insecure = v->config.insecure,
                              .advice = tls_advice,
                              .gap_advice =
                                  "install the full chain at the server: its certificate, then "
                                  "those of its issuers; or, if that issuer is the root of a "
                                  "private authority, --ca FILE trusts the certificates in FILE"};
    stream = doctor_secure(&v->doctor, stream, &tls);
    wst_tls_config_unref(config);
    return stream;
}

static bool visit(visit_t *v, const char *url) {
    const agent_config_t *config = &v->config;
    const char *why;
    (void)doctor_place_parse(&v->server, url, &why); /* it has been checked */
    doctor_target(&v->doctor, v->server.where);
    wst_stream_t *stream = reach(v);
    if (stream != NULL)
        stream = secure(v, stream);
    if (stream == NULL)
        return false;
    if (config->protocol == WST_PROTOCOL_TALK) { /* the server would use it at once */
        doctor_skip(&v->doctor, "upgrade", "the talk's protocol cannot be tried without work");
        wst_stream_close(stream, NULL);
        return true;
    }
    const doctor_session_t session = {
        .stream = stream,
        .host = config->options.host != NULL ? config->options.host : v->server.authority,
        .path = v->server.path[0] != '\0' ? v->server.path : "/websocket",
        .fields = v->fields,
        .name = v->name,
        .has_token = v->has_token,
        .encoding = config->options.encoding};
    return doctor_session(&v->doctor, &session);
}

/* -------------------------------------------------------------------------------------------- */

static void visit_all(visit_t *v) {
    for (const char **url = v->config.urls; *url != NULL; url++)
        visit(v, *url);
    if (v->doctor.failed)
        return;
    if (v->tunnel.proxy == NULL) {
        doctor_skip(&v->doctor, "connect",
                    "no client's way: --via URL and --to or --echo HOST:PORT");
        return;
    }
    doctor_target(&v->doctor, v->tunnel.place.where);
    doctor_tunnel(&v->doctor, &v->tunnel);
}

/* Returns the exit status. */
static int run(visit_t *v) {
    doctor_format_t format = v->json ? DOCTOR_JSON : v->report ? DOCTOR_REPORT : DOCTOR_LINES;
    log_set(WST_LOG_WARN, LOG_TEXT);
    int status = doctor_open(&v->doctor, PROGRAM, &v->options, format);
    if (status != 0) {
        log_line(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
        return 1;
    }
    bool ready = prepare(v);
    if (ready)
        visit_all(v);
    else
        v->doctor.format = DOCTOR_LINES; /* there is nothing to tell */
    doctor_tunnel_release(&v->tunnel);
    wst_tls_config_unref(v->proxy.tls);
    wst_tls_config_unref(v->tls);
    status = doctor_close(&v->doctor);
    return ready ? status : 2;
}

int doctor_agent_main(int argc, char **argv) {
    static const options_syntax_t syntax = {.program = PROGRAM,
                                            .usage = usage,
                                            .fields = &agent_config_fields,
                                            .more = &fields,
                                            .takes_config = true,
                                            .takes_arguments = true};
    static visit_t v;
    int status;
    if (!options_parse(&v.options, &syntax, argc, argv, &status))
        return status;
    status = read_options(&v) ? run(&v) : 2;
    if (status == 2)
        config_print(&v.config.config, PROGRAM, true);
    config_wipe(v.fields, sizeof(v.fields));
    config_free(&v.secrets);
    agent_config_free(&v.config);
    return status;
}
