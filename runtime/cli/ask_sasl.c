/* ask_sasl.c - the tokens of SASL: PLAIN (RFC 4616), SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802,
 * RFC 7677).
 *
 * Of SCRAM names are as in the RFC: salted password, client key, stored key, server key, proof.
 */
#include "cli/ask.h"

#include "base/buf.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

enum { SCRAM_ROUNDS_MAX = 1000000, DIGEST_MAX = 64 };

static bool scram_first(struct mr_sasl *x, struct mr_buf *out, struct mr_err *err)
{
    unsigned char random[24];
    struct mr_buf nonce = {0};
    if (RAND_bytes(random, sizeof random) != 1 || !mr_base64_put(&nonce, random, sizeof random))
        return mr_fail(err, MR_IO, "no random numbers") == MR_OK;
    (void)snprintf(x->nonce, sizeof x->nonce, "%.*s", (int)nonce.len, nonce.p);
    mr_buf_fini(&nonce);
    size_t at = (size_t)snprintf(x->first, sizeof x->first, "n=");
    for (const char *u = x->s->user; *u && at + 8 < sizeof x->first; u++) /* "=" and "," are spelled out */
        at += (size_t)snprintf(x->first + at, sizeof x->first - at,
                               *u == '='   ? "=3D"
                               : *u == ',' ? "=2C"
                                           : "%c",
                               *u);
    (void)snprintf(x->first + at, sizeof x->first - at, ",r=%s", x->nonce);
    return mr_buf_printf(out, "n,,%s", x->first) || mr_fail(err, MR_MEMORY, "no memory") == MR_OK;
}

/* "x=..." of a message of fields parted by commas. */
static struct mr_slice field(struct mr_slice message, char name)
{
    const char *end = message.p + message.len;
    for (const char *p = message.p; p && p + 1 < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
        if (p[0] == name && p[1] == '=')
            return (struct mr_slice){p + 2, (size_t)(stop - p) - 2};
        p = comma ? comma + 1 : NULL;
    }
    return (struct mr_slice){0};
}

static bool mac(const EVP_MD *md, const unsigned char *key, const char *text, size_t len, unsigned char *out)
{
    unsigned n = 0;
    return HMAC(md, key, EVP_MD_get_size(md), (const unsigned char *)text, len, out, &n) != NULL;
}

static bool scram_final(struct mr_sasl *x, struct mr_slice server, struct mr_buf *out, struct mr_err *err)
{
    const EVP_MD *md = !strcmp(x->s->sasl, "SCRAM-SHA-512") ? EVP_sha512() : EVP_sha256();
    size_t size = (size_t)EVP_MD_get_size(md);
    unsigned char salted[DIGEST_MAX], client[DIGEST_MAX], stored[DIGEST_MAX], key[DIGEST_MAX],
        proof[DIGEST_MAX];
    struct mr_slice nonce = field(server, 'r'), salt64 = field(server, 's'), rounds = field(server, 'i');
    struct mr_buf salt = {0}, all = {0}, text = {0};
    int64_t n = 0;
    bool good =
        nonce.len > strlen(x->nonce) && !memcmp(nonce.p, x->nonce, strlen(x->nonce)) &&
        mr_parse_i64(rounds, &n) && n >= 1 && n <= SCRAM_ROUNDS_MAX && salt64.len &&
        mr_base64_read(&salt, salt64.p, salt64.len) &&
        mr_buf_printf(&all, "%s,%.*s,c=biws,r=%.*s", x->first, MR_SLICE_ARG(server), MR_SLICE_ARG(nonce));
    good = good &&
           PKCS5_PBKDF2_HMAC(x->s->password, (int)strlen(x->s->password), (const unsigned char *)salt.p,
                             (int)salt.len, (int)n, md, (int)size, salted) == 1 &&
           mac(md, salted, "Client Key", 10, client) &&
           EVP_Digest(client, size, stored, NULL, md, NULL) == 1 && mac(md, stored, all.p, all.len, proof) &&
           mac(md, salted, "Server Key", 10, key) && mac(md, key, all.p, all.len, stored);
    for (size_t i = 0; good && i < size; i++)
        proof[i] ^= client[i];
    good = good && mr_base64_put(&text, stored, size);
    if (good)
        (void)snprintf(x->server_signature, sizeof x->server_signature, "%.*s", (int)text.len, text.p);
    good = good && mr_buf_printf(out, "c=biws,r=%.*s,p=", MR_SLICE_ARG(nonce)) &&
           mr_base64_put(out, proof, size);
    mr_buf_fini(&salt);
    mr_buf_fini(&all);
    mr_buf_fini(&text);
    return good || mr_fail(err, MR_BADDATA, "the broker's part of %s cannot be used", x->s->sasl) == MR_OK;
}

bool mr_sasl_next(struct mr_sasl *x, struct mr_slice challenge, struct mr_buf *out, bool *done,
                  struct mr_err *err)
{
    int step = x->step++;
    *done = false;
    if (!strcmp(x->s->sasl, "PLAIN")) {
        *done = true;
        return (mr_buf_put(out, "", 1) && mr_buf_puts(out, x->s->user) && mr_buf_put(out, "", 1) &&
                mr_buf_puts(out, x->s->password)) ||
               mr_fail(err, MR_MEMORY, "no memory") == MR_OK;
    }
    if (step == 0)
        return scram_first(x, out, err);
    if (step == 1)
        return scram_final(x, challenge, out, err);
    *done = true;
    if (mr_slice_eq(field(challenge, 'v'), mr_slice_of(x->server_signature)))
        return true;
    return mr_fail(err, MR_BADDATA, "the broker does not know the password either: it is not who it says") ==
           MR_OK;
}
