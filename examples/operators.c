/* SPDX-License-Identifier: MIT */
#include "operators.h"

#include "log.h"

#include <string.h>

typedef struct admin {
    wst_admin_account_t account;
    const char *password_file;
} admin_t;

static const config_field_t admin_members[] = {
    {.name = "name", .kind = CONFIG_TEXT, .offset = offsetof(admin_t, account.name), .max = 127},
    {.name = "password",
     .kind = CONFIG_SECRET,
     .offset = offsetof(admin_t, account.password),
     .max = CONFIG_SECRET_MAX},
    {.name = "password_file", .kind = CONFIG_TEXT, .offset = offsetof(admin_t, password_file)},
    {.name = "tenant",
     .kind = CONFIG_TEXT,
     .offset = offsetof(admin_t, account.tenant),
     .max = 127},
    {.name = "read_only", .kind = CONFIG_FLAG, .offset = offsetof(admin_t, account.read_only)},
};
static const config_fields_t admin_fields = {admin_members,
                                             sizeof(admin_members) / sizeof(admin_members[0])};

static void check_admin(config_t *c, const config_node_t *node, void *target) {
    admin_t *admin = target;
    wst_admin_account_t *account = &admin->account;
    account->size = sizeof(*account);
    config_resolve_secret(c, node, "password", &account->password, admin->password_file);
    if (account->name == NULL || strchr(account->name, ':') != NULL)
        config_wrong(c, node, "needs a \"name\", without a colon");
    if (account->password == NULL && admin->password_file == NULL)
        config_wrong(c, node, "needs a \"password\" or \"password_file\"");
}

/* Notes a name that two operators have. */
static void check_names(config_t *c, const config_node_t *node, const admin_config_t *admins) {
    for (size_t i = 0; i < admins->count; i++) {
        const char *name = admins->accounts[i].name;
        for (size_t j = 0; j < i && name != NULL; j++)
            if (admins->accounts[j].name != NULL && strcmp(name, admins->accounts[j].name) == 0)
                config_wrong(c, node, "two operators are named \"%s\"", name);
    }
}

void admin_config_read(config_t *c, const config_node_t *node, admin_config_t *admins) {
    enum { ADMINS_MAX = 256 };
    size_t count = 0;
    const admin_t *read =
        config_read_array(c, node, &admin_fields, sizeof(*read), &count, check_admin);
    config_refuse_empty(c, node);
    if (count > ADMINS_MAX)
        config_wrong(c, node, "more than %d", ADMINS_MAX);
    if (read == NULL)
        return;
    admins->accounts = config_alloc(c, count * sizeof(*admins->accounts));
    for (size_t i = 0; i < count && admins->accounts != NULL; i++) {
        admins->accounts[i] = read[i].account;
        admins->count++;
    }
    check_names(c, node, admins);
}

bool operators_are_local(const char *address) {
    static const char *const local[] = {"127.", "localhost:", "[::1]:", "unix:"};
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        if (strncmp(address, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

void operators_log(const wst_admin_action_t *action) {
    log_event_t e;
    if (log_wants_event(WST_LOG_INFO)) {
        log_event_begin(&e, WST_LOG_INFO, "admin_action");
        log_event_text(&e, "client", action->client);
        log_event_text(&e, "operator", action->name);
        log_event_text(&e, "action", action->action);
        log_event_text(&e, "target", action->target);
        log_event_number(&e, "count", action->count);
        log_event_end(&e);
        return;
    }
    log_line(WST_LOG_INFO, "operator %s%s%s: %s %s, %zu ended", action->name,
             action->name[0] != '\0' ? " at " : "", action->client, action->action, action->target,
             action->count);
}
