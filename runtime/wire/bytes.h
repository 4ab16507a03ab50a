/* bytes.h - big-endian integers and varints, inline; for wire/ alone.
 *
 * Readers move `*p` towards `end` and answer false, leaving `*p` where it was, when the bytes run out or
 * a varint is longer than its kind allows. Writers expect room and return the byte after the last.
 */
#ifndef MR_WIRE_BYTES_H
#define MR_WIRE_BYTES_H

#include <millrace/types.h>

static inline uint16_t mr_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}
static inline uint32_t mr_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}
static inline uint64_t mr_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}
static inline void mr_be16_put(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}
static inline void mr_be32_put(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}
static inline void mr_be64_put(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

enum { MR_UVARINT32_BYTES = 5, MR_UVARINT64_BYTES = 10 };

static inline bool mr_uvarint64(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    const uint8_t *at = *p;
    if (at < end && *at < 0x80) { /* nearly always */
        *out = *at;
        *p = at + 1;
        return true;
    }
    if (end - at > 1 && at[1] < 0x80) {
        *out = (at[0] & 0x7fu) | (uint32_t)at[1] << 7;
        *p = at + 2;
        return true;
    }
    uint64_t v = 0;
    for (unsigned shift = 0; at < end; shift += 7) {
        uint8_t b = *at++;
        if (shift == 63 && b > 1)
            return false;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = v;
            *p = at;
            return true;
        }
    }
    return false;
}

static inline bool mr_uvarint32(const uint8_t **p, const uint8_t *end, uint32_t *out)
{
    const uint8_t *at = *p;
    if (at < end && *at < 0x80) {
        *out = *at;
        *p = at + 1;
        return true;
    }
    if (end - at > 1 && at[1] < 0x80) {
        *out = (at[0] & 0x7fu) | (uint32_t)at[1] << 7;
        *p = at + 2;
        return true;
    }
    uint32_t v = 0;
    for (unsigned shift = 0; at < end; shift += 7) {
        uint8_t b = *at++;
        if (shift == 28 && b > 0x0f)
            return false;
        v |= (uint32_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = v;
            *p = at;
            return true;
        }
    }
    return false;
}

static inline int64_t mr_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
static inline uint64_t mr_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline size_t mr_uvarint_size(uint64_t v)
{
    return v < 0x80 ? 1 : (size_t)(63 - __builtin_clzll(v)) / 7 + 1;
}
static inline uint8_t *mr_uvarint_put(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

#endif
