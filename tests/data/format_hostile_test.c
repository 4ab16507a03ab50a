/* format_hostile_test.c - bytes that nobody meant to send, to every format. */
#include "data/format_case.h"
#include "data/format_kinds.h"

#include "base/prng.h"

static struct mr_batch_pool *pool;

static void feed(struct decoder *d, const char *p, size_t n, const char *into)
{
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n)
        memcpy(copy, p, n);
    mr_batch_free(case_decode(d, pool, (struct mr_slice){copy, n}, into, 1772323200000000000));
    free(copy);
}

static void open_kind(struct decoder *d, int i)
{
    struct mr_err err;
    if (decoder_open(d, format_kinds[i].format, format_kinds[i].options, &err))
        fail_msg("%s: %s", format_kinds[i].format, err.text);
}

static void good_line_is_taken_and_every_beginning_of_it_is_safe(void **state)
{
    (void)state;
    for (int i = 0; i < FORMAT_KINDS; i++) {
        struct decoder d;
        open_kind(&d, i);
        size_t n = strlen(format_kinds[i].line);
        struct mr_batch *b = case_decode(&d, pool, (struct mr_slice){format_kinds[i].line, n}, NULL, 0);
        if (b->fate[0] != MR_KEPT)
            fail_msg("%s: %.*s", format_kinds[i].format, MR_SLICE_ARG(mr_batch_reason(b, 0)));
        mr_batch_free(b);
        for (size_t cut = 0; cut <= n; cut++)
            feed(&d, format_kinds[i].line, cut, cut % 2 ? "deep.object" : NULL);
        decoder_close(&d);
    }
}

static void single_bytes_and_pairs_of_them_are_safe(void **state)
{
    (void)state;
    static const char bytes[] = "\0\r\n\"\\=,[]{}<>: -\t1a\x80\xff\xc3";
    for (int i = 0; i < FORMAT_KINDS; i++) {
        struct decoder d;
        open_kind(&d, i);
        for (size_t a = 0; a < sizeof bytes; a++) {
            for (size_t b = 0; b < sizeof bytes; b++) {
                const char two[2] = {bytes[a], bytes[b]};
                feed(&d, two, 2, NULL);
            }
            feed(&d, bytes + a, 1, NULL);
        }
        decoder_close(&d);
    }
}

/* A good line with some bytes changed, taken out or doubled: seeds that fail are printed by the assert. */
static void good_line_with_faults_is_safe(void **state)
{
    (void)state;
    for (int i = 0; i < FORMAT_KINDS; i++) {
        struct decoder d;
        uint64_t seed = 88172645463325252u + (uint64_t)i;
        open_kind(&d, i);
        size_t len = strlen(format_kinds[i].line);
        for (int round = 0; round < 3000; round++) {
            static const char odd[] = "\0\"\\=,[]<>: -\r\n\xff\xc3\xa9{}";
            char text[512];
            size_t n = len;
            memcpy(text, format_kinds[i].line, len);
            for (int k = 0; k < 3; k++) {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                size_t at = (size_t)(seed >> 8) % n;
                switch (seed % 4) {
                case 0:
                    text[at] = odd[(seed >> 40) % (sizeof odd - 1)];
                    break;
                case 1:
                    text[at] = (char)(seed >> 48);
                    break;
                case 2:
                    memmove(text + at, text + at + 1, n - at - 1);
                    n -= n > 1;
                    break;
                default:
                    memmove(text + at + 1, text + at, n - at);
                    n++;
                }
            }
            feed(&d, text, n, round % 5 == 0 ? "into.this" : NULL);
        }
        decoder_close(&d);
    }
}

/* 10 MB of one byte, of a repeated piece, and of a good line that never ends. */
static void line_of_ten_megabytes_is_safe(void **state)
{
    (void)state;
    enum { BIG = 10 * 1000 * 1000 };
    static const char *const pieces[] = {"\"",          "\\",   " ",       "a",         ",",  "\"\",",
                                         "a=\"\\\"\" ", "[",    "{\"a\":", "\xff",      " [", "<",
                                         "1:",          "\\\"", "a=b ",    "[a x=\"\"]"};
    char *p = malloc(BIG);
    assert_non_null(p);
    for (int i = 0; i < FORMAT_KINDS; i++) {
        struct decoder d;
        open_kind(&d, i);
        size_t head = strlen(format_kinds[i].line);
        for (size_t k = 0; k < 2 * sizeof pieces / sizeof *pieces; k++) {
            const char *piece = pieces[k / 2];
            size_t len = strlen(piece), at = 0;
            if (k % 2) { /* behind a good beginning */
                memcpy(p, format_kinds[i].line, head);
                at = head - 1;
            }
            memcpy(p + at, piece, len);
            for (size_t have = len; at + have < BIG;) { /* doubling */
                size_t more = at + have * 2 <= BIG ? have : BIG - at - have;
                memcpy(p + at + have, p + at, more);
                have += more;
            }
            struct mr_batch *b = texts_of(pool, &(struct mr_slice){p, BIG}, 1);
            d.format->decode(d.self, b, 0, (struct mr_slice){NULL, 0}, 0);
            if (b->fate[0] == MR_REJECTED)
                assert_true(mr_batch_reason(b, 0).len > 0);
            mr_batch_free(b);
        }
        decoder_close(&d);
    }
    free(p);
}

static void names_beyond_the_limit_are_refused_by_name(void **state)
{
    (void)state;
    char text[1100 * 8];
    size_t n = 0;
    for (int i = 0; i < 1030; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "n%d=1 ", i);
    struct decoder d;
    struct mr_err err;
    assert_int_equal(decoder_open(&d, "logfmt", NULL, &err), MR_OK);
    struct mr_batch *b = texts_of(pool, &(struct mr_slice){text, n}, 1);
    d.format->decode(d.self, b, 0, (struct mr_slice){NULL, 0}, 0);
    assert_int_equal(b->fate[0], MR_REJECTED);
    assert_non_null(strstr(mr_batch_reason(b, 0).p, "more than 1024 pairs"));
    mr_batch_free(b);
    decoder_close(&d);
}

/* A batch whose arena is full: every line is rejected or decoded, and the reason names the limit. */
static void full_batch_rejects_by_name(void **state)
{
    (void)state;
    for (int i = 0; i < FORMAT_KINDS; i++) {
        struct decoder d;
        open_kind(&d, i);
        bool kept = false;
        for (size_t limit = (size_t)600 << 10; !kept && limit < (size_t)64 << 20;
             limit += (size_t)300 << 10) {
            struct mr_batch_pool *small = mr_batch_pool_new(0, limit);
            struct mr_batch *b = mr_batch_take(small);
            assert_non_null(b);
            mr_batch_rows(b, 1);
            int32_t slot = mr_batch_slot(b, "message", 7, true);
            if (slot >= 0) {
                b->column[slot].v[0] = mr_value_string(mr_slice_of(format_kinds[i].line));
                d.format->decode(d.self, b, slot, (struct mr_slice){NULL, 0}, 0);
                kept = b->fate[0] == MR_KEPT;
                if (!kept)
                    assert_true(mr_batch_reason(b, 0).len > 0);
            }
            mr_batch_free(b);
            mr_batch_pool_free(small);
        }
        assert_true(kept);
        decoder_close(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_line_is_taken_and_every_beginning_of_it_is_safe),
        cmocka_unit_test(single_bytes_and_pairs_of_them_are_safe),
        cmocka_unit_test(good_line_with_faults_is_safe),
        cmocka_unit_test(line_of_ten_megabytes_is_safe),
        cmocka_unit_test(names_beyond_the_limit_are_refused_by_name),
        cmocka_unit_test(full_batch_rejects_by_name),
    };
    pool = mr_batch_pool_new(2, (size_t)1 << 28);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mr_batch_pool_free(pool);
    return failed;
}
