/* SPDX-License-Identifier: MIT */
/*
 * traceparent, https://www.w3.org/TR/trace-context/ section 3.2:
 *
 *     VERSION "-" TRACE-ID "-" PARENT-ID "-" FLAGS     2, 32, 16 and 2 digits
 *
 * in lower-case hexadecimal. Version 00 ends there, a later one or goes on with "-" and anything.
 */
#include "traceparent.h"

#include <string.h>

enum { VERSION = 2, TRACE = 32, SPAN = 16, FLAGS = 2 };

/* Takes `n` digits off the text; false: it does not begin with so many. */
static bool take_digits(wst_str_t *text, size_t n) {
    if (text->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text->ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    *text = (wst_str_t){text->ptr + n, text->len - n};
    return true;
}

/* Takes `n` digits and the dash behind them. */
static bool take_part(wst_str_t *text, size_t n) {
    if (!take_digits(text, n) || text->len == 0 || text->ptr[0] != '-')
        return false;
    *text = (wst_str_t){text->ptr + 1, text->len - 1};
    return true;
}

static bool is_zero(const char *digits) {
    return digits[strspn(digits, "0")] == '\0';
}

bool wst__traceparent_parse(wst__trace_t *out, wst_str_t value) {
    wst_str_t rest = value;
    if (!take_part(&rest, VERSION) || !take_part(&rest, TRACE) || !take_part(&rest, SPAN) ||
        !take_digits(&rest, FLAGS))
        return false;
    const char *version = value.ptr, *trace = version + VERSION + 1, *span = trace + TRACE + 1;
    if (memcmp(version, "ff", VERSION) == 0)
        return false;
    if (rest.len > 0 && (memcmp(version, "00", VERSION) == 0 || rest.ptr[0] != '-'))
        return false;
    wst__trace_t found = {{0}, {0}};
    memcpy(found.trace_id, trace, TRACE);
    memcpy(found.span_id, span, SPAN);
    if (is_zero(found.trace_id) || is_zero(found.span_id))
        return false;
    *out = found;
    return true;
}

bool wst__trace_of_request(wst__trace_t *out, const wst_http_head_t *head) {
    const wst_http_header_t *field = wst_http_header(head, "traceparent", NULL);
    return field != NULL && wst_http_header(head, "traceparent", field) == NULL &&
           wst__traceparent_parse(out, field->value);
}
