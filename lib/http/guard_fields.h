/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_GUARD_FIELDS_H
#define WST_LIB_GUARD_FIELDS_H

/* Fields, as complete lines, of answers that may tell more than any web page should learn: browsers
 * neither keep such an answer nor frame it, guess its type, or hand it to a page of another origin,
 * and a page that it is itself loads nothing but its own files. */
extern const char wst__guard_fields[];

#endif
