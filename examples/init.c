/* SPDX-License-Identifier: MIT */
/*
 * Makes what a server needs: certificate and key, a token for agents, a user, and the configuration
 * that names them. Then prints the lines to type at the server, the agent and the client.
 */
#include "init.h"
#include "new_files.h"
#include "options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define PROGRAM "wstunnel-server init"

enum {
    PORT = 8443,
    DAYS = 3650,
    DAY_S = 24 * 60 * 60,
    TOKEN_LEN = 43,    /* of 64 characters each: 256 bits; too long to be guessed (access.h) */
    PASSWORD_LEN = 24, /* 144 bits */
    USER_MAX = 64,
    TEXT_MAX = 32768
};

static const char usage[] =
    "usage: wstunnel-server init --name HOST [--user NAME] DIR\n"
    "Makes what a server needs, in the directory DIR: a self-signed certificate and its key, a "
    "token\n"
    "for agents, a user with a password, and a configuration. Prints the lines to type next.\n"
    "Overwrites nothing.\n"
    "\n"
    "  --name HOST           the name or address by which agents and clients reach the server\n"
    "  --user NAME           the user's name (default client): 1 to 64 of A-Z a-z 0-9 . _ -\n"
    "  --help, -h, --version\n"
    "\n"
    "Examples:\n"
    "  wstunnel-server init --name server.example conf\n"
    "  wstunnel-server init --name 192.0.2.7 --user alice conf\n"
    "  sudo -u wstunnel wstunnel-server init --name server.example /var/lib/wstunnel/conf\n";

typedef struct init {
    config_t config; /* the faults */
    const char *host, *user;
    const char *directory; /* as given */
    char *path;            /* absolute */
    wst_tls_self_signed_t tls;
    char pin[WST_TLS_PIN_MAX];
    char token[TOKEN_LEN + 1], password[PASSWORD_LEN + 1];
} init_t;

static const config_field_t members[] = {
    {.name = "name", .kind = CONFIG_TEXT, .offset = offsetof(init_t, host), .max = 253},
    {.name = "user", .kind = CONFIG_TEXT, .offset = offsetof(init_t, user), .max = USER_MAX},
};
static const config_fields_t fields = {members, sizeof(members) / sizeof(members[0])};

/* Options ------------------------------------------------------------------------------------ */

static bool read_options(init_t *i, const options_t *options) {
    config_t *c = &i->config;
    options_read(c, options, &fields, i);
    if (i->host == NULL && c->error_count == 0)
        config_fault(c, "--name",
                     "is needed: the name or address by which agents and clients "
                     "reach the server");
    if (i->user == NULL)
        i->user = "client";
    else if (!config_is_name(i->user))
        config_fault(c, "--user", CONFIG_NAME_FAULT);
    i->directory = options->arguments[0];
    if (i->directory == NULL)
        config_fault(c, NULL, "a directory is needed, for the files to make");
    else if (options->arguments[1] != NULL)
        config_fault(c, NULL, "unexpected argument '%s'", options->arguments[1]);
    return c->error_count == 0;
}

/* Secrets ------------------------------------------------------------------------------------ */

/* Writes random characters that URLs, tokens and shells take as they are. 0 or an error. */
static int make_secret(char *out, size_t len) {
    static const char alphabet[65] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    int status = uv_random(NULL, NULL, out, len, 0, NULL);
    for (size_t n = 0; n < len && status == 0; n++)
        out[n] = alphabet[(unsigned char)out[n] % 64];
    if (out[0] == '-') /* it could be taken for an option */
        out[0] = '_';
    out[len] = '\0';
    return status;
}

/* Says what a host is not, if it can be said. */
static void complain_host(init_t *i) {
    const char *host = i->host;
    const char *advice = strstr(host, "://") != NULL || strchr(host, '/') != NULL
                             ? "; write the name alone, not a URL"
                         : host[0] == '['            ? "; write the address without brackets"
                         : strchr(host, ':') != NULL ? "; write the name alone, without a port"
                                                     : "";
    config_fault(&i->config, "--name", "'%s' is neither a DNS name nor an IP address%s", host,
                 advice);
}

static bool make_secrets(init_t *i) {
    const char *const names[] = {i->host, NULL};
    const wst_tls_self_sign_options_t options = {
        .size = sizeof(options), .names = names, .days = DAYS};
    wst_tls_error_t why = {""};
    int status =
        strchr(i->host, '*') == NULL ? wst_tls_self_sign(&i->tls, &options, &why) : (int)WST_EINVAL;
    if (status == WST_EINVAL) {
        complain_host(i);
        return false;
    }
    if (status == 0)
        status = wst_tls_pin(i->pin, i->tls.certificate_pem, &why);
    if (status == 0)
        status = make_secret(i->token, TOKEN_LEN);
    if (status == 0)
        status = make_secret(i->password, PASSWORD_LEN);
    if (status != 0)
        config_fault(&i->config, NULL, "%s", status == WST_ETLS ? why.text : wst_strerror(status));
    return status == 0;
}

/* Files -------------------------------------------------------------------------------------- */

/* Writes a path as a string of JSON; the caller frees it. NULL: no memory. */
static char *quote_json(const char *path, const char *name) {
    size_t size = strlen(path) + strlen(name) + 2;
    char *whole = malloc(size);
    if (whole == NULL)
        return NULL;
    snprintf(whole, size, "%s/%s", path, name);
    cJSON *node = cJSON_CreateString(whole);
    char *quoted = node != NULL ? cJSON_PrintUnformatted(node) : NULL;
    cJSON_Delete(node);
    free(whole);
    return quoted;
}

/* Whether a configuration with this path in it can be read: it is UTF-8, without control
 * characters. */
static bool may_be_configured(const char *config, const char *path) {
    wst_json_error_t error;
    return !config_has_control(path) && wst_json_check(config, strlen(config), &error) == 0;
}

/* Writes the configuration. False: no memory, or the directory's name cannot be in it. */
static bool write_config(char out[TEXT_MAX], init_t *i) {
    static const char *const names[] = {"cert.pem", "key.pem", "agent.token", "users"};
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    char *quoted[NAMES] = {NULL};
    bool whole = true;
    for (size_t n = 0; n < NAMES; n++) {
        quoted[n] = quote_json(i->path, names[n]);
        whole = whole && quoted[n] != NULL;
    }
    int len = !whole ? -1
                     : snprintf(out, TEXT_MAX,
                                "{\n"
                                "    \"listen\": \":%d\",\n"
                                "    \"cert\": %s,\n"
                                "    \"key\": %s,\n"
                                "    \"agent_token_file\": %s,\n"
                                "    \"user_file\": %s,\n"
                                "    \"rules\": [\n"
                                "        {\"deny\": \"*:25\"},\n"
                                "        {\"allow\": \"*\"}\n"
                                "    ]\n"
                                "}\n",
                                PORT, quoted[0], quoted[1], quoted[2], quoted[3]);
    for (size_t n = 0; n < NAMES; n++)
        cJSON_free(quoted[n]);
    if (len < 0 || len >= TEXT_MAX)
        config_fault(&i->config, NULL, "out of memory");
    else if (!may_be_configured(out, i->path))
        config_fault(&i->config, NULL, "%s: the name cannot be in a configuration", i->directory);
    else
        return true;
    return false;
}

static bool add_files(init_t *i, new_files_t *n) {
    static char config[TEXT_MAX];
    char token[TOKEN_LEN + 2], users[USER_MAX + PASSWORD_LEN + 3];
    snprintf(token, sizeof(token), "%s\n", i->token);
    snprintf(users, sizeof(users), "%s:%s\n", i->user, i->password);
    bool done = new_files_add(n, "key.pem", i->tls.key_pem) &&
                new_files_add(n, "cert.pem", i->tls.certificate_pem) &&
                new_files_add(n, "agent.token", token) && new_files_add(n, "users", users) &&
                write_config(config, i) && new_files_add(n, "wstunnel.json", config) &&
                new_files_commit(n);
    config_wipe(token, sizeof(token));
    config_wipe(users, sizeof(users));
    return done;
}

/* Writes all files, or none: a signal waits until it is done. */
static bool write_files(init_t *i) {
    new_files_t n;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    bool done = new_files_open(&n, i->directory);
    if (done) {
        i->path = realpath(i->directory, NULL);
        if (i->path == NULL)
            config_fault(&i->config, NULL, "%s: %s", i->directory, strerror(errno));
        done = i->path != NULL && add_files(i, &n);
        if (done)
            new_files_close(&n);
        else
            new_files_abort(&n);
    }
    if (n.fault[0] != '\0')
        config_fault(&i->config, NULL, "%s", n.fault);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return done;
}

/* What to type next -------------------------------------------------------------------------- */

/* Prints a path of the directory as a word of a shell. */
static void print_path(const init_t *i, const char *name) {
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789._-/+:@%,";
    if (i->path[strspn(i->path, safe)] == '\0') {
        printf("%s/%s", i->path, name);
        return;
    }
    putchar('\'');
    for (const char *at = i->path; *at != '\0'; at++)
        fputs(*at == '\'' ? "'\\''" : (const char[]){*at, '\0'}, stdout);
    printf("/%s'", name);
}

static void print_server(const init_t *i) {
    char date[16];
    time_t end = time(NULL) + (time_t)DAYS * DAY_S;
    struct tm utc;
    if (gmtime_r(&end, &utc) == NULL || strftime(date, sizeof(date), "%Y-%m-%d", &utc) == 0)
        date[0] = '\0';
    printf("Made in %s: cert.pem key.pem agent.token users wstunnel.json\n"
           "The certificate is self-signed, for %s, valid until %s.\n\n"
           "Start the server:\n\n    wstunnel-server --config ",
           i->path, i->host, date);
    print_path(i, "wstunnel.json");
    if (geteuid() == 0)
        printf("\n\n(The files are root's. For a server that runs as another user, make them as "
               "that user.)");
}

static void print_agent(const init_t *i, const char *host) {
    printf("\n\nStart an agent, inside the private network:\n\n"
           "    (umask 077; echo %s > agent.token)\n"
           "    wstunnel-agent --token-file agent.token --pin %s wss://%s:%d\n\n",
           i->token, i->pin, host, PORT);
}

static void print_client(const init_t *i, const char *host) {
    printf(
        "Use the server, here or elsewhere with a copy of cert.pem:\n\n    curl --proxy-cacert ");
    print_path(i, "cert.pem");
    printf(" --proxy https://%s:%s@%s:%d https://intranet.example/\n\n", i->user, i->password, host,
           PORT);
}

/* A public authority certifies names only. */
static void print_certbot(const init_t *i) {
    if (strchr(i->host, '.') == NULL || strchr(i->host, ':') != NULL ||
        i->host[strspn(i->host, "0123456789.")] == '\0')
        return;
    printf(
        "With a certificate of certbot agents need no --pin, and clients no --proxy-cacert. Name "
        "it in\nwstunnel.json:\n\n"
        "    \"cert\": \"/etc/letsencrypt/live/%s/fullchain.pem\",\n"
        "    \"key\": \"/etc/letsencrypt/live/%s/privkey.pem\",\n",
        i->host, i->host);
}

static bool print_all(const init_t *i) {
    char host[256 + 2];
    bool six = strchr(i->host, ':') != NULL;
    snprintf(host, sizeof(host), "%s%s%s", six ? "[" : "", i->host, six ? "]" : "");
    print_server(i);
    print_agent(i, host);
    print_client(i, host);
    print_certbot(i);
    if (fflush(stdout) == 0)
        return true;
    fprintf(stderr, "%s: the files are made, but not all is printed: %s\n", PROGRAM,
            strerror(errno));
    return false;
}

/* -------------------------------------------------------------------------------------------- */

int init_main(int argc, char **argv) {
    static const options_syntax_t syntax = {
        .program = PROGRAM, .usage = usage, .fields = &fields, .takes_arguments = true};
    static options_t options;
    static init_t i;
    int status;
    if (!options_parse(&options, &syntax, argc, argv, &status))
        return status;
    signal(SIGXFSZ, SIG_IGN); /* then it is an error of write() */
    status = 2;
    if (read_options(&i, &options) && make_secrets(&i)) {
        status = 1;
        if (write_files(&i) && print_all(&i))
            status = 0;
    }
    config_print(&i.config, PROGRAM, status == 2);
    free(i.path);
    config_free(&i.config);
    config_wipe(&i, sizeof(i));
    return status;
}
