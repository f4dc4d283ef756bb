/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CODEC_CHECK_H
#define WST_LIB_CODEC_CHECK_H
/* The rules of messages in either encoding; the same for reading and writing. */
#include <wstunnel/codec.h>

/* Whether a method has a binary form, then its only form in WST_ENCODING_BINARY. */
bool wst__method_is_binary(uint64_t method);

/*
 * The fault of a message, as a static text, or NULL. Does not check `error_text`, and of a
 * communication's data only the length.
 */
const char *wst__message_check(const wst_message_t *message);

/* Whether a text can be the `dest` of a handshake. */
bool wst__dest_is_valid(wst_str_t dest);

/* Whether a text can be that of an error: short enough, UTF-8, no U+0000. */
bool wst__error_text_is_valid(wst_str_t text);

/*
 * Makes a valid text of an error: cut between characters, with '?' for each invalid byte. Returns
 * its length.
 */
size_t wst__error_text_clean(char out[WST_ERROR_TEXT_MAX], wst_str_t text);

#endif
