/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_RESUME_H
#define WST_LIB_RESUME_H
/*
 * How an agent shows that a session is its own (PROTOCOL.md, "Resuming"). The server names the
 * session and gives a new secret in each hello; the agent's next upgrade request has a proof made
 * with the last secret that it heard. No socket, no clock, no source of random bits.
 */
#include <wstunnel/common.h>

enum {
    WST__SID_LEN = 16,
    WST__SECRET_LEN = 32,
    WST__PROOF_LEN = 32,
    WST__RESUME_FIELD_MAX = 144 /* bytes of the field's value, terminated */
};

#define WST__RESUME_FIELD "Wstunnel-Session"

/* The field of an upgrade request. */
typedef struct wst__resume_field {
    enum { WST__RESUME_NONE, WST__RESUME_NEW, WST__RESUME_OLD } kind;
    uint8_t sid[WST__SID_LEN];
    uint64_t epoch;
    uint8_t proof[WST__PROOF_LEN];
} wst__resume_field_t;

/* Reads the field's value, "new" or "resume SID EPOCH PROOF", of exactly this form. Returns whether
 * it was valid. */
bool wst__resume_field_read(wst__resume_field_t *out, wst_str_t value);

/* Writes the value, terminated. */
void wst__resume_field_write(char out[WST__RESUME_FIELD_MAX], const wst__resume_field_t *field);

/* Makes the field for an attempt with that epoch and conn. 0 or a negative error. */
int wst__resume_field_prove(wst__resume_field_t *out, const uint8_t sid[WST__SID_LEN],
                            const uint8_t secret[WST__SECRET_LEN], uint64_t epoch, uint32_t conn);

/*
 * What the server knows of a session's owner. The secret of the last hello is only *offered*: the
 * hello may have been lost. Until the agent shows that it has heard it, the secret before, the
 * *confirmed* one, stays valid, too. So no number of lost hellos locks the agent out.
 */
typedef struct wst__resume_keys {
    uint8_t sid[WST__SID_LEN];
    uint8_t confirmed[WST__SECRET_LEN], offered[WST__SECRET_LEN];
    bool has_confirmed, has_offered;
    uint64_t epoch; /* of the last attempt that was accepted */
} wst__resume_keys_t;

/* A hello with that secret goes out. */
void wst__resume_offer(wst__resume_keys_t *keys, const uint8_t secret[WST__SECRET_LEN]);

/* The agent has sent a message behind its hello, so it has heard ours. Harmless if nothing is
 * offered. */
void wst__resume_confirm(wst__resume_keys_t *keys);

/* Whether the proof was made with a valid secret, for the conn; takes a time that does not depend
 * on the proof. If it was the offered one, that is confirmed now. The epoch is not compared. */
bool wst__resume_check(wst__resume_keys_t *keys, const wst__resume_field_t *field, uint32_t conn);

/* Wipes the secrets: nothing proves any more. */
void wst__resume_forget(wst__resume_keys_t *keys);

#endif
