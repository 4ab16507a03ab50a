/* expr_gen.h - random expressions and random events, from a seed: for holding evaluators against each other.
 *
 *   struct mr_prng r; mr_prng_seed(&r, seed);
 *   expr_gen(&r, &buf, 4);    appends an expression that is native (mr_xtree_parse answers MR_OK)
 *   event_gen(&r, &buf);      appends an event as one JSON object
 *
 * Lists and objects appear only where their identity does not matter: two of them are never compared.
 */
#ifndef MR_TESTS_DATA_EXPR_GEN_H
#define MR_TESTS_DATA_EXPR_GEN_H

#include "base/buf.h"
#include "base/prng.h"

#define GEN_PICK(r, table) ((table)[mr_prng_below((r), sizeof(table) / sizeof((table)[0]))])

static inline void gen_put(struct mr_buf *out, const char *text)
{
    (void)mr_buf_puts(out, text);
}

static inline void expr_gen_leaf(struct mr_prng *r, struct mr_buf *out)
{
    static const char *const leaves[] = {
        "e.i",
        "e.i",
        "e.j",
        "e.f",
        "e.f",
        "e.s",
        "e.s",
        "e.t",
        "e.num",
        "e.flag",
        "e.nothing",
        "e.absent",
        "e.any",
        "e.any",
        "e.o.p",
        "e.o.q.r",
        "e.o[\"x-y\"]",
        "e.l[1]",
        "e.l[2]",
        "e.l[-1]",
        "#e.l",
        "#e.s",
        "e.o.l[1].z",
        "nil",
        "true",
        "false",
        "null",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "10",
        "7",
        "0.5",
        "1.0",
        "2.5",
        "1e15",
        "1e100",
        "0x10",
        "9223372036854775807",
        "9223372036854775808",
        "-2",
        "\"\"",
        "'a'",
        "\"abc\"",
        "\"10\"",
        "'0x1F'",
        "\" 7 \"",
        "\"1e1\"",
        "\"-3\"",
        "'5.0'",
        "[[x]]",
        "\"\\u{e9}\"",
        "\"\\65b\\x63\"",
        "m.ts",
        "m.headers.h",
        "m.key",
    };
    gen_put(out, GEN_PICK(r, leaves));
}

static inline void expr_gen(struct mr_prng *r, struct mr_buf *out, int depth)
{
    static const char *const operators[] = {
        " and ", " or ", " and ", " or ", " == ", " ~= ", " < ", " <= ", " > ", " >= ", " + ", " - ",
        " * ",   " / ",  " // ",  " % ",  " ^ ",  " .. ", "+",   "- ",   "//",  " == ", " < ",
    };
    static const char *const text_methods[] = {":starts(", ":ends(", ":contains("};
    static const char *const no_arguments[] = {":lower()", ":upper()", ":len()"};
    if (depth <= 0) {
        expr_gen_leaf(r, out);
        return;
    }
    switch (mr_prng_below(r, 16)) {
    case 0:
        gen_put(out, "not ");
        expr_gen(r, out, depth - 1);
        return;
    case 1:
        gen_put(out, "- ");
        expr_gen(r, out, depth - 1);
        return;
    case 2:
        gen_put(out, "(e.l and ");
        expr_gen(r, out, depth - 1);
        gen_put(out, ")");
        return;
    case 3:
        gen_put(out, "(");
        expr_gen(r, out, depth - 1);
        gen_put(out, ")");
        gen_put(out, GEN_PICK(r, text_methods));
        expr_gen(r, out, depth - 1);
        gen_put(out, ")");
        return;
    case 4:
        gen_put(out, "e.s");
        gen_put(out, GEN_PICK(r, no_arguments));
        return;
    case 5:
        gen_put(out, "(");
        expr_gen(r, out, depth - 1);
        gen_put(out, "):sub(");
        expr_gen_leaf(r, out);
        if (mr_prng_below(r, 2)) {
            gen_put(out, ", ");
            expr_gen_leaf(r, out);
        }
        gen_put(out, ")");
        return;
    case 6:
        gen_put(out, "(e.s:find(");
        expr_gen_leaf(r, out);
        gen_put(out, ", ");
        expr_gen_leaf(r, out);
        gen_put(out, ", true))");
        return;
    case 7:
        gen_put(out, mr_prng_below(r, 2) ? "e.s:starts 'a'" : "e.any:starts(\"1\")");
        return;
    case 8:
        expr_gen_leaf(r, out);
        return;
    default:
        break;
    }
    bool parens = mr_prng_below(r, 3) == 0;
    if (parens)
        gen_put(out, "(");
    expr_gen(r, out, depth - 1);
    gen_put(out, GEN_PICK(r, operators));
    expr_gen(r, out, depth - 1);
    if (parens)
        gen_put(out, ")");
}

static inline void event_gen(struct mr_prng *r, struct mr_buf *out)
{
    static const char *const ints[] = {"0",
                                       "1",
                                       "-1",
                                       "2",
                                       "3",
                                       "200",
                                       "404",
                                       "-7",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "9007199254740993",
                                       "1234567890123456789"};
    static const char *const floats[] = {"0.5",
                                         "1.0",
                                         "-2.5",
                                         "1E2",
                                         "-0",
                                         "1e400",
                                         "9007199254740992.0",
                                         "1e-7",
                                         "9223372036854775808",
                                         "0.1",
                                         "3.0",
                                         "123456789.125"};
    static const char *const texts[] = {"\"\"",
                                        "\"a\"",
                                        "\"abc\"",
                                        "\"Abc\\u00e9\\n\"",
                                        "\"10\"",
                                        "\"0x10\"",
                                        "\" 12 \"",
                                        "\"x\\\"y\"",
                                        "\"1e2\"",
                                        "\"zz\\u0000z\"",
                                        "\"\xc3\xa9t\xc3\xa9\"",
                                        "\"abcabc\"",
                                        "\"-5\"",
                                        "\"3.5\"",
                                        "\"inf\""};
    static const char *const others[] = {"null", "true", "false"};
    gen_put(out, "{\"i\":");
    gen_put(out, GEN_PICK(r, ints));
    gen_put(out, ",\"j\":");
    gen_put(out, GEN_PICK(r, ints));
    gen_put(out, ",\"f\":");
    gen_put(out, GEN_PICK(r, floats));
    gen_put(out, ",\"s\":");
    gen_put(out, GEN_PICK(r, texts));
    if (mr_prng_below(r, 4)) {
        gen_put(out, ",\"t\":");
        gen_put(out, GEN_PICK(r, texts));
    }
    (void)mr_buf_printf(out, ",\"num\":\"%d\",\"flag\":%s,\"nothing\":null", (int)mr_prng_below(r, 100) - 50,
                        mr_prng_below(r, 2) ? "true" : "false");
    switch (mr_prng_below(r, 5)) {
    case 0:
        gen_put(out, ",\"any\":");
        gen_put(out, GEN_PICK(r, ints));
        break;
    case 1:
        gen_put(out, ",\"any\":");
        gen_put(out, GEN_PICK(r, floats));
        break;
    case 2:
        gen_put(out, ",\"any\":");
        gen_put(out, GEN_PICK(r, texts));
        break;
    case 3:
        gen_put(out, ",\"any\":");
        gen_put(out, GEN_PICK(r, others));
        break;
    default:
        break; /* missing */
    }
    if (mr_prng_below(r, 6) == 0) {
        gen_put(out, ",\"o\":");
        gen_put(out, GEN_PICK(r, others));
    } else {
        gen_put(out, ",\"o\":{\"p\":");
        gen_put(out, GEN_PICK(r, ints));
        gen_put(out, ",\"x-y\":");
        gen_put(out, GEN_PICK(r, texts));
        gen_put(out, ",\"q\":{\"r\":");
        gen_put(out, GEN_PICK(r, floats));
        gen_put(out, "},\"l\":[{\"z\":");
        gen_put(out, GEN_PICK(r, texts));
        gen_put(out, "}]}");
    }
    gen_put(out, ",\"l\":[");
    for (uint64_t n = mr_prng_below(r, 4); n > 0; n--) {
        gen_put(out, GEN_PICK(r, ints));
        if (n > 1)
            gen_put(out, ", ");
    }
    gen_put(out, "]}");
}

#endif
