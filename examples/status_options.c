/* SPDX-License-Identifier: MIT */
#include "status_options.h"

#include "ask_secret.h"
#include "listen_address.h"
#include "status_data.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LEN = 127, INTERVAL_MAX_S = 3600 };

static const config_field_t members[] = {
    {.name = "config", .kind = CONFIG_TEXT, .offset = offsetof(status_options_t, file)},
    {.name = "user",
     .kind = CONFIG_TEXT,
     .offset = offsetof(status_options_t, user),
     .max = NAME_MAX_LEN},
    {.name = "password_file",
     .kind = CONFIG_TEXT,
     .offset = offsetof(status_options_t, password_file)},
    {.name = "ca", .kind = CONFIG_TEXT, .offset = offsetof(status_options_t, ca)},
    {.name = "pin", .kind = CONFIG_LIST, .offset = offsetof(status_options_t, pins)},
    {.name = "sort",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(status_options_t, order),
     .choices = STATUS_ORDERS},
    {.name = "interval",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(status_options_t, interval),
     .size = sizeof(unsigned),
     .min = 1,
     .max = INTERVAL_MAX_S},
    {.name = "once", .kind = CONFIG_FLAG, .offset = offsetof(status_options_t, once)},
    {.name = "json", .kind = CONFIG_FLAG, .offset = offsetof(status_options_t, json)},
};
const config_fields_t status_options_fields = {members, sizeof(members) / sizeof(members[0])};

/* Where to ask ------------------------------------------------------------------------------- */

static void read_authority(status_options_t *o, const char *text, size_t len) {
    wst_authority_t a;
    const char *why;
    if (wst_parse_authority(&a, (wst_str_t){text, len}, &why) != 0) {
        config_fault(&o->config, "ADDRESS",
                     "'%.*s': %s; http://HOST:PORT, https://HOST:PORT or "
                     "unix:/PATH",
                     (int)len, text, why);
        return;
    }
    o->place.host = config_copy(&o->config, a.host.ptr, a.host.len);
    o->place.port = a.port;
}

static void read_address(status_options_t *o, const char *text) {
    static const char http[] = "http://", https[] = "https://";
    const char *authority = text;
    o->address = text;
    if (listen_address_is_unix(text)) {
        o->place.path = text + 5;
        return;
    }
    o->secure = strncmp(text, https, sizeof(https) - 1) == 0;
    if (o->secure)
        authority += sizeof(https) - 1;
    else if (strncmp(text, http, sizeof(http) - 1) == 0)
        authority += sizeof(http) - 1;
    size_t len = strlen(authority);
    read_authority(o, authority, len > 0 && authority[len - 1] == '/' ? len - 1 : len);
    o->place.server_name = o->place.host;
}

/* The address where a listener can be reached from this machine. */
static void read_listener(status_options_t *o, const server_listener_t *l) {
    char text[LISTEN_ADDRESS_MAX];
    const char *port = strrchr(l->address, ':');
    o->address = l->address;
    o->by_server_file = o->secure =
        (l->roles & WST_LISTEN_TLS) != 0 ||
        ((l->roles & WST_LISTEN_PLAIN) == 0 && o->server.pair_count > 0);
    if (!listen_address_is_valid(l->address)) {
        config_fault(&o->config, NULL, "%s: '%s' is no address", o->file, l->address);
    } else if (listen_address_is_unix(l->address)) {
        o->place.path = l->address + 5;
    } else {
        bool any = port == l->address || strncmp(l->address, "0.0.0.0:", 8) == 0;
        bool any6 = strncmp(l->address, "[::]:", 5) == 0;
        snprintf(text, sizeof(text), "%s%s",
                 any    ? "127.0.0.1"
                 : any6 ? "[::1]"
                        : l->address,
                 any || any6 ? port : "");
        read_authority(o, text, strlen(text));
    }
}

/* The first address for operators that does not expect a proxy's header. */
static void find_listener(status_options_t *o) {
    for (size_t i = 0; i < o->server.listener_count; i++) {
        const server_listener_t *l = &o->server.listeners[i];
        if ((l->roles & WST_ROLE_ADMIN) != 0 && (l->roles & WST_LISTEN_PROXY) == 0) {
            read_listener(o, l);
            return;
        }
    }
    config_fault(&o->config, NULL, "%s has no address with the role admin: name ADDRESS", o->file);
}

/* The account of --user, or the first one. */
static void find_account(status_options_t *o) {
    const admin_config_t *admins = &o->server.admins;
    for (size_t i = 0; i < admins->count; i++) {
        const wst_admin_account_t *account = &admins->accounts[i];
        if (o->user != NULL && strcmp(o->user, account->name) != 0)
            continue;
        o->place.user = account->name;
        o->place.password = account->password;
        return;
    }
}

/* Reads the server's file. False: it is faulty, which has been printed. */
static bool read_server(status_options_t *o) {
    options_t options = {.config_file = o->file};
    if (server_config_read(&o->server, &options))
        return true;
    config_print(&o->server.config, STATUS_PROGRAM, false);
    return false;
}

bool status_options_read(status_options_t *o, const options_t *options) {
    config_t *c = &o->config;
    const char *address = options->arguments[0];
    o->interval = 1;
    options_read(c, options, &status_options_fields, o);
    if (address != NULL && options->arguments[1] != NULL)
        config_fault(c, NULL, "unexpected argument '%s'", options->arguments[1]);
    if (address == NULL && o->file == NULL)
        config_fault(c, NULL,
                     "an address is needed: http://HOST:PORT, https://HOST:PORT or "
                     "unix:/PATH; or --config FILE");
    if (o->user != NULL && strchr(o->user, ':') != NULL)
        config_fault(c, "--user", "must have no colon");
    if (c->error_count > 0 || (o->file != NULL && !read_server(o)))
        return false;
    find_account(o);
    if (address != NULL)
        read_address(o, address);
    else
        find_listener(o);
    if (o->user != NULL)
        o->place.user = o->user;
    if (o->password_file != NULL)
        o->place.password = config_read_secret(c, NULL, "--password-file", o->password_file);
    if (o->password_file != NULL && o->place.user == NULL)
        config_fault(c, "--password-file", "needs --user");
    if ((o->ca != NULL || o->pins != NULL) && (!o->secure || o->by_server_file))
        config_fault(c, o->ca != NULL ? "--ca" : "--pin", "needs an ADDRESS with https://");
    return c->error_count == 0;
}

bool status_options_ask(status_options_t *o) {
    const char *why;
    if (o->place.user == NULL || o->place.password != NULL)
        return true;
    o->place.password = o->password;
    if (ask_secret(o->password, sizeof(o->password), "Password", &why))
        return true;
    config_fault(&o->config, NULL, "the password: %s", why);
    return false;
}

/* TLS ---------------------------------------------------------------------------------------- */

bool status_options_tls(status_options_t *o, wst_ctx_t *ctx, wst_tls_config_t **out) {
    char pin[WST_TLS_PIN_MAX];
    const char *const pins[] = {pin, NULL};
    wst_tls_client_options_t options = {.size = sizeof(options), .pins = o->pins};
    wst_tls_error_t why = {""};
    int status = 0;
    *out = NULL;
    if (!o->secure)
        return true;
    if (o->by_server_file) {
        const char *chain = config_read_pem(&o->config, "cert", o->server.pairs[0].chain);
        options.insecure = true;
        options.pins = pins;
        status = chain != NULL ? wst_tls_pin(pin, chain, &why) : 0;
    } else {
        options.ca_pem = config_read_pem(&o->config, "--ca", o->ca);
    }
    if (status == 0 && o->config.error_count == 0)
        status = wst_tls_client_config(out, ctx, &options, &why);
    if (status != 0)
        config_fault(&o->config, NULL, "%s", status == WST_ETLS ? why.text : wst_strerror(status));
    return o->config.error_count == 0;
}

void status_options_free(status_options_t *o) {
    server_config_free(&o->server);
    config_free(&o->config);
    config_wipe(o, sizeof(*o));
}
