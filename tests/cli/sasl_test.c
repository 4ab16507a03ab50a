/* sasl_test.c - the tokens of SASL, against the examples of the RFCs. */
#include "cli/ask.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define BOTH  NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define OFFER "r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

static const struct mr_ask_security user = {.sasl = "SCRAM-SHA-256", .user = "user", .password = "pencil"};

/* As it is after the first token of RFC 7677's example. */
static struct mr_sasl begun(void)
{
    return (struct mr_sasl){.s = &user, .nonce = NONCE, .first = "n=user,r=" NONCE, .step = 1};
}

static void scram_answers_as_in_rfc_7677(void **state)
{
    struct mr_sasl x = begun();
    struct mr_buf out = {0};
    struct mr_err err = {0};
    bool done;
    (void)state;
    assert_true(mr_sasl_next(&x, MR_SLICE(OFFER), &out, &done, &err));
    assert_false(done);
    assert_true(mr_slice_eq((struct mr_slice){out.p, out.len},
                            MR_SLICE("c=biws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")));
    out.len = 0;
    assert_true(
        mr_sasl_next(&x, MR_SLICE("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), &out, &done, &err));
    assert_true(done);
    assert_int_equal(out.len, 0);
    mr_buf_fini(&out);
}

static void a_broker_that_does_not_know_the_password_is_refused(void **state)
{
    struct mr_sasl x = begun();
    struct mr_buf out = {0};
    struct mr_err err = {0};
    bool done;
    (void)state;
    assert_true(mr_sasl_next(&x, MR_SLICE(OFFER), &out, &done, &err));
    assert_false(
        mr_sasl_next(&x, MR_SLICE("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), &out, &done, &err));
    assert_non_null(strstr(err.text, "not who it says"));
    mr_buf_fini(&out);
}

static const char *const wrong[] = {
    "r=someoneelse,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", /* not our nonce */
    "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",   /* ours alone: nothing of the broker's */
    "r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",       /* no rounds */
    "r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999",
    "r=" BOTH ",s=W22,i=4096", /* no base64 */
    "r=" BOTH ",i=4096",
    "",
    "r",
};

static void an_offer_that_cannot_be_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct mr_sasl x = begun();
        struct mr_buf out = {0};
        struct mr_err err = {0};
        bool done;
        if (mr_sasl_next(&x, mr_slice_of(wrong[i]), &out, &done, &err))
            fail_msg("taken: '%s'", wrong[i]);
        assert_non_null(strstr(err.text, "SCRAM-SHA-256"));
        mr_buf_fini(&out);
    }
}

static void names_with_commas_are_spelled_out_and_nonces_differ(void **state)
{
    static const struct mr_ask_security odd = {.sasl = "SCRAM-SHA-512", .user = "a,b=c", .password = "p"};
    struct mr_sasl one = {.s = &odd}, two = {.s = &odd};
    struct mr_buf out = {0};
    struct mr_err err = {0};
    bool done;
    (void)state;
    assert_true(mr_sasl_next(&one, (struct mr_slice){0}, &out, &done, &err));
    assert_true(out.len > 20 && !memcmp(out.p, "n,,n=a=2Cb=3Dc,r=", 17));
    out.len = 0;
    assert_true(mr_sasl_next(&two, (struct mr_slice){0}, &out, &done, &err));
    assert_string_not_equal(one.nonce, two.nonce);
    mr_buf_fini(&out);
}

static void plain_is_one_token(void **state)
{
    static const struct mr_ask_security plain = {.sasl = "PLAIN", .user = "anna", .password = "secret"};
    struct mr_sasl x = {.s = &plain};
    struct mr_buf out = {0};
    struct mr_err err = {0};
    bool done;
    (void)state;
    assert_true(mr_sasl_next(&x, (struct mr_slice){0}, &out, &done, &err));
    assert_true(done);
    assert_true(mr_slice_eq((struct mr_slice){out.p, out.len}, MR_SLICE("\0anna\0secret")));
    mr_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scram_answers_as_in_rfc_7677),
        cmocka_unit_test(a_broker_that_does_not_know_the_password_is_refused),
        cmocka_unit_test(an_offer_that_cannot_be_is_refused),
        cmocka_unit_test(names_with_commas_are_spelled_out_and_nonces_differ),
        cmocka_unit_test(plain_is_one_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
