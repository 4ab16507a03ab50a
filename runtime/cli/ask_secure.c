/* ask_secure.c - TLS and SASL for ask.h, from the same settings that librdkafka reads.
 *
 * Understood: security.protocol, sasl.mechanism PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 with sasl.username and
 * sasl.password; ssl.ca.location, ssl.certificate.location, ssl.key.location, ssl.key.password,
 * enable.ssl.certificate.verification, ssl.endpoint.identification.algorithm. What else would change a
 * connection is refused by its name.
 *
 * The only place that includes OpenSSL's headers (librdkafka brings the library).
 */
#include "cli/ask.h"

#include "base/buf.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

struct mr_secure {
    SSL_CTX *ctx;
    SSL *ssl;
};

/* ------------------------------------------------------------------ settings */

static bool setting(const struct mr_kafka *k, const char *name, char *out, size_t cap)
{
    size_t size = cap;
    out[0] = '\0';
    return rd_kafka_conf_get(rd_kafka_conf(k->rk), name, out, &size) == RD_KAFKA_CONF_OK && out[0];
}

bool mr_ask_security_read(struct mr_kafka *k, struct mr_ask_security *s)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    static const char *const strange[] = {"ssl.keystore.location", "ssl.ca.pem", "ssl.certificate.pem",
                                          "ssl.key.pem"};
    char protocol[32], other[64];
    *s = (struct mr_ask_security){0};
    (void)setting(k, "security.protocol", protocol, sizeof protocol);
    s->tls = !strcmp(protocol, "ssl") || !strcmp(protocol, "sasl_ssl");
    for (size_t i = 0; s->tls && i < sizeof strange / sizeof strange[0]; i++)
        if (setting(k, strange[i], other, sizeof other)) {
            mr_cli_say("millrace: error: this verb does not understand '%s'\n"
                       "  = give files in PEM: ssl.ca.location, ssl.certificate.location, ssl.key.location",
                       strange[i]);
            return false;
        }
    if (strncmp(protocol, "sasl_", 5) != 0)
        return true;
    (void)setting(k, "sasl.mechanisms", s->sasl, sizeof s->sasl);
    (void)setting(k, "sasl.username", s->user, sizeof s->user);
    (void)setting(k, "sasl.password", s->password, sizeof s->password);
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++)
        if (!strcmp(s->sasl, mechanisms[i]))
            return true;
    mr_cli_say(
        "millrace: error: this verb does not know the SASL mechanism '%s', but PLAIN, SCRAM-SHA-256 and "
        "SCRAM-SHA-512\n  = --set sasl.mechanism=SCRAM-SHA-256, if the broker has it",
        s->sasl);
    return false;
}

/* ------------------------------------------------------------------ TLS */

static bool tls_failed(struct mr_err *err, const char *what, const SSL *ssl)
{
    unsigned long code = ERR_get_error();
    long verdict = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    char text[160];
    ERR_error_string_n(code, text, sizeof text);
    if (verdict != X509_V_OK)
        return mr_fail(err, MR_IO, "%s: the broker's certificate: %s; see ssl.ca.location", what,
                       X509_verify_cert_error_string(verdict)) == MR_OK;
    return mr_fail(err, MR_IO, "%s: %s", what, code ? text : "the broker closed the connection") == MR_OK;
}

/* What SSL_read and its kin want before they go on: POLLIN, POLLOUT, or 0: it failed. */
static short wanted(SSL *ssl, int n)
{
    int why = SSL_get_error(ssl, n);
    return why == SSL_ERROR_WANT_READ ? POLLIN : why == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
}

static bool load_files(const struct mr_kafka *k, SSL_CTX *ctx, struct mr_err *err)
{
    char ca[512], cert[512], key[512], word[256];
    bool own = setting(k, "ssl.certificate.location", cert, sizeof cert);
    if (setting(k, "ssl.ca.location", ca, sizeof ca) && strcmp(ca, "probe") != 0) {
        if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1 &&
            SSL_CTX_load_verify_locations(ctx, NULL, ca) != 1)
            return tls_failed(err, "ssl.ca.location", NULL);
    } else {
        (void)SSL_CTX_set_default_verify_paths(ctx);
    }
    if (setting(k, "ssl.key.password", word, sizeof word))
        SSL_CTX_set_default_passwd_cb_userdata(ctx, word); /* read while the key is loaded, below */
    bool good = true;
    if (own && SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        good = tls_failed(err, "ssl.certificate.location", NULL);
    if (good && setting(k, "ssl.key.location", key, sizeof key) &&
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        good = tls_failed(err, "ssl.key.location", NULL);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    OPENSSL_cleanse(word, sizeof word);
    return good;
}

static bool name_host(const struct mr_kafka *k, SSL *ssl, const char *host)
{
    char way[16];
    unsigned char address[16];
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (!is_address)
        (void)SSL_set_tlsext_host_name(ssl, host);
    if (!setting(k, "ssl.endpoint.identification.algorithm", way, sizeof way) || strcmp(way, "https") != 0)
        return true;
    return is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
                      : SSL_set1_host(ssl, host) == 1;
}

bool mr_secure_start(struct mr_kafka *k, struct mr_ask_pipe *p, const char *host, int64_t until_ms,
                     struct mr_err *err)
{
    char verify[16];
    struct mr_secure *s = calloc(1, sizeof *s);
    if (!s)
        return mr_fail(err, MR_MEMORY, "no memory for TLS") == MR_OK;
    p->secure = s;
    s->ctx = SSL_CTX_new(TLS_client_method());
    if (!s->ctx)
        return tls_failed(err, "TLS", NULL);
    (void)SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!setting(k, "enable.ssl.certificate.verification", verify, sizeof verify) || !strcmp(verify, "true"))
        SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
    if (!load_files(k, s->ctx, err))
        return false;
    s->ssl = SSL_new(s->ctx);
    if (!s->ssl || SSL_set_fd(s->ssl, p->fd) != 1 || !name_host(k, s->ssl, host))
        return tls_failed(err, "TLS", NULL);
    for (;;) {
        ERR_clear_error();
        int n = SSL_connect(s->ssl);
        if (n == 1)
            return true;
        short wants = wanted(s->ssl, n);
        if (!wants)
            return tls_failed(err, "TLS", s->ssl);
        if (!mr_ask_wait(p->fd, wants, until_ms, err))
            return false;
    }
}

void mr_secure_end(struct mr_secure *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    free(s);
}

/* ------------------------------------------------------------------ bytes */

static ssize_t plain(ssize_t n, short direction, short *wants, struct mr_err *err)
{
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        *wants = direction;
    else
        (void)mr_fail(err, MR_IO, "%s", strerror(errno));
    return -1;
}

static ssize_t secured(SSL *ssl, int n, short *wants, struct mr_err *err)
{
    if (n > 0)
        return n;
    *wants = wanted(ssl, n);
    if (SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (!*wants)
        (void)tls_failed(err, "TLS", NULL);
    return -1;
}

enum { PIECE_MAX = 1 << 20 };

ssize_t mr_ask_pipe_read(struct mr_ask_pipe *p, void *to, size_t len, short *wants, struct mr_err *err)
{
    int most = (int)(len < PIECE_MAX ? len : PIECE_MAX);
    ERR_clear_error();
    return p->secure ? secured(p->secure->ssl, SSL_read(p->secure->ssl, to, most), wants, err)
                     : plain(recv(p->fd, to, (size_t)most, 0), POLLIN, wants, err);
}

ssize_t mr_ask_pipe_write(struct mr_ask_pipe *p, const void *from, size_t len, short *wants,
                          struct mr_err *err)
{
    int most = (int)(len < PIECE_MAX ? len : PIECE_MAX);
    ERR_clear_error();
    return p->secure ? secured(p->secure->ssl, SSL_write(p->secure->ssl, from, most), wants, err)
                     : plain(send(p->fd, from, (size_t)most, MSG_NOSIGNAL), POLLOUT, wants, err);
}

/* ------------------------------------------------------------------ SASL */

/* RFC 5802. Names as there: salted password, client and server key, proof. */
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
