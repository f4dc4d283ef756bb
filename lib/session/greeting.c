/* SPDX-License-Identifier: MIT */
/* Hellos out and in (PROTOCOL.md, "Beginning"). */
#include "greeting.h"

#include "codec.h"
#include "codec_check.h"
#include "defaults.h"
#include "mem.h"

#include <assert.h>
#include <string.h>
#include <wstunnel/error.h>

int wst__hello_complete(wst_hello_t *hello) {
    hello->size = sizeof(*hello);
    hello->version = WST_PROTOCOL_VERSION;
    hello->yields = hello->early = true;
    if (hello->max_frame == 0)
        hello->max_frame = WST__MAX_FRAME;
    if (hello->initial_credit == 0)
        hello->initial_credit = WST__STREAM_WINDOW;
    const wst_message_t message = {
        .size = sizeof(message), .method = WST_MSG_HELLO, .hello = hello};
    return wst__message_check(&message) == NULL ? 0 : WST_EINVAL;
}

/* Copies the name, whose length has been checked. */
static void keep_name(wst_hello_t *hello, char name[WST_NAME_MAX]) {
    if (hello->name.len > 0)
        memcpy(name, hello->name.ptr, hello->name.len);
    hello->name.ptr = name;
}

int wst__greeting_init(wst__greeting_t *g, wst__pool_t *pool, const wst_hello_t *ours) {
    *g = (wst__greeting_t){.pool = pool, .ours = *ours, .detail = ""};
    int status = wst__hello_complete(&g->ours);
    if (status == 0)
        keep_name(&g->ours, g->our_name);
    return status;
}

int wst__greeting_begin(wst__greeting_t *g, wst_encoding_t encoding) {
    const wst_decoder_options_t options = {.size = sizeof(options),
                                           .encoding = encoding,
                                           .allocator = g->pool->allocator,
                                           .max_frame = g->ours.max_frame};
    g->encoding = encoding;
    return wst_decoder_new(&g->decoder, &options);
}

void wst__greeting_hold(wst__greeting_t *g) {
    g->held = true;
}

void wst__greeting_name_session(wst__greeting_t *g, const wst_hello_t *session) {
    g->held = false;
    if (session == NULL)
        return;
    g->ours.resumes = g->ours.has_session = true;
    memcpy(g->ours.session, session->session, sizeof(g->ours.session));
    memcpy(g->ours.secret, session->secret, sizeof(g->ours.secret));
    g->ours.grace_ms = session->grace_ms;
    g->ours.resumed = session->resumed;
    if (!session->resumed)
        return;
    g->ours.max_frame = session->max_frame;
    g->ours.initial_credit = session->initial_credit;
}

int wst__greeting_next(wst__greeting_t *g, wst__outgoing_t *out) {
    if (g->said || g->held || g->error != 0)
        return 0;
    const wst_message_t hello = {.size = sizeof(hello), .method = WST_MSG_HELLO, .hello = &g->ours};
    int status = wst__outgoing_encode(out, g->pool, &hello, g->encoding, WST_JSON_CONTROL_MAX);
    g->said = status > 0;
    if (g->said)
        wst__wipe(g->ours.secret, sizeof(g->ours.secret));
    return status;
}

static int greeting_failed(wst__greeting_t *g, int error, const char *detail) {
    g->error = error;
    g->detail = detail;
    return error;
}

int wst__greeting_recv(wst__greeting_t *g, bool text, wst_slice_t piece, bool fin) {
    assert(!g->heard);
    if (g->error != 0)
        return g->error;
    wst_message_t m;
    int status = wst__decoder_push(g->decoder, text, piece.data, piece.len, fin, &m);
    if (status < 0)
        return greeting_failed(g, status, wst_decoder_error_detail(g->decoder));
    if (status == 0)
        return 0;
    if (m.method != WST_MSG_HELLO)
        return greeting_failed(g, WST_EPROTO, "the first message was not hello");
    g->heard = true;
    g->peer = *m.hello;
    keep_name(&g->peer, g->peer_name);
    return 1;
}

void wst__greeting_forget_secret(wst__greeting_t *g) {
    wst__wipe(g->peer.secret, sizeof(g->peer.secret));
}

void wst__greeting_end(wst__greeting_t *g) {
    wst_decoder_free(g->decoder);
    g->decoder = NULL;
}
