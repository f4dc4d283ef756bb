/* SPDX-License-Identifier: MIT */
#include "error.h"

static const struct {
    int value;
    const char *name, *text;
} table[] = {
#define ROW(name, value, text) {value, "WST_" #name, text},
    WST_ERROR_MAP(ROW) WST_REASON_MAP(ROW)
#undef ROW
        {WST_ENOMEM, "WST_ENOMEM", "out of memory"},
    {WST_EINVAL, "WST_EINVAL", "invalid argument"},
};

const char *wst__error_text(int error) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].value == error)
            return table[i].text;
    return NULL;
}

const char *wst__error_name(int error) {
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].value == error)
            return table[i].name;
    return NULL;
}

bool wst_is_reason(int error) {
    switch (error) {
#define CASE(name, value, text) case value:
        WST_REASON_MAP(CASE)
#undef CASE
        return true;
    default:
        return false;
    }
}
