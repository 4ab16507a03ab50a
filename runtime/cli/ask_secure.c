/* ask_secure.c - TLS for ask.h, and who one is, from the same settings that librdkafka reads.
 *
 * Understood: security.protocol, sasl.mechanism PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 with
 * sasl.username and sasl.password; ssl.ca.location, ssl.certificate.location, ssl.key.location,
 * ssl.key.password, enable.ssl.certificate.verification, ssl.endpoint.identification.algorithm.
 * What else would change a connection is refused by its name.
 *
 * Here and in ask_sasl.c are the only places that include OpenSSL's headers (librdkafka brings
 * the library).
 */
#include "cli/ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
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
