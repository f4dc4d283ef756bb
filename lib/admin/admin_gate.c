/* SPDX-License-Identifier: MIT */
/*
 * Decides who may use the admin: with accounts, operators with the credentials of one; without,
 * clients of this machine. Web pages may not: a page of another origin lacks the credentials, or
 * the field that a POST needs; a page whose name has been pointed at this machine (DNS rebinding)
 * is recognised by Host.
 */
#include "admin.h"

#include "forwarded.h"
#include "ip.h"

#include <stdio.h>
#include <string.h>

static void refuse(wst__admin_verdict_t *v, int status, const char *reason) {
    v->status = status;
    v->reason = reason;
}

/* Without accounts --------------------------------------------------------------------------- */

static bool is_local_peer(const char *peer) {
    wst__ip_t ip;
    if (wst__ip_of_peer(&ip, peer))
        return wst__ip_is_loopback(&ip);
    return strncmp(peer, "unix:", 5) == 0;
}

/* A host with or without a port, as in Host and Origin; brackets are taken off. */
static wst_str_t host_of(wst_str_t authority) {
    const char *end = authority.len > 0 && authority.ptr[0] == '['
                          ? memchr(authority.ptr, ']', authority.len)
                          : NULL;
    if (end != NULL)
        return (wst_str_t){authority.ptr + 1, (size_t)(end - authority.ptr) - 1};
    end = memchr(authority.ptr, ':', authority.len);
    return (wst_str_t){authority.ptr, end != NULL ? (size_t)(end - authority.ptr) : authority.len};
}

/* Whether the client means this machine by a name that no foreign page can have. */
static bool has_safe_host(const wst_http_head_t *head) {
    const wst_http_header_t *field = wst_http_header(head, "Host", NULL);
    wst__ip_t ip;
    if (field == NULL || field->value.len == 0)
        return false;
    wst_str_t host = host_of(field->value);
    return wst_str_ieq(host, "localhost") || wst__ip_parse(&ip, host.ptr, host.len);
}

static void admit_anyone(wst__admin_verdict_t *v, const wst_admin_t *a, const wst_http_head_t *head,
                         const char *peer) {
    if (!a->options.allow_open && !is_local_peer(peer))
        refuse(v, 403, "Without accounts only this machine is served");
    else if (!a->options.allow_open && wst__forwarded_any(head))
        refuse(v, 403, "Without accounts requests that a proxy passes on are not served");
    else if (!has_safe_host(head))
        refuse(v, 403, "Without accounts use localhost or an IP address for the host");
}

/* With accounts ------------------------------------------------------------------------------ */

static void challenge_operator(wst__admin_verdict_t *v) {
    refuse(v, 401, "An operator's name and password are required");
    snprintf(v->fields, sizeof(v->fields),
             "WWW-Authenticate: Basic realm=\"wstunnel operators\", charset=\"UTF-8\"\r\n");
}

static void limit_operator(wst__admin_verdict_t *v, uint64_t wait_ms) {
    refuse(v, 429, "Too many failed attempts to authenticate");
    snprintf(v->fields, sizeof(v->fields), "Retry-After: %llu\r\n",
             (unsigned long long)((wait_ms + 999) / 1000));
}

static void take_account(wst__admin_operator_t *viewer, const wst__admin_account_t *account) {
    memcpy(viewer->name, account->name, sizeof(viewer->name));
    memcpy(viewer->tenant, account->tenant, sizeof(viewer->tenant));
    viewer->read_only = account->read_only;
}

/* Checks credentials that may be checked now; the answer is held back for `v->wait_ms`. */
static void check_operator(wst__admin_verdict_t *v, wst_admin_t *a, const wst_auth_basic_t *c,
                           const wst__attempt_t *attempt, const char *peer,
                           wst__admin_operator_t *viewer) {
    uint64_t now = wst_ctx_now(a->ctx), wait;
    const wst__admin_account_t *account = wst__admin_find_account(a, c);
    wst__attempt_hold(a->attempts, v->wait_ms, now);
    if (account != NULL) {
        wst__attempt_succeeded(a->attempts, attempt, now);
        take_account(viewer, account);
        return;
    }
    wst__attempt_failed(a->attempts, attempt, now);
    wst__attempt_admit(a->attempts, attempt, &wait, now);
    wst_ctx_log(a->ctx, WST_LOG_WARN, "operator at %s refused: wrong name or password%s", peer,
                wait > 0 ? ", too often" : "");
    challenge_operator(v);
}

static void admit_account(wst__admin_verdict_t *v, wst_admin_t *a, const wst_http_head_t *head,
                          const char *peer, wst__admin_operator_t *viewer) {
    wst_auth_basic_t c;
    wst__attempt_t attempt;
    uint64_t now = wst_ctx_now(a->ctx);
    if (!wst_auth_basic_parse(&c, head, "Authorization")) {
        challenge_operator(v);
        return;
    }
    wst__attempt_describe(&attempt, a->attempts, peer, c.user);
    if (wst__attempt_admit(a->attempts, &attempt, &v->wait_ms, now)) {
        check_operator(v, a, &c, &attempt, peer, viewer);
    } else {
        limit_operator(v, v->wait_ms);
        v->wait_ms = 0;
    }
    wst__wipe(&c, sizeof(c));
}

void wst__admin_admit(wst__admin_verdict_t *v, wst_admin_t *a, const wst_http_head_t *head,
                      const char *peer, wst__admin_operator_t *viewer) {
    *v = (wst__admin_verdict_t){0};
    *viewer = (wst__admin_operator_t){0};
    if (a->account_count > 0)
        admit_account(v, a, head, peer, viewer);
    else
        admit_anyone(v, a, head, peer);
}

/* Forgery ------------------------------------------------------------------------------------ */

/* Whether an origin, "https://HOST[:PORT]", is that of the request. */
static bool is_own_origin(wst_str_t origin, const wst_http_head_t *head) {
    const wst_http_header_t *host = wst_http_header(head, "Host", NULL);
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < 2 && host != NULL; i++) {
        size_t len = strlen(schemes[i]);
        if (origin.len == len + host->value.len && memcmp(origin.ptr, schemes[i], len) == 0 &&
            memcmp(origin.ptr + len, host->value.ptr, host->value.len) == 0)
            return true;
    }
    return false;
}

const char *wst__admin_forged(const wst_http_head_t *head) {
    const wst_http_header_t *mark = wst_http_header(head, "Wstunnel-Admin", NULL);
    const wst_http_header_t *origin = wst_http_header(head, "Origin", NULL);
    const wst_http_header_t *site = wst_http_header(head, "Sec-Fetch-Site", NULL);
    if (origin != NULL && !is_own_origin(origin->value, head))
        return "Another origin's request";
    if (site != NULL && !wst_str_eq(site->value, "same-origin") && !wst_str_eq(site->value, "none"))
        return "Another site's request";
    if (mark == NULL || !wst_str_eq(mark->value, "1"))
        return "A POST needs the field Wstunnel-Admin: 1";
    return NULL;
}
