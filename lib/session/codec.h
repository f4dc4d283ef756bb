/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CODEC_H
#define WST_LIB_CODEC_H
/*
 * The codec as greetings and sessions call it: messages are structs of ours, whole and of today's
 * size, so nothing is copied. wstunnel/codec.h has the same for programs.
 */
#include <wstunnel/codec.h>

/* As wst_message_encode. */
int wst__message_encode(const wst_message_t *message, wst_encoding_t encoding, void *buf,
                        size_t cap, bool *text);

/* As wst_decoder_push; `*message` need not be initialised. */
int wst__decoder_push(wst_decoder_t *decoder, bool text, const uint8_t *piece, size_t len, bool fin,
                      wst_message_t *message);

#endif
