/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_VERSION_H
#define WSTUNNEL_VERSION_H
/**
 * @file version.h
 * The version, by the rules of semantic versioning.
 */
#include <wstunnel/common.h>

#define WST_VERSION_MAJOR 0       /**< of the headers */
#define WST_VERSION_MINOR 1       /**< of the headers */
#define WST_VERSION_PATCH 0       /**< of the headers */
#define WST_VERSION       "0.1.0" /**< the three of them */

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the linked library, such as "0.1.0"; WST_VERSION is that of the headers. */
WST_EXTERN const char *wst_version(void);

#ifdef __cplusplus
}
#endif
#endif
