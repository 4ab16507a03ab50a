/* setup.h - what the tests of wire/ share: cmocka and bytes written as hex. */
#ifndef TESTS_WIRE_SETUP_H
#define TESTS_WIRE_SETUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>

#include "base/buf.h"

/* Appends the bytes that `hex` spells; blanks are skipped. */
static inline void from_hex(struct mr_buf *out, const char *hex)
{
    while (*hex) {
        if (isspace((unsigned char)*hex)) {
            hex++;
            continue;
        }
        char two[3] = {hex[0], hex[1], 0};
        char byte = (char)strtoul(two, NULL, 16);
        assert_true(mr_buf_put(out, &byte, 1));
        hex += 2;
    }
}

static inline void assert_bytes(struct mr_slice got, struct mr_slice want)
{
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.p, want.p, want.len);
}

static inline struct mr_slice slice_of_buf(const struct mr_buf *b)
{
    return (struct mr_slice){b->p, b->len};
}

#endif
