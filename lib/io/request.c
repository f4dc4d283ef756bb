/* SPDX-License-Identifier: MIT */
/*
 * Questions to the embedder (request.h).
 *
 *     ASKED --answer, or deadline--> ANSWERED --settled, or from the loop, perhaps held back:
 *        |                                       on_answer--> gone
 *        \--the asker cancels--> CANCELLED --from the loop: on_gone--> gone
 */
#include "request.h"

#include "defaults.h"
#include "ip.h"
#include "labels.h"
#include "sized.h"
#include "utf8.h"

#include <assert.h>
#include <string.h>

enum { MAGIC = 0x57535251, REASON_MAX = 200, ERROR_MAX = 32, CAUSE_MAX = 63, DELAY_MAX_MS = 60000 };

/* Of a denial. */
typedef struct denial_texts {
    char reason[REASON_MAX + 1], error[ERROR_MAX + 1];
    char claimed_user[WST__USER_MAX + 1], cause[CAUSE_MAX + 1];
} denial_texts_t;

struct wst_request {
    uint32_t magic;
    wst_ctx_t *ctx;
    enum { ASKED, ANSWERED, CANCELLED } state;
    const wst_http_head_t *head;
    const wst_auth_basic_t *login;
    char *destination, *peer;
    char user[WST__USER_MAX + 1], tenant[WST__TENANT_MAX + 1], address[WST__IP_TEXT];
    bool authenticated;
    wst_remote_t *remote;
    const struct wst_tls_info *tls;
    wst__answer_cb on_answer;
    void *user_data;
    void (*on_gone)(wst_request_t *request, void *user_data);
    void *gone_data;
    wst__deadline_t deadline; /* of the answer; once answered, the time to deliver it */
    uint64_t held_until_ms;   /* no delivery before; 0: none is set */
    wst__defer_t defer;

    uint8_t credential[WST__CREDENTIAL_LEN];
    wst__answer_t answer;
    denial_texts_t *texts; /* NULL: not denied */
    char *fields;
    const char **labels;
    char *networks;
    bool labels_lost, networks_lost; /* for lack of memory */
    bool early;
};

static void destroy_request(wst_request_t *r) {
    wst_ctx_t *ctx = r->ctx;
    wst__deadline_clear(&ctx->deadlines, &r->deadline);
    wst__defer_cancel(&r->defer);
    wst__free(&ctx->allocator, r->destination);
    wst__free(&ctx->allocator, r->peer);
    wst__free(&ctx->allocator, r->texts);
    wst__free_secret(&ctx->allocator, r->fields); /* may contain an agent's credentials */
    wst__free(&ctx->allocator, r->labels);
    wst__free(&ctx->allocator, r->networks);
    r->magic = 0;
    wst__free(&ctx->allocator, r);
    wst__ctx_release(ctx);
}

static void tell_gone(wst_request_t *r) {
    if (r->on_gone != NULL)
        r->on_gone(r, r->gone_data);
}

static void deliver_answer(wst__defer_t *defer) {
    wst_request_t *r = WST__CONTAINER(defer, wst_request_t, defer);
    if (r->state == CANCELLED) {
        tell_gone(r);
    } else {
        r->answer.user = r->user;
        r->answer.tenant = r->tenant;
        r->answer.credential = r->credential;
        r->answer.labels = r->labels;
        r->answer.claimed_user = r->texts != NULL ? r->texts->claimed_user : "";
        r->answer.cause = r->texts != NULL ? r->texts->cause : "";
        r->answer.networks = r->networks;
        r->answer.early = r->early;
        r->on_answer(&r->answer, r->user_data);
    }
    destroy_request(r);
}

static void on_held_long_enough(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_request_t *r = WST__CONTAINER(deadline, wst_request_t, deadline);
    wst__defer(r->ctx, &r->defer, deliver_answer);
}

/* Delivers the answer from the loop, or later if it is held back. */
static void schedule_delivery(wst_request_t *r) {
    if (r->held_until_ms > wst__now(r->ctx))
        wst__deadline_set(&r->ctx->deadlines, &r->deadline, r->held_until_ms, on_held_long_enough);
    else
        wst__defer(r->ctx, &r->defer, deliver_answer);
}

void wst__request_settle(wst_request_t *r) {
    bool held_back = wst__list_empty(&r->defer.node);
    if (r->state != ANSWERED || held_back)
        return;
    wst__defer_cancel(&r->defer);
    deliver_answer(&r->defer);
}

static void on_answer_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_request_t *r = WST__CONTAINER(deadline, wst_request_t, deadline);
    r->state = ANSWERED;
    r->answer.kind = WST__UNANSWERED;
    r->head = NULL;
    r->login = NULL;
    r->tls = NULL;
    /* The asker may cancel in here, but an answer is too late. */
    tell_gone(r);
    if (r->state == ANSWERED)
        schedule_delivery(r);
}

int wst__request_new(wst_request_t **out, wst_ctx_t *ctx, const wst__ask_t *ask) {
    const wst_allocator_t *a = &ctx->allocator;
    wst_request_t *r = wst__zalloc(a, sizeof(*r));
    if (r == NULL)
        return WST_ENOMEM;
    r->magic = MAGIC;
    r->ctx = ctx;
    wst__ctx_hold(ctx);
    wst__defer_init(&r->defer);
    r->head = ask->head;
    r->login = ask->login;
    r->destination = wst__strdup(a, ask->destination != NULL ? ask->destination : "");
    r->peer = wst__strdup(a, ask->peer != NULL ? ask->peer : "");
    if (r->destination == NULL || r->peer == NULL) {
        destroy_request(r);
        return WST_ENOMEM;
    }
    wst_request_set_user(r, ask->user != NULL ? ask->user : "");
    wst_request_set_tenant(r, ask->tenant != NULL ? ask->tenant : "");
    wst__utf8_cut(r->address, sizeof(r->address), ask->address != NULL ? ask->address : "");
    r->authenticated = ask->authenticated;
    r->remote = ask->remote;
    r->tls = ask->tls;
    r->on_answer = ask->on_answer;
    r->user_data = ask->user_data;
    wst__deadline_in(ctx, &r->deadline,
                     ask->timeout_ms != 0 ? ask->timeout_ms : WST__STEP_TIMEOUT_MS,
                     on_answer_deadline);
    *out = r;
    return 0;
}

void wst__request_cancel(wst_request_t *r) {
    assert(r->magic == MAGIC);
    if (r->state == ANSWERED) {
        if (r->answer.stream != NULL)
            wst_stream_close(r->answer.stream, NULL);
        r->answer.stream = NULL;
        r->on_gone = NULL; /* the embedder has answered and expects no more calls */
    }
    r->state = CANCELLED;
    r->head = NULL;
    r->login = NULL;
    r->tls = NULL;
    wst__deadline_clear(&r->ctx->deadlines, &r->deadline);
    wst__defer(r->ctx, &r->defer, deliver_answer);
}

const wst_http_head_t *wst_request_head(const wst_request_t *r) {
    return r->head;
}

bool wst_request_basic(const wst_request_t *r, wst_auth_basic_t *out) {
    if (r->login != NULL)
        *out = *r->login;
    return r->login != NULL ||
           (r->head != NULL && wst_auth_basic_parse(out, r->head, "Proxy-Authorization"));
}

const char *wst_request_destination(const wst_request_t *r) {
    return r->destination;
}

const char *wst_request_peer(const wst_request_t *r) {
    return r->peer;
}

const char *wst_request_user(const wst_request_t *r) {
    return r->user;
}

bool wst_request_is_authenticated(const wst_request_t *r) {
    return r->authenticated;
}

void wst_request_set_user(wst_request_t *r, const char *user) {
    wst__utf8_cut(r->user, sizeof(r->user), user);
}

const char *wst_request_tenant(const wst_request_t *r) {
    return r->tenant;
}

void wst_request_set_tenant(wst_request_t *r, const char *tenant) {
    wst__utf8_cut(r->tenant, sizeof(r->tenant), tenant);
}

void wst_request_set_credential(wst_request_t *r, const uint8_t hash[WST__CREDENTIAL_LEN]) {
    memcpy(r->credential, hash, sizeof(r->credential));
}

void wst_request_set_labels(wst_request_t *r, const char *const *labels) {
    wst__free(&r->ctx->allocator, r->labels);
    r->labels_lost = wst__labels_copy(&r->ctx->allocator, &r->labels, labels) != 0;
}

void wst_request_set_networks(wst_request_t *r, const char *networks) {
    wst__free(&r->ctx->allocator, r->networks);
    r->networks = networks[0] != '\0' ? wst__strdup(&r->ctx->allocator, networks) : NULL;
    r->networks_lost = networks[0] != '\0' && r->networks == NULL;
}

void wst_request_allow_early(wst_request_t *r) {
    r->early = true;
}

const char *wst_request_address(const wst_request_t *r) {
    return r->address;
}

wst_remote_t *wst_request_remote(const wst_request_t *r) {
    return r->remote;
}

const struct wst_tls_info *wst_request_tls(const wst_request_t *r) {
    return r->tls;
}

void wst_request_on_gone(wst_request_t *r, void (*on_gone)(wst_request_t *, void *),
                         void *user_data) {
    r->on_gone = on_gone;
    r->gone_data = user_data;
}

void wst_request_delay(wst_request_t *r, uint64_t delay_ms) {
    r->held_until_ms = wst__now(r->ctx) + (delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS);
}

/* Records an answer; false unless it is the first and in time. */
static bool answer(wst_request_t *r, wst__answer_kind_t kind) {
    assert(r->magic == MAGIC);
    if (r->state != ASKED)
        return false;
    r->state = ANSWERED;
    r->answer.kind = kind;
    wst__deadline_clear(&r->ctx->deadlines, &r->deadline);
    schedule_delivery(r);
    return true;
}

static void answer_failed(wst_request_t *r) {
    r->answer.kind = WST__DENIED;
    r->answer.status = 500;
}

/* If the fields cannot be stored, the answer is 500 instead. */
static void keep_fields(wst_request_t *r, const char *fields) {
    if (fields == NULL)
        return;
    r->fields = wst__strdup(&r->ctx->allocator, fields);
    r->answer.fields = r->fields;
    if (r->fields == NULL)
        answer_failed(r);
}

void wst_request_allow(wst_request_t *r) {
    wst_request_allow_with(r, NULL);
}

void wst_request_allow_with(wst_request_t *r, const char *fields) {
    if (!answer(r, WST__ALLOWED))
        return;
    keep_fields(r, fields);
    if (r->labels_lost)
        answer_failed(r);
}

void *wst__request_asker(const wst_request_t *r, wst__answer_cb on_answer) {
    return r->on_answer == on_answer ? r->user_data : NULL;
}

void wst_request_deny(wst_request_t *r, int status, const char *reason, const char *fields) {
    wst_request_deny_with(r, &(wst_request_denial_t){.size = sizeof(wst_request_denial_t),
                                                     .status = status,
                                                     .reason = reason,
                                                     .fields = fields});
}

/* Whether the text has the form of a proxy error type, and so is safe in a header field. */
static bool is_error_type(const char *text) {
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return text[0] >= 'a' && len <= ERROR_MAX && text[len] == '\0';
}

void wst_request_deny_with(wst_request_t *r, const wst_request_denial_t *given) {
    wst_request_denial_t denial;
    if (!answer(r, WST__DENIED))
        return;
    if (wst__sized_read(&denial, sizeof(denial), given) != 0)
        denial = (wst_request_denial_t){.size = sizeof(denial), .status = 500};
    r->answer.status = denial.status;
    denial_texts_t *texts = r->texts = wst__zalloc(&r->ctx->allocator, sizeof(*texts));
    if (texts == NULL) {
        answer_failed(r);
        return;
    }
    if (denial.error != NULL && is_error_type(denial.error)) {
        wst__utf8_cut(texts->error, sizeof(texts->error), denial.error);
        r->answer.error = texts->error;
    }
    if (denial.reason != NULL) {
        wst__utf8_cut(texts->reason, sizeof(texts->reason), denial.reason);
        r->answer.reason = texts->reason;
    }
    if (denial.claimed_user != NULL)
        wst__utf8_cut(texts->claimed_user, sizeof(texts->claimed_user), denial.claimed_user);
    if (denial.cause != NULL)
        wst__utf8_cut(texts->cause, sizeof(texts->cause), denial.cause);
    keep_fields(r, denial.fields);
}

void wst_request_choose(wst_request_t *r, wst_remote_t *remote) {
    if (!answer(r, WST__CHOSEN))
        return;
    r->answer.remote = remote;
    if (r->networks_lost)
        answer_failed(r);
}

void wst_request_connected(wst_request_t *r, int status, wst_stream_t *stream) {
    assert(status <= 0 && (status == 0) == (stream != NULL));
    if (answer(r, WST__CONNECTED)) {
        r->answer.status = status;
        r->answer.stream = stream;
    } else if (stream != NULL) {
        wst_stream_close(stream, NULL);
    }
}
