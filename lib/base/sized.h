/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SIZED_H
#define WST_LIB_SIZED_H
/*
 * Structs that can grow (wstunnel/common.h) begin with a size_t: the size that their maker was
 * compiled with. These functions stand between a caller's struct and ours, of which either may be
 * the longer one.
 */
#include <stdbool.h>
#include <stddef.h>

/* Whether the caller has set a size. */
bool wst__sized_valid(const void *theirs);

/*
 * Copies a caller's struct into ours, of `size` bytes: members that the caller does not know become
 * zero. NULL: all become zero. 0; WST_EINVAL: no size, or a member that we do not know is set.
 */
int wst__sized_read(void *ours, size_t size, const void *theirs);

/*
 * Checks a caller's struct that is borrowed, not copied: whether it reaches `first_size`, the size
 * it had in the first release, and sets no member that we do not know (`size` is ours). Members of
 * later releases lie beyond `first_size`: ask for its size before each use of one. 0 or WST_EINVAL.
 */
int wst__sized_check(const void *theirs, size_t size, size_t first_size);

/* Copies our struct, whose size is set, into the caller's, as far as that goes. 0 or WST_EINVAL. */
int wst__sized_write(void *theirs, const void *ours);

/* As wst__sized_read, the n-th element of a caller's array, whose elements are all of one size. */
int wst__sized_read_at(void *ours, size_t size, const void *array, size_t n);

#endif
