/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_INTRODUCTION_H
#define WST_LIB_INTRODUCTION_H
/*
 * What a server tells its predecessor about an agent that it has admitted and whose connection it
 * hands back: where the agent connects from, and as whom. The predecessor takes its word, since it
 * cannot see the agent's certificate, and its credentials may be others by now.
 *
 * As a message: texts that end with a zero byte, of which the first four are the peer, the user,
 * the tenant, and the credential in hexadecimal digits; all others are labels.
 */
#include "labels.h"
#include "request.h"

enum {
    WST__PEER_MAX = 95,
    WST__INTRODUCTION_MAX = WST__PEER_MAX + 1 + WST__USER_MAX + 1 + WST__TENANT_MAX + 1 +
                            2 * WST__CREDENTIAL_LEN + 1 + WST__LABELS_MAX * (WST__LABEL_MAX + 1)
};

typedef struct wst__introduction {
    const char *peer;
    wst__answer_t answer; /* an allow, with all that belongs to an agent */
    uint8_t credential[WST__CREDENTIAL_LEN];
    const char *labels[WST__LABELS_MAX + 1];
    char text[]; /* that the others point into */
} wst__introduction_t;

/* Writes the message. `answer`: NULL: nobody was asked. Returns its length. */
size_t wst__introduction_write(char out[WST__INTRODUCTION_MAX], const char *peer,
                               const wst__answer_t *answer);

/* Reads a message; to be freed by wst__free(). 0; WST_EPROTO: it is malformed; WST_ENOMEM. */
int wst__introduction_read(wst__introduction_t **out, const wst_allocator_t *allocator,
                           const char *text, size_t len);

#endif
