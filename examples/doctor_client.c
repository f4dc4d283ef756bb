/* SPDX-License-Identifier: MIT */
/* A client's way: name, TCP, TLS, the proxy's answer, a tunnel, and bytes through it. */
#include "doctor_client.h"

#include <stdio.h>
#include <string.h>

#include "doctor_tunnel.h"
#include "log.h"

#define PROGRAM "wstunnel-server doctor"

/* A destination for a request that is only to be answered: no name ends so (RFC 6761 section 6.4).
 */
#define NOWHERE "wstunnel-doctor.invalid"

enum { NOWHERE_PORT = 443 };

static const char usage[] =
    "usage: wstunnel-server doctor [options] PROXY-URL\n"
    "Goes a client's way through the server, its proxy, step by step, and tells of each step how "
    "long\n"
    "it took, or why it failed and what to do. PROXY-URL: http://, https:// or socks5://, with\n"
    "USER:PASSWORD@ if need be. Run it where the clients are.\n"
    "\n"
    "  --proxy-user-file FILE  USER:PASSWORD: the first line of FILE; or the environment variable\n"
    "                        WSTUNNEL_PROXY_USER\n"
    "  --ca FILE             with https://: whose certificates count (default: the system's)\n"
    "  --to HOST:PORT        open a tunnel to this destination\n"
    "  --echo HOST:PORT      the same, for one that sends back what it gets: its round trip, and\n"
    "                        10 MB there and back\n"
    "  --json                print the steps as JSON, at the end\n"
    "  --report              print a report to send to others: no secrets, no values of options\n"
    "  --help, -h, --version\n"
    "\n"
    "Examples:\n"
    "  wstunnel-server doctor --ca conf/cert.pem https://server.example:8443\n"
    "  wstunnel-server doctor --proxy-user-file user --echo build-host:7 http://127.0.0.1:8080\n"
    "\n"
    "The exit status is 0 if all is well, 1 if a step failed, 2 for wrong options.\n";

typedef struct check {
    doctor_t doctor;
    options_t options;
    config_t config; /* the faults */
    doctor_tunnel_t tunnel;
    bool json, report;
} check_t;

static const config_field_t members[] = {
    {.name = "proxy_user_file", .kind = CONFIG_TEXT, .offset = offsetof(check_t, tunnel.user_file)},
    {.name = "proxy_user",
     .kind = CONFIG_SECRET,
     .offset = offsetof(check_t, tunnel.user),
     .max = 2 * CONFIG_SECRET_MAX,
     .variable = "WSTUNNEL_PROXY_USER"},
    {.name = "ca", .kind = CONFIG_TEXT, .offset = offsetof(check_t, tunnel.ca)},
    {.name = "to", .kind = CONFIG_TEXT, .offset = offsetof(check_t, tunnel.to)},
    {.name = "echo", .kind = CONFIG_TEXT, .offset = offsetof(check_t, tunnel.echo)},
    {.name = "json", .kind = CONFIG_FLAG, .offset = offsetof(check_t, json)},
    {.name = "report", .kind = CONFIG_FLAG, .offset = offsetof(check_t, report)},
};
static const config_fields_t fields = {members, sizeof(members) / sizeof(members[0])};

static bool read_options(check_t *k) {
    config_t *c = &k->config;
    char **url = k->options.arguments;
    options_read(c, &k->options, &fields, k);
    options_pick_secret(c, &k->options, "proxy_user", &k->tunnel.user, &k->tunnel.user_file,
                        "WSTUNNEL_PROXY_USER");
    if (url[0] == NULL)
        config_fault(c, NULL, "a URL is needed: that of the proxy, which is the server");
    else if (url[1] != NULL)
        config_fault(c, NULL, "unexpected argument '%s'", url[1]);
    else if ((k->tunnel.proxy = options_hide_user(url[0])) == NULL)
        config_fault(c, NULL, "out of memory");
    if (k->json && k->report)
        config_fault(c, NULL, "either --json or --report");
    return c->error_count == 0;
}

/* The steps ---------------------------------------------------------------------------------- */

static const char *tls_advice(int error, const char *detail) {
    if (strstr(detail, "expired") != NULL)
        return "the certificate must be renewed at the server; or the clock of this machine is "
               "wrong";
    if (strstr(detail, "not trusted") != NULL)
        return "--ca FILE trusts the certificates in FILE: that of the issuer, or a copy of the "
               "server's own; clients need the same (curl --proxy-cacert)";
    if (strstr(detail, "for other names") != NULL)
        return "use one of these names in the URL; or another server answers: see the issuer";
    if (error == WST_ETLSCERT)
        return "the certificate must be replaced at the server";
    return "does the server speak TLS at this address? Without, the URL is http://";
}

/* Takes the stream. */
static bool secure(check_t *k, wst_stream_t *stream) {
    const doctor_place_t *place = &k->tunnel.place;
    if (!place->tls) {
        doctor_skip(&k->doctor, "tls", "this address is reached without");
        wst_stream_close(stream, NULL);
        return true;
    }
    const doctor_tls_t tls = {.config = k->tunnel.options.tls,
                              .server_name = place->host,
                              .advice = tls_advice,
                              .gap_advice =
                                  "install the full chain at the server: its certificate, then "
                                  "those of its issuers; or, if that issuer is the root of a "
                                  "private authority, --ca FILE trusts the certificates in FILE; "
                                  "clients need the same (curl --proxy-cacert)"};
    stream = doctor_secure(&k->doctor, stream, &tls);
    if (stream == NULL)
        return false;
    wst_stream_close(stream, NULL);
    return true;
}

/* Whether the proxy asks who comes: by a request without credentials. */
static bool ask_proxy(check_t *k) {
    doctor_t *d = &k->doctor;
    wst_proxy_options_t options = k->tunnel.options;
    doctor_proxied_t proxied;
    options.url = k->tunnel.place.where; /* without credentials */
    options.credentials = NULL;
    doctor_begin(d, "proxy");
    doctor_proxy_dial(d, &proxied, &options, NOWHERE, NOWHERE_PORT);
    if (proxied.stream != NULL)
        wst_stream_close(proxied.stream, NULL);
    if (proxied.status == WST_EPROXYAUTH)
        return doctor_pass(d, "asks for user and password%s%s",
                           proxied.schemes[0] != '\0' ? ", by: " : "", proxied.schemes);
    if (proxied.status == 0 || proxied.status == WST_EPROXY)
        return doctor_pass(d, "open: it asks for no password%s%s%s",
                           proxied.status != 0 ? " (to a name that does not exist: " : "",
                           proxied.detail, proxied.status != 0 ? ")" : "");
    return doctor_fail(d, doctor_proxy_advice(&proxied, NULL), "%s", proxied.detail);
}

static void check(check_t *k) {
    doctor_t *d = &k->doctor;
    doctor_target(d, k->tunnel.place.where);
    wst_stream_t *stream = doctor_connect(d, &k->tunnel.place, NULL);
    if (stream != NULL && secure(k, stream) && ask_proxy(k))
        doctor_tunnel(d, &k->tunnel);
}

/* -------------------------------------------------------------------------------------------- */

/* Returns the exit status. */
static int run(check_t *k) {
    doctor_format_t format = k->json ? DOCTOR_JSON : k->report ? DOCTOR_REPORT : DOCTOR_LINES;
    log_set(WST_LOG_WARN, LOG_TEXT);
    int status = doctor_open(&k->doctor, PROGRAM, &k->options, format);
    if (status != 0) {
        log_line(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
        return 1;
    }
    bool ready = doctor_tunnel_prepare(&k->tunnel, &k->doctor, &k->config);
    if (ready)
        check(k);
    else
        k->doctor.format = DOCTOR_LINES; /* there is nothing to tell */
    doctor_tunnel_release(&k->tunnel);
    status = doctor_close(&k->doctor);
    return ready ? status : 2;
}

int doctor_client_main(int argc, char **argv) {
    static const options_syntax_t syntax = {
        .program = PROGRAM, .usage = usage, .fields = &fields, .takes_arguments = true};
    static check_t k;
    int status;
    if (!options_parse(&k.options, &syntax, argc, argv, &status))
        return status;
    status = read_options(&k) ? run(&k) : 2;
    if (status == 2)
        config_print(&k.config, PROGRAM, true);
    config_free(&k.config);
    return status;
}
