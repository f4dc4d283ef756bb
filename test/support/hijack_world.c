/* SPDX-License-Identifier: MIT */
#include "hijack_world.h"

static void on_closed(void *user_data) {
    hijack_world_t *w = user_data;
    w->closed++;
}

void hijack_world_close_hijack(hijack_world_t *w) {
    wst_hijack_close(w->hijack, on_closed);
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    hijack_world_t *w = user_data;
    assert_ptr_equal(hijack, w->hijack);
    assert_int_equal(w->closed, 0);
    assert_int_equal(w->done, 0);
    assert_false(w->client.reading);
    w->requests++;
    w->head = head;
    assert_true(head->target.len < sizeof(w->target));
    memcpy(w->target, head->target.ptr, head->target.len);
    w->target[head->target.len] = '\0';
    if (w->in_request != NULL)
        w->in_request(w);
}

static void on_done(wst_hijack_t *hijack, int status, void *user_data) {
    hijack_world_t *w = user_data;
    assert_ptr_equal(hijack, w->hijack);
    assert_int_equal(w->closed, 0);
    assert_null(w->taken);
    w->done++;
    w->status = status;
    if (w->close_in_done)
        hijack_world_close_hijack(w);
}

bool hijack_world_init(hijack_world_t *w) {
    memset(w, 0, sizeof(*w));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->options = (wst_hijack_options_t){.size = sizeof(wst_hijack_options_t),
                                        .on_request = on_request,
                                        .on_done = on_done,
                                        .user_data = w};
    const wst_ctx_options_t options = {.size = sizeof(options), .allocator = &test_allocator};
    if (wst_ctx_new(&w->ctx, &w->loop, &options) != 0)
        return false;
    w->ctx->clock = NULL; /* no Date in answers, unless a test sets one */
    return fake_stream_open(&w->client, w->ctx) == 0;
}

bool hijack_world_hijack(hijack_world_t *w) {
    int rc = wst_hijack_new(&w->hijack, w->ctx, w->client.stream, &w->options);
    assert_true(rc == 0 || rc == WST_ENOMEM);
    return rc == 0;
}

void hijack_world_start(hijack_world_t *w) {
    assert_true(hijack_world_init(w));
    assert_true(hijack_world_hijack(w));
}

void hijack_world_free(hijack_world_t *w) {
    if (w->hijack != NULL && w->closed == 0)
        hijack_world_close_hijack(w);
    if (w->taken != NULL)
        wst_stream_close(w->taken, NULL);
    if (w->hijack == NULL && w->client.stream != NULL)
        wst_stream_close(w->client.stream, NULL);
    if (w->ctx != NULL)
        wst_ctx_close(w->ctx, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(w->closed, w->hijack != NULL);
    if (w->client.gone)
        fake_stream_free(&w->client);
    assert_int_equal(test_alloc_live(), 0);
}

void hijack_world_turns(hijack_world_t *w, int n) {
    for (int i = 0; i < n; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

void hijack_world_pass(hijack_world_t *w, uint64_t ms) {
    wst__deadlines_run(&w->ctx->deadlines, uv_now(&w->loop) + ms);
    hijack_world_turns(w, 3);
}

void hijack_world_say(hijack_world_t *w, const char *text) {
    fake_stream_data(&w->client, text, strlen(text));
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    hijack_world_t *w = user_data;
    assert_ptr_equal(stream, w->taken);
    assert_false(w->got_end);
    assert_true(data.len <= sizeof(w->got) - w->got_len);
    memcpy(w->got + w->got_len, data.data, data.len);
    w->got_len += data.len;
}

static void on_end(wst_stream_t *stream, void *user_data) {
    hijack_world_t *w = user_data;
    (void)stream;
    assert_false(w->got_end);
    w->got_end = true;
}

void hijack_world_take(hijack_world_t *w) {
    if (wst_hijack_take(w->hijack, &w->taken) != 0)
        assert_true(test_alloc_failed());
}

void hijack_world_read(hijack_world_t *w) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end};
    wst_stream_set_callbacks(w->taken, &callbacks, w);
    wst_stream_read_start(w->taken, 0);
}

void hijack_world_challenge(hijack_world_t *w) {
    const wst_response_t response = {.size = sizeof(response),
                                     .status = 407,
                                     .reason = "Who are you?",
                                     .fields = "Proxy-Authenticate: Basic realm=\"x\"\r\n",
                                     .keep_alive = true};
    int rc = wst_hijack_respond(w->hijack, &response);
    assert_true(rc == 0 || (rc == WST_ENOMEM && test_alloc_failed()));
}

void hijack_world_assert_written(const hijack_world_t *w, const char *text) {
    if (w->client.written_len != strlen(text) || memcmp(w->client.written, text, strlen(text)) != 0)
        fail_msg("written: %.*s", (int)w->client.written_len, (const char *)w->client.written);
}

void hijack_world_assert_written_has(const hijack_world_t *w, const char *part) {
    size_t len = strlen(part);
    for (size_t i = 0; i + len <= w->client.written_len; i++) {
        if (memcmp(w->client.written + i, part, len) == 0)
            return;
    }
    fail_msg("%s is not in: %.*s", part, (int)w->client.written_len,
             (const char *)w->client.written);
}
