/* SPDX-License-Identifier: MIT */
#include "sized.h"

#include <wstunnel/error.h>

#include <stdint.h>
#include <string.h>

/* No struct is as large: a size beyond it has not been set. */
enum { SIZE_LIMIT = 4096 };

static size_t size_of(const void *sized) {
    size_t size;
    memcpy(&size, sized, sizeof(size));
    return size;
}

bool wst__sized_valid(const void *theirs) {
    return size_of(theirs) > sizeof(size_t) && size_of(theirs) <= SIZE_LIMIT;
}

static bool all_zero(const uint8_t *bytes, size_t len) {
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    return len == 0;
}

/* Whether members behind our struct, of `size` bytes, are set. */
static bool sets_unknown(const void *theirs, size_t size) {
    size_t given = size_of(theirs);
    return given > size && !all_zero((const uint8_t *)theirs + size, given - size);
}

int wst__sized_check(const void *theirs, size_t size, size_t first_size) {
    return wst__sized_valid(theirs) && size_of(theirs) >= first_size && !sets_unknown(theirs, size)
               ? 0
               : WST_EINVAL;
}

int wst__sized_read(void *ours, size_t size, const void *theirs) {
    size_t given = 0;
    if (theirs != NULL) {
        given = size_of(theirs);
        if (!wst__sized_valid(theirs) || sets_unknown(theirs, size))
            return WST_EINVAL;
        memmove(ours, theirs, given < size ? given : size);
    }
    if (given < size)
        memset((uint8_t *)ours + given, 0, size - given);
    memcpy(ours, &size, sizeof(size));
    return 0;
}

int wst__sized_write(void *theirs, const void *ours) {
    size_t given = size_of(theirs), size = size_of(ours);
    if (!wst__sized_valid(theirs))
        return WST_EINVAL;
    memcpy((uint8_t *)theirs + sizeof(size_t), (const uint8_t *)ours + sizeof(size_t),
           (given < size ? given : size) - sizeof(size_t));
    if (given > size)
        memset((uint8_t *)theirs + size, 0, given - size);
    return 0;
}

int wst__sized_read_at(void *ours, size_t size, const void *array, size_t n) {
    if (array == NULL || !wst__sized_valid(array))
        return WST_EINVAL;
    const uint8_t *element = (const uint8_t *)array + n * size_of(array);
    return size_of(element) == size_of(array) ? wst__sized_read(ours, size, element) : WST_EINVAL;
}
