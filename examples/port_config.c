/* SPDX-License-Identifier: MIT */
/* Ports in the server's configuration (port_config.h). */
#include "port_config.h"
#include "listen_address.h"

#include <stdio.h>
#include <string.h>

#define LISTEN_FAULT      "must be PORT, IP:PORT, [IP]:PORT, :PORT, localhost:PORT or unix:/PATH"
#define DESTINATION_FAULT "must be HOST:PORT"
#define TEXT_FORM         "LISTEN=HOST:PORT[@AGENT][,user=NAME][,open]"

enum { PLACE_MAX = 256, AGENT_MAX = 64, USER_MAX = 127 };

/* Addresses ---------------------------------------------------------------------------------- */

/* A number alone is a port on the loopback address, as for ssh -R. NULL: no memory. */
static const char *complete_listen(config_t *c, const char *listen) {
    char text[32];
    if (listen == NULL || !listen_address_is_port(listen))
        return listen;
    int len = snprintf(text, sizeof(text), "127.0.0.1:%s", listen);
    return config_copy(c, text, (size_t)len);
}

static bool is_destination(const char *text) {
    wst_authority_t authority;
    return wst_parse_authority(&authority, (wst_str_t){text, strlen(text)}, NULL) == 0;
}

/* The file ----------------------------------------------------------------------------------- */

static const config_field_t port_members[] = {
    {.name = "listen", .kind = CONFIG_TEXT, .offset = offsetof(port_config_t, listen)},
    {.name = "destination", .kind = CONFIG_TEXT, .offset = offsetof(port_config_t, destination)},
    {.name = "agent",
     .kind = CONFIG_TEXT,
     .offset = offsetof(port_config_t, agent),
     .max = AGENT_MAX},
    {.name = "user", .kind = CONFIG_TEXT, .offset = offsetof(port_config_t, user), .max = USER_MAX},
    {.name = "open", .kind = CONFIG_FLAG, .offset = offsetof(port_config_t, open)},
};
static const config_fields_t port_fields = {port_members,
                                            sizeof(port_members) / sizeof(port_members[0])};

static void check_port(config_t *c, const config_node_t *node, void *target) {
    port_config_t *port = target;
    const config_node_t listen = config_member(node, "listen");
    const config_node_t destination = config_member(node, "destination");
    port->index = node->index;
    port->listen = complete_listen(c, port->listen);
    if (port->listen == NULL)
        config_wrong(c, node, "\"listen\" is needed");
    else if (!listen_address_is_valid(port->listen))
        config_wrong(c, &listen, LISTEN_FAULT);
    if (port->destination == NULL)
        config_wrong(c, node, "\"destination\" is needed");
    else if (!is_destination(port->destination))
        config_wrong(c, &destination, DESTINATION_FAULT);
}

void port_config_read(config_t *c, const config_node_t *node, ports_config_t *ports) {
    ports->list =
        config_read_array(c, node, &port_fields, sizeof(*ports->list), &ports->count, check_port);
    if (ports->count > PORTS_MAX)
        config_wrong(c, node, "more than %d ports", PORTS_MAX);
}

/* The command line --------------------------------------------------------------------------- */

static void fault_of_text(config_t *c, const port_config_t *port, const char *why) {
    config_fault(c, "--port", "%s: %s", port->text, why);
}

/* Reads "user=NAME" or "open". */
static void read_word(config_t *c, port_config_t *port, const char *word) {
    if (strcmp(word, "open") == 0)
        port->open = true;
    else if (strncmp(word, "user=", 5) == 0 && word[5] != '\0' && strlen(word + 5) <= USER_MAX)
        port->user = word + 5;
    else
        fault_of_text(c, port, "must be " TEXT_FORM);
}

/* Reads "LISTEN=HOST:PORT[@AGENT]". The last "=" separates, since a path may have one too. */
static void read_ends(config_t *c, port_config_t *port, char *text) {
    char *equals = text != NULL ? strrchr(text, '=') : NULL;
    char *at = equals != NULL ? strchr(equals, '@') : NULL;
    if (equals == NULL || (at != NULL && (at[1] == '\0' || strlen(at + 1) > AGENT_MAX))) {
        fault_of_text(c, port, "must be " TEXT_FORM);
        return;
    }
    *equals = '\0';
    if (at != NULL)
        *at++ = '\0';
    port->agent = at;
    port->listen = complete_listen(c, text);
    port->destination = equals + 1;
    if (port->listen != NULL && !listen_address_is_valid(port->listen))
        fault_of_text(c, port, "LISTEN " LISTEN_FAULT);
    if (!is_destination(port->destination))
        fault_of_text(c, port, "the destination " DESTINATION_FAULT);
}

static void read_port(config_t *c, port_config_t *port, const char *text) {
    char *rest, *copy = config_copy(c, text, strlen(text));
    port->text = text;
    if (copy == NULL)
        return;
    read_ends(c, port, strtok_r(copy, ",", &rest));
    for (char *word = NULL; (word = strtok_r(NULL, ",", &rest)) != NULL;)
        read_word(c, port, word);
}

void port_config_add(config_t *c, ports_config_t *ports, const char *const *texts) {
    size_t more = config_count(texts);
    if (more == 0)
        return;
    port_config_t *all = config_alloc(c, (ports->count + more) * sizeof(*all));
    if (all == NULL)
        return;
    if (ports->count > 0)
        memcpy(all, ports->list, ports->count * sizeof(*all));
    for (size_t i = 0; i < more; i++)
        read_port(c, &all[ports->count + i], texts[i]);
    ports->list = all;
    ports->count += more;
    if (ports->count > PORTS_MAX)
        config_fault(c, "--port", "more than %d ports", PORTS_MAX);
}

/* All ports ---------------------------------------------------------------------------------- */

/* Notes a fault at a member of a port, from the file or the command line. */
static void wrong_member(config_t *c, const port_config_t *port, const char *file,
                         const char *member, const char *why) {
    char place[PLACE_MAX];
    if (port->text != NULL) {
        config_fault(c, "--port", "%s: %s: %s", port->text, member, why);
        return;
    }
    snprintf(place, sizeof(place), "ports[%zu].%s", port->index, member);
    c->file = file;
    config_fault(c, place, "%s", why);
    c->file = NULL;
}

static bool is_user(const access_config_t *access, const char *name) {
    for (size_t i = 0; i < access->options.user_count; i++)
        if (access->users[i].name != NULL && strcmp(access->users[i].name, name) == 0)
            return true;
    return false;
}

/* Whether two ports have the same address. Port 0 (any free one) does not count. */
static bool same_address(const port_config_t *a, const port_config_t *b) {
    size_t len = a->listen != NULL ? strlen(a->listen) : 0;
    return len >= 2 && b->listen != NULL && strcmp(a->listen, b->listen) == 0 &&
           strcmp(a->listen + len - 2, ":0") != 0;
}

void port_config_check(config_t *c, const ports_config_t *ports, const access_config_t *access,
                       const char *file) {
    bool users = access->options.user_count > 0;
    for (size_t i = 0; i < ports->count && i < PORTS_MAX; i++) {
        const port_config_t *port = &ports->list[i];
        if (users && port->user == NULL)
            wrong_member(c, port, file, "user", "is needed, since there are users");
        else if (users && !is_user(access, port->user))
            wrong_member(c, port, file, "user", "there is no such user");
        for (size_t other = 0; other < i; other++)
            if (same_address(&ports->list[other], port))
                wrong_member(c, port, file, "listen", "another port has this address");
    }
}

bool port_config_same(const port_config_t *a, const port_config_t *b) {
    return config_same_text(a->listen, b->listen) &&
           config_same_text(a->destination, b->destination) &&
           config_same_text(a->agent, b->agent) && config_same_text(a->user, b->user) &&
           a->open == b->open;
}
