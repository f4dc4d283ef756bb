/* SPDX-License-Identifier: MIT */
#include "http_answerer.h"

#include <stdio.h>

enum { VALUE_MAX = 60 };

static void copy_printable(char out[VALUE_MAX + 1], wst_str_t text) {
    size_t n = 0;
    for (; n < text.len && n < VALUE_MAX; n++)
        out[n] = (char)(text.ptr[n] >= ' ' && text.ptr[n] <= '~' ? text.ptr[n] : '?');
    out[n] = '\0';
}

void wst__http_answerer(char out[WST__ANSWERER_MAX], const wst_http_head_t *response) {
    static const char *const names[] = {"Server", "Via"};
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const wst_http_header_t *field = wst_http_header(response, names[i], NULL);
        char value[VALUE_MAX + 1];
        if (field == NULL || field->value.len == 0)
            continue;
        copy_printable(value, field->value);
        len += (size_t)snprintf(out + len, WST__ANSWERER_MAX - len, "%s%s: %s",
                                len == 0 ? " (" : "; ", names[i], value);
    }
    if (len > 0)
        snprintf(out + len, WST__ANSWERER_MAX - len, ")");
}
