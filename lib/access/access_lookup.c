/* SPDX-License-Identifier: MIT */
/*
 * Look-ups of users in the embedder's database. A look-up lives until the embedder answers it. By
 * then its request may be gone (`request` is NULL), and the access object, too (`access` is NULL).
 */
#include "access.h"
#include "sized.h"

#include <string.h>

struct wst_access_lookup {
    wst__list_t node; /* in access->lookups */
    wst_access_t *access;
    wst_request_t *request;
    wst_allocator_t allocator; /* a copy: the context may go first */
    char name[WST__ACCESS_NAME_MAX + 1];
};

static void on_gone(wst_request_t *request, void *user_data) {
    wst_access_lookup_t *lookup = user_data;
    (void)request;
    lookup->request = NULL;
}

/* Detaches the request from its look-up, for the caller to answer. NULL: the request has gone. */
static wst_request_t *take_request(wst_access_lookup_t *lookup) {
    wst_request_t *request = lookup->request;
    lookup->request = NULL;
    if (request != NULL)
        wst_request_on_gone(request, NULL, NULL);
    return request;
}

static void free_lookup(wst_access_lookup_t *lookup) {
    const wst_allocator_t allocator = lookup->allocator;
    if (lookup->access != NULL) {
        wst__list_remove(&lookup->node);
        lookup->access->lookup_count--;
    }
    wst__free(&allocator, lookup);
}

/* Asking ------------------------------------------------------------------------------------- */

static bool is_crowded(wst_access_t *access) {
    if (access->lookup_count < access->max_lookups)
        return false;
    if (!access->crowd_logged)
        wst_ctx_log(access->ctx, WST_LOG_WARN,
                    "%zu look-ups of users: further clients are refused (said once)",
                    access->lookup_count);
    access->crowd_logged = true;
    return true;
}

static void start_lookup(wst_access_t *access, wst_request_t *request, const char *name) {
    const wst_allocator_t *a = wst_ctx_allocator(access->ctx);
    wst_access_lookup_t *lookup = wst__zalloc(a, sizeof(*lookup));
    if (lookup == NULL) {
        wst__access_tell(request, WST__ACCESS_BROKEN, NULL);
        return;
    }
    lookup->access = access;
    lookup->request = request;
    lookup->allocator = *a;
    memcpy(lookup->name, name, strlen(name) + 1);
    wst__list_init(&lookup->node);
    wst__list_append(&access->lookups, &lookup->node);
    access->lookup_count++;
    wst_request_on_gone(request, on_gone, lookup);
    access->on_user(access, lookup, access->user_data); /* may free access, request and look-up */
}

bool wst__access_look_up(wst_access_t *access, wst_request_t *request, const char *name,
                         size_t len) {
    char copy[WST__ACCESS_NAME_MAX + 1];
    if (access->on_user == NULL || len >= sizeof(copy))
        return false;
    memcpy(copy, name, len);
    copy[len] = '\0';
    if (!wst__access_is_user_name(copy))
        return false;
    if (is_crowded(access))
        wst__access_tell(request, WST__ACCESS_CROWDED, NULL);
    else
        start_lookup(access, request, copy);
    return true;
}

const char *wst_access_lookup_name(const wst_access_lookup_t *lookup) {
    return lookup->name;
}

/* Answers ------------------------------------------------------------------------------------ */

static const char *read_answer(wst_access_user_t *out, const char **member,
                               const wst_access_user_t *given) {
    *member = "size";
    if (wst__sized_read(out, sizeof(*out), given) != 0)
        return "not set, or a member is unknown here";
    return wst__access_user_flaw(out, member);
}

/* Reads an answer. Returns whether `users` would accept it; if not, logs why, without secrets. */
static bool is_sound(wst_access_user_t *out, const wst_access_lookup_t *lookup,
                     const wst_access_user_t *given) {
    const char *member, *flaw = read_answer(out, &member, given);
    if (flaw != NULL)
        wst_ctx_log(lookup->access->ctx, WST_LOG_ERROR, "look-up of user %s: %s: %s", lookup->name,
                    member, flaw);
    return flaw == NULL;
}

void wst_access_lookup_answer(wst_access_lookup_t *lookup, const wst_access_user_t *given) {
    wst_access_user_t user = {.name = ""};
    wst_request_t *request = take_request(lookup);
    if (request != NULL && given != NULL && !is_sound(&user, lookup, given)) {
        wst__access_tell(request, WST__ACCESS_UNKNOWN, NULL);
    } else if (request != NULL) {
        bool found = strcmp(user.name, lookup->name) == 0;
        wst__access_found(lookup->access, request, lookup->name, found ? &user : NULL);
    }
    free_lookup(lookup);
}

void wst_access_lookup_fail(wst_access_lookup_t *lookup) {
    wst_request_t *request = take_request(lookup);
    if (request != NULL)
        wst__access_tell(request, WST__ACCESS_UNKNOWN, NULL);
    free_lookup(lookup);
}

void wst__access_detach_lookups(wst_access_t *access) {
    wst__list_t *node;
    while ((node = wst__list_first(&access->lookups)) != NULL) {
        wst_access_lookup_t *lookup = WST__CONTAINER(node, wst_access_lookup_t, node);
        wst_request_t *request = take_request(lookup);
        if (request != NULL)
            wst__access_tell(request, WST__ACCESS_UNKNOWN, NULL);
        wst__list_remove(&lookup->node);
        lookup->access = NULL;
    }
}
