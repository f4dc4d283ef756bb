/* SPDX-License-Identifier: MIT */
/*
 * On whose behalf a peer connects, if it is a proxy that is trusted to tell (server.h). A proxy's
 * word replaces the address that limits and logs go by. It never makes a client one of this
 * machine, to which more may be allowed.
 */
#include "server.h"

#include "forwarded.h"

#include <stdio.h>

bool wst__claim_counts(const wst__ip_t *ip) {
    wst__ip_t targets[WST__IP_TARGETS];
    size_t count = wst__ip_targets(targets, ip, NULL, 0);
    for (size_t i = 0; i < count; i++)
        if (wst__ip_is_loopback(&targets[i]))
            return false;
    return true;
}

static void log_forgery(wst_server_t *s, const char *peer) {
    if (!s->forgery_logged)
        wst_ctx_log(
            s->node.ctx, WST_LOG_WARN,
            "request by %s: Forwarded and X-Forwarded-For name different clients, so neither "
            "counts: have the proxy remove the one that it does not set (said once)",
            peer);
    s->forgery_logged = true;
}

void wst__claim_of_request(wst_server_t *s, char out[96], const char *peer,
                           const wst_http_head_t *head) {
    wst__forwarded_client_t client;
    wst__forwarded_t found = WST__FORWARDED_NONE;
    if (wst__trusted_has_peer(s->trust, peer))
        found = wst__forwarded_client(&client, head, s->trust);
    if (found == WST__FORWARDED_CONTRADICTORY)
        log_forgery(s, peer);
    if (found == WST__FORWARDED_FOUND && wst__claim_counts(&client.ip))
        wst__ip_to_peer(out, &client.ip, client.port);
    else
        snprintf(out, 96, "%s", peer);
}
