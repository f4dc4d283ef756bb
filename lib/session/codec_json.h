/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CODEC_JSON_H
#define WST_LIB_CODEC_JSON_H
/* Messages as JSON texts. */
#include <wstunnel/codec.h>

/* Writes a checked message. Returns its length, or WST_EINVAL if it does not fit. */
int wst__message_write_json(const wst_message_t *message, char *buf, size_t cap);

/* Settings and state of reading a text. */
typedef struct wst__json_reader {
    wst_encoding_t encoding;
    size_t max_frame;
    char string[WST_ERROR_TEXT_MAX]; /* of a tree: a hello's name, or the text of an error */
    wst_hello_t hello;               /* a hello, to which the message points */
    const char *detail;              /* after an error */
} wst__json_reader_t;

/*
 * Reads a text in place; afterwards it holds the message's texts or data. 1; 0: unknown method;
 * WST_EPROTO, WST_EMSGBIG, WST_ENOMEM.
 */
int wst__message_read_json(wst__json_reader_t *reader, char *text, size_t len,
                           wst_message_t *message);

#endif
