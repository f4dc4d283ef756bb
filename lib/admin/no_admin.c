/* SPDX-License-Identifier: MIT */
/* Built without what serves operators: whoever asks for it is told so. */
#include <wstunnel/admin.h>
#include <wstunnel/error.h>

int wst_admin_new(wst_admin_t **out, wst_ctx_t *ctx, const wst_admin_options_t *options) {
    (void)out, (void)options;
    wst_ctx_log(ctx, WST_LOG_ERROR, "what serves operators has not been built in");
    return WST_EINVAL;
}

/* Without an admin nobody calls these. */

void wst_admin_serve(wst_admin_t *admin, wst_stream_t *connection) {
    (void)admin;
    wst_stream_close(connection, NULL);
}

void wst_admin_note_agent_down(wst_admin_t *admin, const wst_remote_t *agent,
                               const wst_agent_down_info_t *info) {
    (void)admin, (void)agent, (void)info;
}

int wst_admin_set_accounts(wst_admin_t *admin, const wst_admin_account_t *accounts, size_t count) {
    (void)admin, (void)accounts, (void)count;
    return WST_EINVAL;
}

void wst_admin_close(wst_admin_t *admin, wst_close_cb close_cb) {
    (void)admin, (void)close_cb;
}
