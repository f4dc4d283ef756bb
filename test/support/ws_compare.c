/* SPDX-License-Identifier: MIT */
/*
 * Gives the same bytes to one WebSocket at once, to another in parts, and to wslay's own event API
 * with its buffering on, and compares what comes out. Uses no test framework: the fuzzer links it.
 */
#include "ws_compare.h"
#include "mem.h"
#include "ws_peer.h"

#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>
#include <wstunnel/error.h>

enum {
    OUTPUT_MAX = 8192,
    /* Empty pongs at the end, enough to complete a control frame: wslay judges some heads before
     * they are complete, some when there is payload, and the reason of a close as it comes. */
    PADDING = 168
};

typedef struct result {
    ws_peer_t peer;
    int status;
    uint8_t output[OUTPUT_MAX];
    size_t output_len;
} result_t;

static void receive(result_t *r, bool server, size_t max_message, const uint8_t *bytes, size_t len,
                    uint64_t seed) {
    memset(r, 0, sizeof(*r));
    r->status = ws_peer_init(&r->peer, server, max_message, &wst__default_allocator);
    if (r->status != 0)
        return;
    for (size_t at = 0, n = len; at < len && r->status == 0; at += n) {
        if (seed != 0) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695041;
            n = 1 + (size_t)(seed >> 33) % ((seed >> 60) == 0 ? 200 : 7);
        }
        if (n > len - at)
            n = len - at;
        r->status = ws_peer_recv(&r->peer, bytes + at, n);
        r->output_len +=
            ws_peer_output(&r->peer, r->output + r->output_len, OUTPUT_MAX - r->output_len);
    }
}

static const char *compare_split(const result_t *whole, const result_t *split) {
    const ws_peer_t *a = &whole->peer, *b = &split->peer;
    if (whole->status != split->status)
        return "other result when split";
    if (strcmp(wst__ws_error_detail(a->ws), wst__ws_error_detail(b->ws)) != 0)
        return "other error when split";
    if (a->closes != b->closes || a->code != b->code || strcmp(a->reason, b->reason) != 0)
        return "other close when split";
    /* What comes before bad UTF-8 in a read is not handed on. */
    bool cut = whole->status == WST_EUTF8 && b->log_len > a->log_len;
    if (a->complete != b->complete || (!cut && a->log_len != b->log_len) ||
        (a->log_len > 0 && memcmp(a->log, b->log, a->log_len) != 0))
        return "other messages when split";
    if (whole->output_len != split->output_len ||
        memcmp(whole->output, split->output, whole->output_len) != 0)
        return "other output when split";
    return NULL;
}

/* wslay by itself */
typedef struct oracle {
    const uint8_t *bytes;
    size_t len;
    ws_peer_t log;
} oracle_t;

static ssize_t oracle_reads(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags,
                            void *user_data) {
    (void)flags;
    oracle_t *oracle = user_data;
    size_t n = oracle->len < len ? oracle->len : len;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, oracle->bytes, n);
    oracle->bytes += n;
    oracle->len -= n;
    return (ssize_t)n;
}

static ssize_t oracle_writes(wslay_event_context_ptr ctx, const uint8_t *data, size_t len,
                             int flags, void *user_data) {
    (void)ctx, (void)data, (void)flags, (void)user_data;
    return (ssize_t)len;
}

static int oracle_makes_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len,
                             void *user_data) {
    (void)ctx, (void)user_data;
    memset(buf, 0, len);
    return 0;
}

static void oracle_gets(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
                        void *user_data) {
    (void)ctx;
    oracle_t *oracle = user_data;
    if (!wslay_is_ctrl_frame(arg->opcode))
        ws_peer_note(&oracle->log, arg->opcode == WSLAY_TEXT_FRAME, arg->msg, arg->msg_length,
                     true);
}

static const char *compare_ends(const result_t *r, wslay_event_context_ptr wslay) {
    int sent = wslay_event_get_close_sent(wslay) ? (int)wslay_event_get_status_code_sent(wslay) : 0;
    bool received = wslay_event_get_close_received(wslay);
    switch (r->status) {
    case 0:
        /* Codes that wslay takes for invalid. */
        if (r->peer.closes > 0 && r->peer.code >= 1012 && r->peer.code <= 1014)
            return sent == 1002 ? NULL : "wslay alone knows that code";
        if (received != (r->peer.closes > 0) || (sent != 0) != received)
            return "wslay alone disagrees about the end";
        return !received || wslay_event_get_status_code_received(wslay) == r->peer.code
                   ? NULL
                   : "wslay alone got another code";
    case WST_EUTF8:
        return sent == 1007 ? NULL : "wslay alone found no bad UTF-8";
    case WST_EMSGBIG:
        return sent == 1009 ? NULL : "wslay alone found nothing too big";
    default: /* wslay closes without code if a head is malformed, and takes half a code for none */
        return r->status == WST_EPROTO && (sent == 1002 || sent == 1005)
                   ? NULL
                   : "wslay alone found no error";
    }
}

static const char *compare_wslay(const result_t *r, bool server, size_t max_message,
                                 const uint8_t *bytes, size_t len) {
    oracle_t oracle = {.bytes = bytes, .len = len};
    struct wslay_event_callbacks callbacks = {
        .recv_callback = oracle_reads,
        .send_callback = oracle_writes,
        .genmask_callback = oracle_makes_mask,
        .on_msg_recv_callback = oracle_gets,
    };
    wslay_event_context_ptr wslay;
    int status = server ? wslay_event_context_server_init(&wslay, &callbacks, &oracle)
                        : wslay_event_context_client_init(&wslay, &callbacks, &oracle);
    if (status != 0)
        return NULL;
    wslay_event_config_set_max_recv_msg_length(wslay, max_message);
    (void)wslay_event_recv(wslay);
    (void)wslay_event_send(wslay);
    const char *difference = compare_ends(r, wslay);
    if (oracle.log.log_len != r->peer.complete ||
        (oracle.log.log_len > 0 && memcmp(oracle.log.log, r->peer.log, oracle.log.log_len) != 0))
        difference = "wslay alone got other messages";
    wslay_event_context_free(wslay);
    free(oracle.log.log);
    return difference;
}

const char *ws_compare(bool server, size_t max_message, const uint8_t *bytes, size_t len,
                       uint64_t seed) {
    static result_t whole, split;
    uint8_t padded[WS_COMPARE_MAX + PADDING];
    const char *difference = NULL;
    memcpy(padded, bytes, len);
    for (size_t i = 0; i < PADDING; i++)
        padded[len++] = i % (server ? 6 : 2) == 0 ? 0x8a : server && i % 6 == 1 ? 0x80 : 0;
    bytes = padded;
    receive(&whole, server, max_message, bytes, len, 0);
    receive(&split, server, max_message, bytes, len, seed | 1);
    /* Only who is given many pings at once can be flooded. */
    if (whole.status != WST_EFLOOD && whole.status != WST_ENOMEM)
        difference = compare_split(&whole, &split);
    if (difference == NULL && split.status != WST_EFLOOD && split.status != WST_ENOMEM)
        difference = compare_wslay(&split, server, max_message, bytes, len);
    ws_peer_free(&whole.peer);
    ws_peer_free(&split.peer);
    return difference;
}
