/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DOCTOR_SESSION_H
#define EXAMPLES_DOCTOR_SESSION_H
/*
 * What an agent does on a connection to its server (lib/PROTOCOL.md), as far as a diagnosis goes:
 * the upgrade, the hellos, pings. Its hello says that it takes no streams (max_streams 0), so the
 * server gives it nothing to do; and it has an instance of its own, so it takes nobody's place.
 */
#include "doctor.h"

typedef struct doctor_session {
    wst_stream_t *stream; /* connected to the server; taken */
    const char *host;     /* the Host field */
    const char *path;
    const char *fields; /* of the upgrade request, complete lines */
    const char *name;   /* of the agent */
    bool has_token;
    wst_encoding_t encoding;
} doctor_session_t;

/* The steps "upgrade", "hello" and "round-trip". False: one has failed. */
bool doctor_session(doctor_t *d, const doctor_session_t *session);

#endif
