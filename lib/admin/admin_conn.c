/* SPDX-License-Identifier: MIT */
/*
 * The connection of an operator. A hijack reads the head of a request, then the connection is ours
 * until its answer has been written; see wst__admin_state_t. The client's bytes are read only when
 * they are expected, so it cannot send more than a head and a form ahead.
 */
#include "admin.h"

#include "guard_fields.h"
#include "head_writer.h"
#include "http_date.h"

#include <stdio.h>
#include <string.h>

enum { HEAD_MAX = 2048, STEPS = 32, PREFIX = 6, SUFFIX = 7 };

static void await_request(wst__admin_conn_t *c);

/* Deadlines ---------------------------------------------------------------------------------- */

static void set_deadline(wst__admin_conn_t *c, uint64_t ms, wst__deadline_cb cb) {
    wst__deadline_set(&c->admin->deadlines, &c->deadline, wst_ctx_now(c->admin->ctx) + ms, cb);
}

static void on_too_long(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__admin_conn_close(WST__CONTAINER(deadline, wst__admin_conn_t, deadline));
}

/* The end ------------------------------------------------------------------------------------ */

static void on_conn_gone(void *user_data) {
    wst__admin_conn_t *c = user_data;
    wst_admin_t *a = c->admin;
    wst_allocator_t allocator = a->allocator;
    wst__admin_conn_gone(a, &c->node);
    wst__free(&allocator, c);
}

/* A server that has nothing to wait for may close at once, and the admin with it: the answer goes
 * first. */
static void drain_if_asked(wst__admin_conn_t *c) {
    wst_admin_t *a = c->admin;
    bool drains = c->drains && !a->closing;
    c->drains = false;
    if (drains && a->options.on_drain != NULL)
        a->options.on_drain(a, a->options.user_data);
    else if (drains && a->options.agent != NULL)
        wst_agent_drain(a->options.agent);
    else if (drains)
        wst_server_drain(a->options.server);
}

static void end_progress(wst__admin_conn_t *c) {
    wst_flow_walk_free(c->progress.flows);
    wst_agent_walk_free(c->progress.streams);
    c->progress = (wst__admin_progress_t){0};
    wst__list_remove(&c->turn);
}

void wst__admin_conn_close(wst__admin_conn_t *c) {
    if (c->state == WST__ADMIN_CLOSED)
        return;
    c->state = WST__ADMIN_CLOSED;
    c->admin->open_count--;
    drain_if_asked(c);
    wst__deadline_clear(&c->admin->deadlines, &c->deadline);
    end_progress(c);
    if (c->hijack != NULL) {
        wst_hijack_close(c->hijack, on_conn_gone);
    } else {
        wst_stream_set_callbacks(c->stream, NULL, c);
        wst_stream_close(c->stream, on_conn_gone);
    }
}

/* Closing at once could make the kernel reset the connection before the client has read the answer
 * (RFC 9112 section 9.6). */
static void linger(wst__admin_conn_t *c) {
    c->state = WST__ADMIN_LINGER;
    set_deadline(c, WST__ADMIN_LINGER_MS, on_too_long);
    if (wst_stream_shutdown(c->stream) != 0)
        wst__admin_conn_close(c);
}

/* Answers ------------------------------------------------------------------------------------ */

static void after_answer(wst__admin_conn_t *c) {
    if (c->keep_alive)
        await_request(c);
    else
        linger(c);
}

/* `rc`: of the write that ended the answer. Its deadline stays, if it was written in parts. */
static void finish_answer(wst__admin_conn_t *c, int rc) {
    end_progress(c);
    if (rc < 0) {
        wst__admin_conn_close(c);
    } else if (rc == WST_WAIT) {
        if (c->state != WST__ADMIN_ANSWER)
            set_deadline(c, WST__ADMIN_ANSWER_MS, on_too_long);
        c->state = WST__ADMIN_SENT;
    } else {
        after_answer(c);
    }
}

/* The fields that every answer has; those to malformed heads are written by the hijack. */
static void put_common_fields(wst__head_writer_t *w, const wst__admin_conn_t *c) {
    char date[WST__HTTP_DATE];
    uv_timeval64_t clock;
    if (uv_gettimeofday(&clock) == 0 && wst__http_date(date, clock.tv_sec))
        wst__head_field(w, "Date", "%s", date);
    wst__head_lines(w, wst__guard_fields);
    wst__head_field(w, "Connection", "%s", c->keep_alive ? "keep-alive" : "close");
}

/* Copies and writes. As wst_stream_write, or WST_ENOMEM. */
static int write_copy(wst__admin_conn_t *c, const char *data, size_t len) {
    wst_slice_t slice;
    int status = wst_slice_copy(&slice, c->admin->ctx, data, len);
    return status == 0 ? wst_stream_write(c->stream, &slice, 1) : status;
}

void wst__admin_answer(wst__admin_conn_t *c, const wst__admin_answer_t *answer) {
    char head[HEAD_MAX], line[128];
    wst__head_writer_t w;
    wst_str_t body = answer->body;
    if (body.ptr == NULL) {
        snprintf(line, sizeof(line), "%s\n", answer->reason);
        body = (wst_str_t){line, strlen(line)};
    }
    wst__head_init(&w, head, sizeof(head));
    wst__head_response(&w, 1, answer->status, answer->reason);
    put_common_fields(&w, c);
    wst__head_field(&w, "Content-Type", "%s",
                    answer->type != NULL ? answer->type : "text/plain; charset=utf-8");
    wst__head_field(&w, "Content-Length", "%zu", body.len);
    wst__head_lines(&w, answer->fields);
    int rc = wst__head_end(&w, NULL, 0);
    if (rc >= 0)
        rc = write_copy(c, head, (size_t)rc);
    if (rc >= 0 && !c->head_only) {
        const wst_slice_t fixed = wst_slice_static(body.ptr, body.len);
        rc = answer->is_static ? wst_stream_write(c->stream, &fixed, 1)
                               : write_copy(c, body.ptr, body.len);
    }
    finish_answer(c, rc);
}

void wst__admin_answer_in_parts(wst__admin_conn_t *c, const char *type, wst__admin_step_t step) {
    char head[HEAD_MAX];
    wst__head_writer_t w;
    bool chunked = c->minor_version > 0;
    c->keep_alive = c->keep_alive && chunked;
    wst__head_init(&w, head, sizeof(head));
    wst__head_response(&w, 1, 200, "OK");
    put_common_fields(&w, c);
    wst__head_field(&w, "Content-Type", "%s", type);
    if (chunked)
        wst__head_field(&w, "Transfer-Encoding", "chunked");
    int rc = wst__head_end(&w, NULL, 0);
    if (rc >= 0)
        rc = write_copy(c, head, (size_t)rc);
    if (rc < 0 || c->head_only) {
        finish_answer(c, rc);
        return;
    }
    c->state = WST__ADMIN_ANSWER;
    c->step = step;
    set_deadline(c, WST__ADMIN_ANSWER_MS, on_too_long);
    if (rc != WST_WAIT)
        wst__admin_wants_turn(c);
}

/* Takes steps until the part is full, or enough for a turn. As wst__admin_step_t. */
static int fill_part(wst__admin_conn_t *c, wst__admin_text_t *text) {
    int rc = WST__ADMIN_MORE;
    for (size_t i = 0; i < STEPS && rc == WST__ADMIN_MORE; i++)
        rc = c->step(c, text);
    return text->full ? WST_EINVAL : rc;
}

/* Makes the text, which stands behind PREFIX bytes, a chunk; `last`: and adds the last one. */
static size_t frame_part(char *part, size_t len, bool last) {
    char prefix[24];
    size_t framed = 0;
    if (len > 0) {
        snprintf(prefix, sizeof(prefix), "%04zx\r\n", len);
        memcpy(part, prefix, PREFIX);
        memcpy(part + PREFIX + len, "\r\n", 2);
        framed = PREFIX + len + 2;
    }
    if (last)
        memcpy(part + framed, "0\r\n\r\n", 5);
    return framed + (last ? 5 : 0);
}

static void write_part(wst__admin_conn_t *c) {
    char *part = c->admin->part;
    wst__admin_text_t text = {.at = part + PREFIX, .size = WST__ADMIN_PART - PREFIX - SUFFIX};
    int rc = fill_part(c, &text);
    bool last = rc == WST__ADMIN_LAST, chunked = c->minor_version > 0;
    if (rc >= 0) {
        size_t len = chunked ? frame_part(part, text.len, last) : text.len;
        rc = len > 0 ? write_copy(c, chunked ? part : text.at, len) : 0;
    }
    if (rc < 0 || last)
        finish_answer(c, rc);
    else if (rc != WST_WAIT)
        wst__admin_wants_turn(c);
}

void wst__admin_begin_work(wst__admin_conn_t *c, void (*work)(wst__admin_conn_t *conn)) {
    c->state = WST__ADMIN_WORK;
    c->work = work;
    set_deadline(c, WST__ADMIN_ANSWER_MS, on_too_long);
    wst__admin_wants_turn(c);
}

void wst__admin_conn_turn(wst__admin_conn_t *c) {
    if (c->state == WST__ADMIN_WORK)
        c->work(c);
    else
        write_part(c);
}

/* Requests ----------------------------------------------------------------------------------- */

static void refuse_request(wst__admin_conn_t *c) {
    const wst__admin_verdict_t *v = &c->verdict;
    wst__admin_answer(
        c, &(wst__admin_answer_t){.status = v->status, .reason = v->reason, .fields = v->fields});
}

static void on_form_late(wst__deadline_t *deadline, uint64_t now_ms) {
    wst__admin_conn_t *c = WST__CONTAINER(deadline, wst__admin_conn_t, deadline);
    (void)now_ms;
    wst_stream_read_stop(c->stream);
    c->keep_alive = false;
    wst__admin_answer(c, &(wst__admin_answer_t){.status = 408, .reason = "Request Timeout"});
}

static void read_form(wst__admin_conn_t *c) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    c->state = WST__ADMIN_FORM;
    set_deadline(c, WST__ADMIN_HEAD_MS, on_form_late);
    const wst_slice_t slice = wst_slice_static(go_on, sizeof(go_on) - 1);
    if (c->expects_continue && wst_stream_write(c->stream, &slice, 1) < 0)
        wst__admin_conn_close(c);
    else
        wst_stream_read_start(c->stream, c->form_due);
}

static void proceed(wst__admin_conn_t *c) {
    if (c->verdict.status != 0)
        refuse_request(c);
    else if (c->form_due > 0)
        read_form(c);
    else
        c->serve(c);
}

static void on_held(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    proceed(WST__CONTAINER(deadline, wst__admin_conn_t, deadline));
}

static void on_form_bytes(wst__admin_conn_t *c, wst_slice_t data) {
    size_t wanted = c->form_due - c->form_len, n = data.len < wanted ? data.len : wanted;
    memcpy(c->form + c->form_len, data.data, n);
    c->form_len += n;
    if (c->form_len < c->form_due)
        return;
    wst_stream_read_stop(c->stream);
    wst__deadline_clear(&c->admin->deadlines, &c->deadline);
    const wst_slice_t rest = {data.chunk, data.data + n, data.len - n};
    if (rest.len > 0 && wst_stream_unread(c->stream, wst_slice_ref(rest)) != 0)
        wst__admin_conn_close(c);
    else
        c->serve(c);
}

static void on_conn_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    wst__admin_conn_t *c = user_data;
    (void)stream;
    if (c->state == WST__ADMIN_FORM) {
        on_form_bytes(c, data);
        return;
    }
    c->lingered += data.len;
    if (c->lingered > WST__ADMIN_LINGER_MAX)
        wst__admin_conn_close(c);
}

static void on_conn_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    wst__admin_conn_close(user_data);
}

static void on_conn_drain(wst_stream_t *stream, void *user_data) {
    wst__admin_conn_t *c = user_data;
    (void)stream;
    if (c->state == WST__ADMIN_ANSWER)
        wst__admin_wants_turn(c);
    else if (c->state == WST__ADMIN_SENT)
        after_answer(c);
}

static void on_conn_shutdown(wst_stream_t *stream, void *user_data) {
    wst__admin_conn_t *c = user_data;
    drain_if_asked(c);
    if (c->state == WST__ADMIN_LINGER)
        wst_stream_read_start(stream, 0);
}

static void on_conn_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream, (void)error;
    wst__admin_conn_close(user_data);
}

static const wst_stream_callbacks_t conn_callbacks = {.size = sizeof(conn_callbacks),
                                                      .on_read = on_conn_read,
                                                      .on_end = on_conn_end,
                                                      .on_drain = on_conn_drain,
                                                      .on_shutdown = on_conn_shutdown,
                                                      .on_error = on_conn_error};

/* Keeps what is needed of the head, and begins the request. */
static void begin_request(wst__admin_conn_t *c, const wst_http_head_t *head) {
    c->keep_alive = head->keep_alive;
    c->minor_version = head->minor_version;
    c->form_len = c->form_due = c->lingered = 0;
    wst__admin_route(c, head);
    if (c->verdict.wait_ms == 0) {
        proceed(c);
        return;
    }
    c->state = WST__ADMIN_HELD;
    set_deadline(c, c->verdict.wait_ms, on_held);
}

static void on_admin_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    wst__admin_conn_t *c = user_data;
    if (wst_hijack_take(hijack, &c->stream) != 0) {
        wst__admin_conn_close(c);
        return;
    }
    c->hijack = NULL;
    wst_stream_set_callbacks(c->stream, &conn_callbacks, c);
    begin_request(c, head);
    wst_hijack_close(hijack, NULL); /* the head lived as long */
}

static void on_admin_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)hijack, (void)status;
    wst__admin_conn_close(user_data);
}

/* Has a hijack read the next head. It takes the stream on success. 0 or an error. */
static int start_reading(wst__admin_conn_t *c, wst_stream_t *stream) {
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .head_timeout_ms = WST__ADMIN_HEAD_MS,
                                          .on_request = on_admin_request,
                                          .on_done = on_admin_done,
                                          .user_data = c,
                                          .fields = wst__guard_fields};
    c->state = WST__ADMIN_HEAD;
    return wst_hijack_new(&c->hijack, c->admin->ctx, stream, &options);
}

static void await_request(wst__admin_conn_t *c) {
    wst__deadline_clear(&c->admin->deadlines, &c->deadline);
    if (start_reading(c, c->stream) == 0)
        c->stream = NULL;
    else
        wst__admin_conn_close(c);
}

int wst__admin_conn_new(wst_admin_t *a, wst_stream_t *stream) {
    wst__admin_conn_t *c = wst__zalloc(&a->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->admin = a;
    wst__list_init(&c->turn);
    snprintf(c->peer, sizeof(c->peer), "%s", wst_stream_peer(stream));
    int status = start_reading(c, stream);
    if (status != 0) {
        wst__free(&a->allocator, c);
        return status;
    }
    wst__list_append(&a->conns, &c->node);
    a->conn_count++;
    a->open_count++;
    return 0;
}
