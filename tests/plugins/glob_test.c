/* glob_test.c - patterns of paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../plugins/file/glob.h"

static struct row {
    const char *name, *pattern, *path;
    bool want;
} rows[] = {
    {"a name matches itself", "/var/log/a.log", "/var/log/a.log", true},
    {"a star stays in its directory", "/var/*.log", "/var/log/a.log", false},
    {"a star matches nothing at all", "a*.log", "a.log", true},
    {"a star leaves hidden names out", "/var/*", "/var/.a", false},
    {"a class and a question mark match one byte", "/v?r/[ab].log", "/var/b.log", true},
    {"a class does not match another byte", "/var/[ab].log", "/var/c.log", false},
    {"two stars match no directory", "/var/**/a.log", "/var/a.log", true},
    {"two stars match three directories", "/var/**/a.log", "/var/x/y/z/a.log", true},
    {"two stars enter no hidden directory", "/var/**/a.log", "/var/.git/a.log", false},
    {"two stars at the end match a file below", "/var/**", "/var/x/a.log", true},
    {"two stars twice match", "/**/x/**/a.log", "/p/x/q/r/a.log", true},
    {"two stars twice need the part between", "/**/x/**/a.log", "/p/q/r/a.log", false},
    {"a relative pattern is not an absolute path", "var/a", "/var/a", false},
    {"empty parts do not count", "/var//log///a", "/var/log/a", true},
    {"a longer path does not match", "/var/*", "/var/a/b", false},
    {"many stars end", "/**/**/**/**/**/**/a", "/1/2/3/4/5/6/7/8/9/b", false},
    {"stars without end end", "/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/a",
     "/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/b", false},
};

static void matches(void **state)
{
    const struct row *row = *state;
    assert_int_equal(glob_match(row->pattern, row->path), row->want);
}

int main(void)
{
    struct CMUnitTest tests[sizeof rows / sizeof *rows];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name, .test_func = matches, .initial_state = &rows[i]};
    return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
