/* SPDX-License-Identifier: MIT */
/* Makes the slots of a server's URL (site.h). */
#include "site.h"

#include <stdio.h>
#include <string.h>

enum { SLOTS_PER_CONNECTION = 2 * WST__ADDRESS_SET_MAX };

/* Slots -------------------------------------------------------------------------------------- */

/* `address`: "" for any. */
static wst__site_slot_t *add_slot(wst__site_t *site, const char *address) {
    wst__site_slot_t *one = wst__zalloc(&site->ctx->allocator, sizeof(*one));
    if (one == NULL)
        return NULL;
    one->site = site;
    snprintf(one->address, sizeof(one->address), "%s", address);
    wst__list_init(&one->node);
    wst__list_append(&site->slots, &one->node);
    site->slot_count++;
    return one;
}

static void free_slot(wst__site_slot_t *one) {
    one->site->slot_count--;
    wst__list_remove(&one->node);
    wst__free(&one->site->ctx->allocator, one);
}

static void sweep(wst__defer_t *defer) {
    wst__site_t *site = WST__CONTAINER(defer, wst__site_t, sweep);
    WST__LIST_EACH_SAFE(wst__site_slot_t, one, &site->slots, node) {
        if (wst__slot_is_gone(&one->slot)) {
            wst__slot_remove(&one->slot);
            free_slot(one);
        }
    }
}

static void on_slot_gone(void *user_data) {
    wst__site_t *site = ((wst__site_slot_t *)user_data)->site;
    wst__defer(site->ctx, &site->sweep, sweep);
}

static void start_slot(wst__site_slot_t *one, const wst__slot_options_t *options) {
    one->options = *options;
    one->options.endpoint = &one->site->endpoint;
    one->options.upgrade = &one->site->upgrade;
    one->options.address = one->address[0] != '\0' ? one->address : NULL;
    one->options.on_gone = on_slot_gone;
    one->options.user_data = one;
    wst__slot_init(&one->slot, &one->options);
}

/* Addresses ---------------------------------------------------------------------------------- */

static bool has_slot(const wst__site_t *site, const char *address) {
    WST__LIST_EACH(const wst__site_slot_t, one, &site->slots, node) {
        if (!one->slot.retired && strcmp(one->address, address) == 0)
            return true;
    }
    return false;
}

static void retire_slots(wst__site_t *site) {
    WST__LIST_EACH(wst__site_slot_t, one, &site->slots, node) {
        if (one->slot.retired || wst__address_set_has(&site->addresses, one->address))
            continue;
        wst_ctx_log(site->ctx, WST_LOG_INFO, "server %s: the address is gone", one->slot.label);
        wst__slot_retire(&one->slot);
        wst__defer(site->ctx, &site->sweep, sweep);
    }
}

/* 0; WST_ELIMIT: too many still retire; WST_ENOMEM. */
static int add_slots(wst__site_t *site, const char *address) {
    if (site->slot_count + site->connections > (size_t)site->connections * SLOTS_PER_CONNECTION)
        return WST_ELIMIT;
    for (uint32_t i = 0; i < site->connections; i++) {
        wst__site_slot_t *one = add_slot(site, address);
        if (one == NULL)
            return WST_ENOMEM;
        start_slot(one, &site->options);
    }
    return 0;
}

static void look_up(wst__deadline_t *deadline, uint64_t now_ms);

static void look_up_in(wst__site_t *site, uint64_t delay_ms) {
    wst__deadline_in(site->ctx, &site->lookup, delay_ms, look_up);
}

/* Without any address the time to the next look-up grows as that between attempts. */
static uint64_t next_lookup_ms(wst__site_t *site) {
    uint64_t delay = site->options.backoff_min_ms;
    if (site->addresses.count > 0)
        return WST__SITE_LOOKUP_MS;
    for (unsigned i = 0; i < site->failures && delay < WST__SITE_LOOKUP_MS; i++)
        delay *= 2;
    site->failures++;
    return delay < WST__SITE_LOOKUP_MS ? delay : WST__SITE_LOOKUP_MS;
}

static void fail_lookup(wst__site_t *site, int error) {
    const wst_agent_failure_t failure = {.size = sizeof(failure),
                                         .error = error,
                                         .detail = wst_strerror(error),
                                         .retry_in_ms = next_lookup_ms(site)};
    look_up_in(site, failure.retry_in_ms);
    wst_ctx_log(site->ctx, WST_LOG_WARN, "server %s: its addresses: %s; looked up again in %llu ms",
                site->endpoint.authority, failure.detail, (unsigned long long)failure.retry_in_ms);
    if (site->addresses.count == 0)
        site->on_failed(&failure, site->owner);
}

static void on_addresses(int status, const struct sockaddr_storage *addresses, size_t count,
                         void *user_data) {
    wst__site_t *site = user_data;
    site->resolve = NULL;
    if (status != 0) {
        fail_lookup(site, status);
        return;
    }
    site->failures = 0;
    look_up_in(site, WST__SITE_LOOKUP_MS);
    wst__address_set_update(&site->addresses, addresses, count);
    retire_slots(site);
    for (size_t i = 0; i < site->addresses.count; i++) {
        const char *address = site->addresses.texts[i];
        status = has_slot(site, address) ? 0 : add_slots(site, address);
        if (status != 0)
            wst_ctx_log(site->ctx, WST_LOG_WARN, "server %s: no connection to %s yet: %s",
                        site->endpoint.authority, address, wst_strerror(status));
    }
}

static void look_up(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__site_t *site = WST__CONTAINER(deadline, wst__site_t, lookup);
    int status = wst_resolve(&site->resolve, site->ctx, site->endpoint.host,
                             site->options.timeout_ms, on_addresses, site);
    if (status != 0)
        fail_lookup(site, status);
}

static void stop_looking(wst__part_t *part) {
    wst__site_t *site = WST__CONTAINER(part, wst__site_t, part);
    wst__deadline_clear(&site->ctx->deadlines, &site->lookup);
    if (site->resolve != NULL)
        wst_resolve_cancel(site->resolve);
    site->resolve = NULL;
}

static void close_site(wst__part_t *part) {
    wst__site_t *site = WST__CONTAINER(part, wst__site_t, part);
    stop_looking(part);
    wst__defer_cancel(&site->sweep);
}

/* Life --------------------------------------------------------------------------------------- */

static int init_site_target(wst__site_t *site, const wst__url_t *url,
                            const wst__site_options_t *o) {
    const wst__endpoint_options_t endpoint = {.url = url,
                                              .tls = o->tls == NULL && url->tls ? o->trust : o->tls,
                                              .sni = o->sni,
                                              .proxy = o->proxy};
    site->url = wst__strdup(&site->ctx->allocator, o->url);
    if (site->url == NULL)
        return WST_ENOMEM;
    int status = wst__upgrade_init(&site->upgrade, site->ctx, url, o->host, o->fields);
    return status == 0 ? wst__endpoint_init(&site->endpoint, site->ctx, &endpoint) : status;
}

int wst__site_init(wst__site_t *site, wst_ctx_t *ctx, const wst__site_options_t *o) {
    wst__url_t url;
    const char *why = "";
    *site = (wst__site_t){.ctx = ctx,
                          .owner = o->owner,
                          .connections = o->connections,
                          .all_addresses = o->all_addresses,
                          .part = {.drain = stop_looking, .close = close_site},
                          .on_failed = o->on_failed};
    wst__list_init(&site->slots);
    wst__defer_init(&site->sweep);
    int status = wst__url_parse(&url, o->url, &why);
    if (status != 0) {
        wst_ctx_log(ctx, WST_LOG_ERROR, "server URL: %s", why);
        return status;
    }
    status = init_site_target(site, &url, o);
    for (uint32_t i = 0; i < o->connections && !o->all_addresses && status == 0; i++)
        status = add_slot(site, "") != NULL ? 0 : WST_ENOMEM;
    return status;
}

void wst__site_start(wst__site_t *site, const wst__slot_options_t *options) {
    WST__LIST_EACH(wst__site_slot_t, one, &site->slots, node)
        start_slot(one, options);
    if (!site->all_addresses)
        return;
    site->options = *options;
    wst__node_add(options->node, &site->part);
    look_up_in(site, 0);
}

void wst__site_free(wst__site_t *site) {
    if (site->ctx == NULL)
        return;
    WST__LIST_EACH_SAFE(wst__site_slot_t, one, &site->slots, node)
        free_slot(one);
    wst__endpoint_free(&site->endpoint);
    wst__upgrade_free(&site->upgrade);
    wst__free(&site->ctx->allocator, site->url);
}

bool wst__site_is_up(const wst__site_t *site) {
    WST__LIST_EACH(const wst__site_slot_t, one, &site->slots, node) {
        if (one->slot.is_up)
            return true;
    }
    return false;
}

bool wst__site_describe(const wst__site_t *site, size_t *n, wst_agent_connection_status_t *out) {
    WST__LIST_EACH(const wst__site_slot_t, one, &site->slots, node) {
        if (!wst__slot_describe(&one->slot, n, out))
            continue;
        out->server = site->endpoint.authority;
        out->address = one->address;
        return true;
    }
    return false;
}

void wst__site_reconnect(wst__site_t *site) {
    WST__LIST_EACH(wst__site_slot_t, one, &site->slots, node)
        wst__slot_reconnect(&one->slot);
    if (site->lookup.set)
        look_up_in(site, 0);
}
