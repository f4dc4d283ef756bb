/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CODEC_TALK_H
#define WST_LIB_CODEC_TALK_H
/*
 * Messages of the talk's protocol (PROTOCOL.md, "The talk's protocol"): handshake, completed and
 * communication as JSON texts without an id, always with all three members when written. Read as
 * strictly as other JSON, but members that a method does not use may be missing or have any value.
 */
#include <wstunnel/codec.h>

enum {
    /* Data of a message. The talk's own reader drops bytes beyond. */
    WST__TALK_DATA_MAX = 32768,
    /* Bytes of a communication, and of the other messages. */
    WST__TALK_MESSAGE_MAX = WST_JSON_DATA_MAX(WST__TALK_DATA_MAX),
    WST__TALK_CONTROL_MAX = WST_JSON_CONTROL_MAX
};

/*
 * Writes one of the three messages, without `id` and `error`. Returns its length,
 * or WST_EINVAL if it breaks a rule or does not fit.
 */
int wst__talk_write(const wst_message_t *message, void *buf, size_t cap);

/*
 * Reads a text in place; afterwards it holds the destination or the data. 0, or WST_EPROTO with a
 * static text in `*why`.
 */
int wst__talk_read(wst_message_t *message, char *text, size_t len, const char **why);

#endif
