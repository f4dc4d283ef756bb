/* SPDX-License-Identifier: MIT */
#include "agent_admin.h"

#include "listen_address.h"
#include "log.h"

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    const agent_admin_t *a = user_data;
    (void)listener;
    wst_admin_serve(a->admin, stream);
}

static void on_action(wst_admin_t *admin, const wst_admin_action_t *action, void *user_data) {
    (void)admin, (void)user_data;
    operators_log(action);
}

/* Has the agent guard the address. 0 or an error. */
static int guard(const agent_admin_t *a, wst_agent_t *agent) {
    const char *address = wst_listener_address(a->listener);
    return listen_address_is_unix(address) ? 0 : wst_agent_guard(agent, address);
}

int agent_admin_open(agent_admin_t *a, wst_agent_t *agent, wst_ctx_t *ctx, const char *address,
                     const admin_config_t *admins) {
    const wst_admin_options_t options = {.size = sizeof(options),
                                         .agent = agent,
                                         .accounts = admins->accounts,
                                         .account_count = admins->count,
                                         .on_action = on_action,
                                         .user_data = a};
    const wst_listener_options_t listener = {
        .size = sizeof(listener), .address = address, .on_accept = on_accept, .user_data = a};
    int status = wst_admin_new(&a->admin, ctx, &options);
    if (status == 0)
        status = wst_listener_new(&a->listener, ctx, &listener);
    if (status == 0)
        status = guard(a, agent);
    if (status == 0) {
        log_line(WST_LOG_INFO, "operators are served at %s", wst_listener_address(a->listener));
        return 0;
    }
    log_line(WST_LOG_ERROR, "cannot serve operators at %s: %s", address, wst_strerror(status));
    agent_admin_close(a);
    return status;
}

void agent_admin_close(agent_admin_t *a) {
    if (a->listener != NULL)
        wst_listener_close(a->listener, NULL);
    if (a->admin != NULL)
        wst_admin_close(a->admin, NULL);
    *a = (agent_admin_t){0};
}
