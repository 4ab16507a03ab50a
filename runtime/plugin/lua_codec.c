/* lua_codec.c - hash and codec for scripts. */
#include "plugin/lua_inside.h"

#include "base/hash.h"

#include <string.h>

/* ---------------------------------------------------------------- hash */

/* CRC-32 of IEEE 802.3 (reflected 0x04c11db7), what gzip and zip use. */
static int hash_crc32(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint8_t)s[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0xedb88320U & (0U - (crc & 1)));
        if ((i & (LUA_STEPS - 1)) == LUA_STEPS - 1)
            lua_look(L);
    }
    lua_pushinteger(L, (lua_Integer)(crc ^ 0xffffffff));
    return 1;
}

static int hash_crc32c(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_pushinteger(L, (lua_Integer)mr_crc32c(0, s, len));
    return 1;
}

/* hash.xxh3(s [, seed]): 64 bits, as a (signed) integer */
static int hash_xxh3(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_pushinteger(L, (lua_Integer)mr_hash64(s, len, (uint64_t)luaL_optinteger(L, 2, 0)));
    return 1;
}

/* SHA-256, FIPS 180-4: for pseudonyms that cannot be turned round by guessing when a secret goes in first. */
struct sha {
    uint32_t h[8];
    uint8_t block[64];
    uint64_t bytes;
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha_block(struct sha *s, const uint8_t *p)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[i * 4] << 24 | (uint32_t)p[i * 4 + 1] << 16 | (uint32_t)p[i * 4 + 2] << 8 |
               p[i * 4 + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                      ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                      ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        s->h[i] += v[i];
}

static void sha_put(struct sha *s, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t have = s->bytes & 63;
    s->bytes += len;
    while (len > 0) {
        size_t n = 64 - have < len ? 64 - have : len;
        memcpy(s->block + have, p, n);
        p += n;
        len -= n;
        have += n;
        if (have == 64) {
            sha_block(s, s->block);
            have = 0;
        }
    }
}

static void sha_end(struct sha *s, uint8_t out[32])
{
    uint64_t bits = s->bytes * 8;
    uint8_t tail[72] = {0x80};
    size_t have = s->bytes & 63, pad = (have < 56 ? 56 : 120) - have;
    for (int i = 0; i < 8; i++)
        tail[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    sha_put(s, tail, pad + 8);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

static const char digits[] = "0123456789abcdef";

/* hash.sha256(s): 64 hexadecimal digits */
static int hash_sha256(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    struct sha sha = {.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                            0x1f83d9ab, 0x5be0cd19}};
    uint8_t sum[32];
    char text[64];
    for (size_t i = 0; i < len; i += LUA_STEPS) {
        sha_put(&sha, s + i, len - i < LUA_STEPS ? len - i : LUA_STEPS);
        lua_look(L);
    }
    sha_end(&sha, sum);
    for (int i = 0; i < 32; i++) {
        text[i * 2] = digits[sum[i] >> 4];
        text[i * 2 + 1] = digits[sum[i] & 15];
    }
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

/* ---------------------------------------------------------------- codec */

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int codec_b64(lua_State *L)
{
    size_t len;
    const uint8_t *s = (const uint8_t *)luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, (len + 2) / 3 * 4);
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v =
            (uint32_t)s[i] << 16 | (i + 1 < len ? (uint32_t)s[i + 1] << 8 : 0) | (i + 2 < len ? s[i + 2] : 0);
        p[n++] = b64[v >> 18];
        p[n++] = b64[v >> 12 & 63];
        p[n++] = i + 1 < len ? b64[v >> 6 & 63] : '=';
        p[n++] = i + 2 < len ? b64[v & 63] : '=';
    }
    luaL_pushresultsize(&b, n);
    return 1;
}

static int nothing(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

/* codec.unb64(s): also the URL alphabet (- and _), with or without padding; nil and why when it is not base64
 */
static int codec_unb64(lua_State *L)
{
    size_t len, n = 0;
    const char *s = luaL_checklstring(L, 1, &len);
    while (len > 0 && s[len - 1] == '=')
        len--;
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, len);
    uint32_t v = 0;
    bool bad = len % 4 == 1;
    for (size_t i = 0; i < len && !bad; i++) {
        char c = s[i] == '-' ? '+' : s[i] == '_' ? '/' : s[i];
        const char *at = c ? strchr(b64, c) : NULL;
        bad = !at;
        v = v << 6 | (at ? (uint32_t)(at - b64) : 0);
        if (i % 4 == 1)
            p[n++] = (char)(v >> 4);
        else if (i % 4 == 2)
            p[n++] = (char)(v >> 2);
        else if (i % 4 == 3)
            p[n++] = (char)v;
    }
    luaL_pushresultsize(&b, n);
    return bad ? nothing(L, "not base64") : 1;
}

static int codec_hex(lua_State *L)
{
    size_t len;
    const uint8_t *s = (const uint8_t *)luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, len * 2);
    for (size_t i = 0; i < len; i++) {
        p[i * 2] = digits[s[i] >> 4];
        p[i * 2 + 1] = digits[s[i] & 15];
    }
    luaL_pushresultsize(&b, len * 2);
    return 1;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int codec_unhex(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    if (len % 2)
        return nothing(L, "not hexadecimal");
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, len / 2);
    bool bad = false;
    for (size_t i = 0; i < len / 2; i++) {
        int hi = hex_digit(s[i * 2]), lo = hex_digit(s[i * 2 + 1]);
        bad |= hi < 0 || lo < 0;
        p[i] = (char)((hi & 15) << 4 | (lo & 15));
    }
    luaL_pushresultsize(&b, len / 2);
    return bad ? nothing(L, "not hexadecimal") : 1;
}

/* RFC 3986: unreserved characters stay */
static int codec_url(lua_State *L)
{
    size_t len, n = 0;
    const char *s = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, len * 3);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c && strchr("-._~", c))) {
            p[n++] = (char)c;
        } else {
            p[n++] = '%';
            p[n++] = "0123456789ABCDEF"[c >> 4];
            p[n++] = "0123456789ABCDEF"[c & 15];
        }
    }
    luaL_pushresultsize(&b, n);
    return 1;
}

/* codec.unurl(s): %41 and, as in forms, + for a blank; a % that begins nothing stays */
static int codec_unurl(lua_State *L)
{
    size_t len, n = 0;
    const char *s = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, len);
    for (size_t i = 0; i < len; i++) {
        int hi = s[i] == '%' && i + 2 < len ? hex_digit(s[i + 1]) : -1;
        int lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;
        if (lo >= 0) {
            p[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            p[n++] = s[i] == '+' ? ' ' : s[i];
        }
    }
    luaL_pushresultsize(&b, n);
    return 1;
}

void lua_codec_open(lua_State *L)
{
    static const luaL_Reg hash[] = {{"crc32", hash_crc32},
                                    {"crc32c", hash_crc32c},
                                    {"xxh3", hash_xxh3},
                                    {"sha256", hash_sha256},
                                    {NULL, NULL}};
    static const luaL_Reg codec[] = {
        {"b64", codec_b64}, {"unb64", codec_unb64}, {"hex", codec_hex}, {"unhex", codec_unhex},
        {"url", codec_url}, {"unurl", codec_unurl}, {NULL, NULL}};
    luaL_newlib(L, hash);
    lua_freeze(L, "hash");
    lua_setfield(L, -2, "hash");
    luaL_newlib(L, codec);
    lua_freeze(L, "codec");
    lua_setfield(L, -2, "codec");
}
