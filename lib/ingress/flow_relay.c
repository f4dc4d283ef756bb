/* SPDX-License-Identifier: MIT */
/*
 * A flow whose destination is reached: the front is told, then bytes flow. A pump moves them, or
 * the front that took the stream, or a front that counts the bytes in the flow itself. In all cases
 * their beginning and end are counted and reported here.
 */
#include "flow.h"
#include "stream.h"

#include <assert.h>
#include <string.h>

/* Established -------------------------------------------------------------------------------- */

void wst__flow_establish(wst_flow_t *f) {
    if (wst__flow_is_gone(f))
        return;
    f->established = true;
    f->head = NULL;
    f->login = NULL;
    f->tls = NULL;
    f->callbacks->on_established(f, f->user_data);
}

/* Beginning and end -------------------------------------------------------------------------- */

void wst__flow_begin(wst_flow_t *f) {
    wst_ingress_t *ingress = f->ingress;
    wst_stream_info_t info = {.size = sizeof(info)};
    f->state = WST__FLOW_RELAYING;
    f->established = false;
    f->id = ++ingress->flow_ids;
    f->opened_ms = wst__now(ingress->ctx);
    wst__histogram_add(&ingress->dial_times, (f->opened_ms - f->asked_ms) * 1000);
    f->bytes_to_agent = f->early_sent;
    f->bytes_to_client = 0;
    f->status = 0;
    f->ended_by = "";
    wst__claim_opened(&f->claim);
    wst_flow_get_info(f, &info);
    ingress->hooks->on_open(ingress->owner, &info);
}

/* Counts and reports the end. Returns the final info. */
static wst_stream_info_t finish_relaying(wst_flow_t *f, int status, const char *ended_by) {
    wst_ingress_t *ingress = f->ingress;
    wst_stream_info_t info = {.size = sizeof(info)};
    f->state = WST__FLOW_DONE;
    f->closed_ms = wst__now(ingress->ctx);
    f->status = status;
    f->ended_by = ended_by;
    wst_flow_get_info(f, &info);
    f->telling = true;
    if (ingress->node->state != WST__NODE_CLOSING)
        ingress->hooks->on_close(ingress->owner, &info);
    f->telling = false;
    return info;
}

static void tell_gone(wst_flow_t *f, const wst_stream_info_t *info) {
    if (f->callbacks->on_gone != NULL && !f->cancelled)
        f->callbacks->on_gone(f, info, f->user_data);
}

/* Relaying by a pump ------------------------------------------------------------------------- */

static void on_pump_closed(void *user_data) {
    wst__flow_free(user_data);
}

static const char *side_name(char side) {
    return side == 'a' ? "client" : side == 'b' ? "agent" : "server";
}

void wst__flow_count(const wst_flow_t *f, uint64_t *to_agent, uint64_t *to_client) {
    bool taken = f->state == WST__FLOW_RELAYING && f->stream != NULL;
    wst_pump_stats_t stats = {.size = sizeof(stats)};
    *to_agent = f->bytes_to_agent;
    *to_client = f->bytes_to_client;
    if (f->pump != NULL) {
        wst_pump_get_stats(f->pump, &stats);
        *to_agent = f->early_sent + stats.bytes_a_to_b;
        *to_client = stats.bytes_b_to_a;
    } else if (taken) {
        *to_agent = f->early_sent + wst_stream_bytes_written(f->stream);
        *to_client = wst_stream_bytes_read(f->stream);
    }
}

static void keep_count(wst_flow_t *f) {
    wst__flow_count(f, &f->bytes_to_agent, &f->bytes_to_client);
}

static void on_pump_done(wst_pump_t *pump, int status, void *user_data) {
    wst_flow_t *f = user_data;
    wst_pump_stats_t stats = {.size = sizeof(stats)};
    wst_pump_get_stats(pump, &stats);
    wst_pump_close(pump, on_pump_closed);
    wst__claim_drop(&f->claim);
    const wst_stream_info_t info =
        finish_relaying(f, status, side_name(status == 0 ? stats.first_end : stats.failed_side));
    tell_gone(f, &info);
}

int wst__flow_join(wst_flow_t *f, wst_stream_t *client, wst_stream_t *destination) {
    const wst_pump_options_t options = {.size = sizeof(options),
                                        .half_closed_timeout_ms =
                                            f->ingress->limits.half_closed_timeout_ms,
                                        .on_done = on_pump_done,
                                        .user_data = f};
    int status = wst_pump_new(&f->pump, f->ingress->ctx, client, destination, &options);
    if (status != 0)
        return status;
    wst__flow_drop_search(f);
    wst__flow_begin(f);
    return 0;
}

int wst_flow_relay(wst_flow_t *f, wst_stream_t *client) {
    assert(f->established);
    wst_stream_t *destination = f->stream;
    if (destination == NULL)
        return WST_ESTATE; /* the server has been closed: on_refused follows */
    f->stream = NULL;      /* first, since a notice may close the server */
    int status = wst__flow_join(f, client, destination);
    if (status != 0)
        f->stream = destination;
    return status;
}

void wst__flow_relay(wst_flow_t *f, wst_stream_t *client) {
    if (wst_flow_relay(f, client) == 0)
        return;
    wst_stream_close(client, NULL); /* a reset, as the stream was not shut down */
    wst_flow_cancel(f);
}

/* Relaying by a front that takes the stream -------------------------------------------------- */

static void on_taken_closed(wst_stream_t *stream, void *user_data) {
    wst_flow_t *f = user_data;
    keep_count(f);
    f->stream = NULL;
    int status = wst__stream_outcome(stream);
    wst__claim_drop(&f->claim);
    const char *side = f->revoked != NULL                        ? "server"
                       : status != 0 && status != WST_ECANCELLED ? "agent"
                                                                 : "client";
    const wst_stream_info_t info = finish_relaying(f, status, side);
    tell_gone(f, &info);
    wst__flow_free(f);
}

wst_stream_t *wst_flow_take(wst_flow_t *f) {
    assert(f->established);
    wst_stream_t *stream = f->stream;
    if (stream == NULL)
        return NULL; /* the server has been closed: on_refused follows */
    wst_stream_set_callbacks(stream, NULL, NULL);
    wst__stream_watch(stream, on_taken_closed, f);
    wst__flow_drop_search(f);
    wst__flow_begin(f);
    return stream;
}

/* Relaying by a front that counts ------------------------------------------------------------ */

wst_stream_t *wst__flow_release(wst_flow_t *f) {
    assert(f->established);
    wst_stream_t *stream = f->stream;
    f->stream = NULL;
    wst_stream_set_callbacks(stream, NULL, NULL);
    return stream;
}

/* The flow keeps its claim: it may be joined or dial again. */
void wst__flow_over(wst_flow_t *f, int status, const char *ended_by) {
    finish_relaying(f, status, ended_by);
}

/* Cancelling and aborting -------------------------------------------------------------------- */

static void stop_relaying(wst_flow_t *f) {
    keep_count(f);
    if (f->stream != NULL)
        wst__stream_watch(f->stream, NULL, NULL);
    f->stream = NULL;
}

void wst_flow_cancel(wst_flow_t *f) {
    if (f->telling) { /* the caller of finish_relaying ends the flow */
        f->cancelled = true;
        return;
    }
    if (f->state == WST__FLOW_RELAYING) {
        stop_relaying(f);
        wst__claim_drop(&f->claim);
        finish_relaying(f, WST_ECANCELLED, "client");
    } else {
        wst__flow_stop(f);
    }
    if (f->pump != NULL)
        wst_pump_close(f->pump, on_pump_closed);
    else
        wst__flow_free(f);
}

static void tell_aborted(wst_flow_t *f) {
    wst_stream_info_t info = {.size = sizeof(info)};
    f->closed_ms = wst__now(f->ingress->ctx);
    f->status = WST_ECANCELLED;
    f->ended_by = "server";
    wst_flow_get_info(f, &info);
    tell_gone(f, &info);
    wst__flow_free(f);
}

static void on_aborted_pump_closed(void *user_data) {
    tell_aborted(user_data);
}

static void aborted(wst__defer_t *defer) {
    tell_aborted(WST__CONTAINER(defer, wst_flow_t, defer));
}

static void refused(wst__defer_t *defer) {
    const wst__refusal_t refusal = wst__refusal_of(WST__DRAINING);
    wst__flow_refuse_as(WST__CONTAINER(defer, wst_flow_t, defer), &refusal, WST_ECANCELLED);
}

void wst__flow_abort(wst_flow_t *f) {
    if (f->state < WST__FLOW_RELAYING) {
        wst__flow_stop(f);
        wst__defer(f->ingress->ctx, &f->defer, refused);
    } else if (f->state == WST__FLOW_RELAYING) {
        stop_relaying(f);
        f->state = WST__FLOW_DONE;
        wst__claim_drop(&f->claim);
        if (f->pump != NULL)
            wst_pump_close(f->pump, on_aborted_pump_closed);
        else
            wst__defer(f->ingress->ctx, &f->defer, aborted);
    }
}

/* Revoking ----------------------------------------------------------------------------------- */

char wst__flow_no_reason[] = "no longer allowed";

static void end_revoked_pump(wst_flow_t *f) {
    wst_pump_close(f->pump, on_pump_closed);
    const wst_stream_info_t info = finish_relaying(f, WST_EDENIED, "server");
    tell_gone(f, &info);
}

static void on_revoked(wst__defer_t *defer) {
    wst_flow_t *f = WST__CONTAINER(defer, wst_flow_t, defer);
    if (f->state < WST__FLOW_RELAYING)
        wst__flow_refuse(f, WST__REVOKED, (wst_str_t){f->revoked, strlen(f->revoked)});
    else if (f->state == WST__FLOW_DONE) /* it has ended by itself since */
        return;
    else if (f->pump != NULL)
        end_revoked_pump(f);
    else if (f->stream == NULL)
        f->on_revoked(f, f->user_data);
    else if (!f->stream->closing) /* its owner closes it, and so ends the flow */
        wst_stream_emit_error(f->stream, WST_EDENIED);
}

bool wst__flow_is_allowed(const wst_flow_t *f) {
    return !f->unasked && wst__flow_may_end(f);
}

bool wst__flow_may_end(const wst_flow_t *f) {
    return f->revoked == NULL && f->state > WST__FLOW_ASKING && f->state < WST__FLOW_DONE;
}

void wst__flow_revoke(wst_flow_t *f, const char *why) {
    f->revoked = wst__strdup(&f->ingress->ctx->allocator, why);
    if (f->revoked == NULL)
        f->revoked = wst__flow_no_reason;
    if (f->state < WST__FLOW_RELAYING)
        wst__flow_stop(f);
    wst__defer(f->ingress->ctx, &f->defer, on_revoked);
}
