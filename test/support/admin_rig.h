/* SPDX-License-Identifier: MIT */
#ifndef TEST_ADMIN_RIG_H
#define TEST_ADMIN_RIG_H
/* An admin of a server, whose operators speak raw bytes. */
#include "server_world.h"

#include "admin.h"

#define ADMIN_HOST "Host: localhost\r\n"
#define ADMIN_MARK ADMIN_HOST "Wstunnel-Admin: 1\r\n"
#define ADMIN_FORM "Content-Type: application/x-www-form-urlencoded\r\n"

typedef struct admin_rig {
    server_world_t w;
    wst_admin_t *admin;
    wst_admin_options_t options;
    char address[64];
    char answer[1 << 16]; /* the last one */
    char done[256];       /* the last action: "NAME ACTION TARGET COUNT" */
    size_t drains, closed;
} admin_rig_t;

/* Sets the world's and the admin's options at their simplest. */
void admin_rig_init(admin_rig_t *r);
void admin_rig_start(admin_rig_t *r);
bool admin_rig_try_start(admin_rig_t *r); /* false: an allocation failed */
void admin_rig_open(admin_rig_t *r);      /* both */
void admin_rig_close(admin_rig_t *r);     /* waits */
void admin_rig_free(admin_rig_t *r);

/* Opens a connection of an operator. */
void admin_rig_client(admin_rig_t *r, server_client_t *c);

/* Says a request, "GET /path" or "POST /path", with these fields; a body makes it have a length.
 * Returns the whole answer, behind which the connection ended. */
const char *admin_rig_ask(admin_rig_t *r, const char *request, const char *fields,
                          const char *body);

/* The same, and its status. */
int admin_rig_status(admin_rig_t *r, const char *request, const char *fields, const char *body);

/* Waits until what the client has got contains the text; that, and what is before it, is forgotten
 * then. */
void admin_rig_until(admin_rig_t *r, server_client_t *c, const char *text);

/* Lets the time of the admin's deadlines pass. */
void admin_rig_pass(admin_rig_t *r, uint64_t ms);

#endif
