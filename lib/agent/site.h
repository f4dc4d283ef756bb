/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SITE_H
#define WST_LIB_SITE_H
/*
 * A site: a server's URL, and the slots that keep connections to it. There are `connections` of
 * them, or so many for each address of the URL's host. These are looked up again every
 * WST__SITE_LOOKUP_MS: a new address gets slots, those of an address that is gone retire.
 *
 * At most WST__ADDRESS_SET_MAX addresses have slots, and as many have slots that retire; beyond
 * that new ones wait.
 */
#include "address_set.h"
#include "slot.h"

#include <wstunnel/resolver.h>

enum { WST__SITE_LOOKUP_MS = 30000 };

typedef struct wst__site wst__site_t;

/* A slot of a site, and its options. The user_data of the slot's callbacks. */
typedef struct wst__site_slot {
    wst__list_t node;
    wst__site_t *site;
    char address[WST__ADDRESS_TEXT]; /* "": any of the host's */
    wst__slot_options_t options;
    wst__slot_t slot;
} wst__site_slot_t;

/* The addresses cannot be looked up, and none is known; `owner` as in the options. */
typedef void (*wst__site_failed_cb)(const wst_agent_failure_t *failure, void *owner);

struct wst__site {
    wst_ctx_t *ctx;
    void *owner; /* for the callbacks */
    char *url;
    wst__endpoint_t endpoint;
    wst__upgrade_t upgrade;
    uint32_t connections;
    wst__list_t slots; /* wst__site_slot_t */
    size_t slot_count;

    /* With all addresses: */
    bool all_addresses;
    wst__part_t part;
    wst__slot_options_t options; /* of slots to come */
    wst__site_failed_cb on_failed;
    wst__address_set_t addresses;
    wst_resolve_t *resolve;
    wst__deadline_t lookup; /* the next one */
    unsigned failures;      /* in a row */
    wst__defer_t sweep;     /* frees slots that have retired */
};

typedef struct wst__site_options {
    void *owner;
    const char *url;
    wst_tls_config_t *tls;            /* NULL: the system's trust store */
    wst_tls_config_t *trust;          /* that, if it has been read; or NULL */
    const char *sni;                  /* as of an endpoint */
    const wst_proxy_options_t *proxy; /* likewise */
    const char *host, *fields;        /* as of an upgrade */
    uint32_t connections;
    bool all_addresses;
    wst__site_failed_cb on_failed;
} wst__site_options_t;

/* Copies and checks the options; starts nothing. 0, or an error as of wst__endpoint_init. Free the
 * site after an error, too. A site must not move in memory. */
int wst__site_init(wst__site_t *site, wst_ctx_t *ctx, const wst__site_options_t *options);

/* Starts the slots, with these options; the site adds endpoint, upgrade, address, on_gone and
 * user_data. */
void wst__site_start(wst__site_t *site, const wst__slot_options_t *options);

/* Frees what the site has; it must not have been started, or its node must have been closed. A
 * zeroed site is allowed. */
void wst__site_free(wst__site_t *site);

/* Whether a slot is up. */
bool wst__site_is_up(const wst__site_t *site);

/* As wst__slot_describe, of all slots, with the server. */
bool wst__site_describe(const wst__site_t *site, size_t *n, wst_agent_connection_status_t *out);

/* As wst__slot_reconnect, for each slot; addresses are looked up now. */
void wst__site_reconnect(wst__site_t *site);

#endif
