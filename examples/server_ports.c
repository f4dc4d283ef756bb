/* SPDX-License-Identifier: MIT */
#include "server_ports.h"

#include "listen_address.h"
#include "log.h"
#include "sockets.h"

/* Takes the open port with that configuration out of the list. NULL: there is none. */
static wst_port_t *take_port(server_ports_t *ports, const port_config_t *config) {
    for (size_t i = 0; i < ports->count; i++) {
        wst_port_t *port = ports->list[i].port;
        if (port != NULL && port_config_same(ports->list[i].config, config)) {
            ports->list[i].port = NULL;
            return port;
        }
    }
    return NULL;
}

static void close_ports(server_ports_t *ports) {
    for (size_t i = 0; i < ports->count; i++) {
        if (ports->list[i].port == NULL)
            continue;
        log_line(WST_LOG_INFO, "port %s closed", wst_port_address(ports->list[i].port));
        wst_port_close(ports->list[i].port, NULL);
    }
}

static void log_opened(const server_port_t *p) {
    const port_config_t *c = p->config;
    log_line(WST_LOG_INFO, "port %s leads to %s%s%s%s%s", wst_port_address(p->port), c->destination,
             c->agent != NULL ? " through " : "", c->agent != NULL ? c->agent : "",
             c->user != NULL ? " for " : "", c->user != NULL ? c->user : "");
}

static int open_port(server_port_t *p, wst_server_t *server) {
    const port_config_t *c = p->config;
    char text[SOCKETS_TEXT];
    const wst_port_options_t options = {.size = sizeof(options),
                                        .listen = sockets_take(text, c->listen),
                                        .destination = c->destination,
                                        .agent = c->agent,
                                        .user = c->user,
                                        .open = c->open};
    int status = wst_port_new(&p->port, server, &options);
    if (status == 0) {
        log_opened(p);
        return 0;
    }
    p->port = NULL;
    log_line(WST_LOG_ERROR, "cannot open port %s to %s: %s", c->listen, c->destination,
             wst_strerror(status));
    if (status == WST_EINSECURE)
        log_line(WST_LOG_ERROR, "whoever reaches a port can use it: say \"open\" if that is meant");
    return status;
}

int server_ports_change(server_ports_t *ports, wst_server_t *server, const ports_config_t *config) {
    server_ports_t now = {.count = config->count};
    int first = 0;
    for (size_t i = 0; i < now.count; i++)
        now.list[i] = (server_port_t){&config->list[i], take_port(ports, &config->list[i])};
    close_ports(ports); /* first, since a new port may use the same address */
    for (size_t i = 0; i < now.count; i++) {
        int status = now.list[i].port == NULL ? open_port(&now.list[i], server) : 0;
        first = first != 0 ? first : status;
    }
    *ports = now;
    return first;
}

int server_ports_check(wst_server_t *server, const ports_config_t *config) {
    int first = 0;
    for (size_t i = 0; i < config->count; i++) {
        char address[LISTEN_ADDRESS_MAX];
        port_config_t any = config->list[i];
        server_port_t port = {.config = &any};
        if (!listen_address_any_port(address, any.listen))
            continue;
        any.listen = address;
        int status = open_port(&port, server);
        if (status == 0)
            wst_port_close(port.port, NULL);
        first = first != 0 ? first : status;
    }
    return first;
}
