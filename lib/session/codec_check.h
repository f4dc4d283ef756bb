/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CODEC_CHECK_H
#define WST_LIB_CODEC_CHECK_H
/* The rules of each message that do not depend on its encoding; the same for reading and writing.
 */
#include <wstunnel/codec.h>

/* Whether a method has a binary form, which is then its only one in WST_ENCODING_BINARY. */
bool wst__method_is_binary(uint64_t method);

/*
 * What is wrong with a message, as static text, or NULL. Not looked at: `error_text`, and whether a
 * communication's data is there (only how long it is).
 */
const char *wst__message_check(const wst_message_t *message);

/* Whether it can be the `dest` of a handshake. */
bool wst__dest_is_valid(wst_str_t dest);

/* Whether it can be the text of an error: short enough, UTF-8, no U+0000. */
bool wst__error_text_is_valid(wst_str_t text);

/*
 * Makes one that can be: cut between characters, and '?' for each byte that is not right. Returns
 * its length.
 */
size_t wst__error_text_clean(char out[WST_ERROR_TEXT_MAX], wst_str_t text);

#endif
