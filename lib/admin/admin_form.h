/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ADMIN_FORM_H
#define WST_LIB_ADMIN_FORM_H
/* Reads forms: application/x-www-form-urlencoded, as the URL Standard describes it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Copies the value of a field, decoded and terminated.
 * 1; 0: the form has no such field; -1: it has several, or the value is malformed, has a zero byte
 * or does not fit.
 */
int wst__admin_form_text(const char *form, size_t len, const char *name, char *out, size_t size);

/* The same of a decimal number. */
int wst__admin_form_number(const char *form, size_t len, const char *name, uint64_t *out);

#endif
