/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CODEC_JSON_H
#define WST_LIB_CODEC_JSON_H
/* Messages as JSON texts. */
#include <wstunnel/codec.h>

/* Writes a checked message. Returns its length, or WST_EINVAL if it does not fit. */
int wst__message_write_json(const wst_message_t *message, char *buf, size_t cap);

/* Where and how a text is read. */
typedef struct wst__json_reader {
    wst_encoding_t encoding;
    size_t max_frame;
    char string[WST_DEST_MAX]; /* what the message's one string points to */
    wst_hello_t hello;         /* what a hello's member points to */
    const char *detail;        /* after an error */
} wst__json_reader_t;

/*
 * Reads a text, which is changed and holds the data of a communication afterwards. 1; 0: a method
 * that is not known; WST_EPROTO, WST_EMSGBIG, WST_ENOMEM.
 */
int wst__message_read_json(wst__json_reader_t *reader, char *text, size_t len,
                           wst_message_t *message);

#endif
