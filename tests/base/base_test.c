/* base_test.c - buffers, arenas, maps, checksums, randomness. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/prng.h"
#include "sim/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void crc32c_gives_the_vectors_of_rfc_3720(void **state)
{
    unsigned char bytes[32];
    (void)state;
    memset(bytes, 0, 32);
    assert_int_equal(mr_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(mr_crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(mr_crc32c(0, bytes, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(mr_crc32c(0, bytes, 32), 0x113fdb5c);
    assert_int_equal(mr_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(mr_crc32c(0, "", 0), 0);
}

static void crc32c_by_instruction_equals_tables_for_any_length_start_and_split(void **state)
{
    static unsigned char bytes[40000];
    struct mr_prng r;
    (void)state;
    mr_prng_seed(&r, 5);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)mr_prng_next(&r);
    for (int i = 0; i < 3000; i++) {
        size_t at = (size_t)mr_prng_below(&r, 64),
               len = (size_t)mr_prng_below(&r, i % 3 ? 2000 : sizeof bytes - 64);
        size_t cut = (size_t)mr_prng_below(&r, len + 1);
        uint32_t want = mr_crc32c_portable(0, bytes + at, len);
        assert_int_equal(mr_crc32c(0, bytes + at, len), want);
        assert_int_equal(mr_crc32c(mr_crc32c(0, bytes + at, cut), bytes + at + cut, len - cut), want);
    }
}

static void murmur2_is_kafkas(void **state)
{
    static const struct {
        const char *key;
        int32_t want;
    } rows[] = {{"21", -973932308},
                {"foobar", -790332482},
                {"a-little-bit-long-string", -985981536},
                {"abc", 479470107},
                {"k1", 1684045097},
                {"", 275646681},
                {"a-little-bit-longer-string", -1486304829}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal((int32_t)mr_murmur2(rows[i].key, strlen(rows[i].key)), rows[i].want);
}

static void hash64_depends_on_bytes_and_seed(void **state)
{
    (void)state;
    assert_int_equal(mr_hash64("", 0, 0), 0x2d06800538d394c2); /* XXH3's own vector */
    assert_int_equal(mr_hash64(NULL, 0, 7), mr_hash64("x", 0, 7));
    assert_int_not_equal(mr_hash64("a", 1, 0), mr_hash64("a", 1, 1));
    assert_int_not_equal(mr_hash64("a", 1, 0), mr_hash64("b", 1, 0));
}

/* ---- map against a list */

enum { KEYS = 300 };

static bool same_after_random_operations(uint64_t seed)
{
    struct mr_map m;
    struct mr_prng r;
    static char values[KEYS * 4];
    void *model[KEYS] = {0};
    size_t count = 0;
    bool same = true;
    mr_prng_seed(&r, seed);
    mr_map_init(&m, 0);
    for (int i = 0; i < 3000 && same; i++) {
        uint64_t k = mr_prng_below(&r, seed % 2 ? KEYS : 20);
        char key[40];
        struct mr_slice s = {key, (size_t)snprintf(key, sizeof key, "%*d", (int)(k % 30), (int)k)};
        switch (mr_prng_below(&r, 4)) {
        case 0:
        case 1: {
            void *was = NULL, *value = &values[mr_prng_below(&r, sizeof values)];
            same = mr_map_put(&m, s, value, &was) && was == model[k];
            count += !model[k];
            model[k] = value;
            break;
        }
        case 2:
            same = mr_map_remove(&m, s) == model[k];
            count -= model[k] != NULL;
            model[k] = NULL;
            break;
        default:
            same = mr_map_get(&m, s) == model[k];
        }
        same = same && m.count == count;
    }
    size_t seen = 0;
    struct mr_slice key;
    void *value;
    for (size_t i = 0; mr_map_next(&m, &i, &key, &value); seen++) {
        same = same && value == model[strtoul(key.p, NULL, 10)];
        if (seen % 2)
            same = same && mr_map_remove(&m, key) == value;
    }
    same = same && seen == count && m.count == count - count / 2;
    mr_map_fini(&m, NULL);
    return same;
}

static void map_agrees_with_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(60); seed++)
        if (!same_after_random_operations(seed))
            fail_msg("map and list differ: rerun with MR_SEED=%llu", (unsigned long long)seed);
}

static void map_refuses_more_than_its_limit_but_replaces(void **state)
{
    struct mr_map m;
    int a, b;
    void *was;
    (void)state;
    mr_map_init(&m, 2);
    assert_true(mr_map_put(&m, MR_SLICE("x"), &a, NULL));
    assert_true(mr_map_put(&m, MR_SLICE(""), &a, NULL));
    assert_false(mr_map_put(&m, MR_SLICE("z"), &a, NULL));
    assert_true(mr_map_put(&m, MR_SLICE("x"), &b, &was));
    assert_ptr_equal(was, &a);
    assert_ptr_equal(mr_map_get(&m, MR_SLICE("x")), &b);
    assert_null(mr_map_get(&m, MR_SLICE("z")));
    mr_map_fini(&m, NULL);
}

static void map_stays_whole_when_memory_ends(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        struct mr_map m;
        char key[8];
        int value, put = 0;
        mr_map_init(&m, 0);
        mr_alloc_fail_at(n);
        for (int i = 0; i < 40; i++) {
            struct mr_slice s = {key, (size_t)snprintf(key, sizeof key, "%d", i)};
            put += mr_map_put(&m, s, &value, NULL);
        }
        mr_alloc_fail_at(0);
        assert_int_equal(put, 39);
        assert_int_equal(m.count, 39);
        mr_map_fini(&m, NULL);
    }
}

/* ---- buffers and arenas */

static void buffers_grow_and_keep_what_they_hold(void **state)
{
    struct mr_buf b = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(mr_buf_printf(&b, "%d,", i));
    assert_memory_equal(b.p, "0,1,2,3,", 8);
    assert_memory_equal(b.p + b.len - 8, "998,999,", 8);
    assert_int_equal(b.len, 3890);
    assert_false(mr_buf_reserve(&b, MR_BUF_MAX));
    size_t len = b.len;
    mr_alloc_fail_at(1);
    assert_false(mr_buf_reserve(&b, b.cap));
    mr_alloc_fail_at(0);
    assert_int_equal(b.len, len);
    mr_buf_fini(&b);
    assert_null(b.p);
}

static void arena_pieces_do_not_overlap_and_are_aligned(void **state)
{
    struct mr_heap_arena a;
    struct mr_prng r;
    struct {
        unsigned char *p;
        size_t len;
    } piece[200];
    (void)state;
    mr_prng_seed(&r, 3);
    mr_heap_arena_init(&a, 1024, 1 << 16, 1 << 20);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 200; i++) {
            piece[i].len = (size_t)mr_prng_below(&r, i % 10 ? 100 : 5000);
            piece[i].p = mr_arena_take(&a.arena, piece[i].len);
            assert_non_null(piece[i].p);
            assert_int_equal((uintptr_t)piece[i].p % 16, 0);
            memset(piece[i].p, i, piece[i].len);
        }
        for (int i = 0; i < 200; i++)
            for (size_t k = 0; k < piece[i].len; k++)
                assert_int_equal(piece[i].p[k], i);
        mr_heap_arena_reset(&a);
    }
    mr_heap_arena_fini(&a);
}

static void an_arena_settles_to_no_allocation(void **state)
{
    struct mr_heap_arena a;
    (void)state;
    mr_heap_arena_init(&a, 1024, 1 << 20, 1 << 20);
    for (int round = 0; round < 3; round++) {
        if (round == 2)
            mr_alloc_fail_at(1); /* the third round must not ask */
        for (int i = 0; i < 100; i++)
            assert_non_null(mr_arena_take(&a.arena, 160));
        mr_heap_arena_reset(&a);
    }
    assert_int_equal(mr_alloc_fail_left(), 1);
    mr_alloc_fail_at(0);
    mr_heap_arena_fini(&a);
}

static void an_arena_says_no_beyond_its_limit(void **state)
{
    struct mr_heap_arena a;
    size_t got = 0;
    (void)state;
    mr_heap_arena_init(&a, 4096, 4096, 10000);
    while (mr_arena_take(&a.arena, 1000))
        got++;
    assert_in_range(got, 8, 10);
    assert_null(mr_arena_take(&a.arena, SIZE_MAX));
    assert_null(mr_arena_take(&a.arena, SIZE_MAX - 20));
    mr_heap_arena_reset(&a);
    assert_non_null(mr_arena_take(&a.arena, 1000));
    mr_heap_arena_fini(&a);
}

static void below_is_in_range_and_reaches_all(void **state)
{
    struct mr_prng r;
    int seen[7] = {0};
    (void)state;
    mr_prng_seed(&r, 1);
    for (int i = 0; i < 7000; i++)
        seen[mr_prng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
    struct mr_prng again;
    mr_prng_seed(&again, 1);
    mr_prng_seed(&r, 1);
    assert_int_equal(mr_prng_next(&r), mr_prng_next(&again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_vectors_of_rfc_3720),
        cmocka_unit_test(crc32c_by_instruction_equals_tables_for_any_length_start_and_split),
        cmocka_unit_test(murmur2_is_kafkas),
        cmocka_unit_test(hash64_depends_on_bytes_and_seed),
        cmocka_unit_test(map_agrees_with_a_list),
        cmocka_unit_test(map_refuses_more_than_its_limit_but_replaces),
        cmocka_unit_test(map_stays_whole_when_memory_ends),
        cmocka_unit_test(buffers_grow_and_keep_what_they_hold),
        cmocka_unit_test(arena_pieces_do_not_overlap_and_are_aligned),
        cmocka_unit_test(an_arena_settles_to_no_allocation),
        cmocka_unit_test(an_arena_says_no_beyond_its_limit),
        cmocka_unit_test(below_is_in_range_and_reaches_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
