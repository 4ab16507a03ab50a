/* json.h - JSON text to values and back, exactly: what nobody touched leaves as it came.
 *
 * RFC 8259, UTF-8 checked, one pass, no allocation but the arena's. Depth at most MR_JSON_DEPTH_MAX. Of a
 * name given twice in one object the last wins, at the place of the first.
 *
 * Where the RFC leaves a choice: a byte order mark before the text is passed over. A surrogate without its
 * other half is refused. A number is an integer when it is written as one and 64 bits hold it, else a float:
 * -0 (its sign would be lost), 1e2 and 9223372036854775808 are floats; 1e400 is infinite once decoded. All
 * of them leave as they came when nobody touched them. An event is one line: line breaks between tokens
 * become blanks.
 *
 * Cost (tests/bench/data_bench.c, 2026-11, one core of an AMD EPYC with AVX2, nested log events of 366
 * bytes): read_row 143 ns; write_row 8 ns untouched, 53 ns touched; read, take a field away, add one, write
 * 212 ns. With a blank behind every ':' and ',' (400 bytes): read_row 158 ns, the edit 270 ns. In batches of
 * a single event read_row is 570 ns. The members of an event keep the order of its text, new ones follow,
 * whatever other events share the batch.
 */
#ifndef MR_DATA_JSON_H
#define MR_DATA_JSON_H

#include <millrace/plugin.h>

enum { MR_JSON_DEPTH_MAX = 128 };

/* One whole text, blanks around it allowed. Scalars come decoded; strings with escapes, numbers, lists and
 * objects come as MR_JSON (checked to the last byte). MR_BADDATA: message has the byte and what was expected.
 */
mr_code mr_json_read(struct mr_slice text, struct mr_value *out, struct mr_err *err);
/* The members of one object text into the columns of one row (one that exists, see mr_batch_rows), guessing
 * that the events of a batch have their names in the same order; sets b->raw[row] to the text. [borrow] text:
 * it must live as long as the batch. Columns that the text does not name keep their values (call
 * mr_json_row_merged then). On an error none of the text's members is in the row: MR_BADDATA, or MR_LIMIT
 * when the batch has no columns or bytes left. */
mr_code mr_json_read_row(struct mr_batch *b, uint32_t row, struct mr_slice text, struct mr_err *err);
/* For a row that had other fields before read_row: the text is not all of the event. What was there before
 * comes first when it is written. */
void mr_json_row_merged(struct mr_batch *b, uint32_t row);
/* Decodes one level of MR_JSON into the arena. in and out may be the same. */
bool mr_json_resolve(struct mr_arena *a, const struct mr_value *in, struct mr_value *out);

/* Of MR_JSON that holds a number: no memory is needed. false: not a number. */
bool mr_json_scalar(const struct mr_value *in, struct mr_value *out);
/* One member of MR_JSON with hint MR_OBJECT, one item (from 0) or the number of items of a MR_LIST, found in
 * the text; MR_MISSING when there is none. Comes out like a member of `resolve`: perhaps MR_JSON again. */
struct mr_value mr_json_member(const struct mr_value *object, const char *name, size_t len);
struct mr_value mr_json_item(const struct mr_value *list, uint64_t index);
uint32_t mr_json_count(const struct mr_value *list);

/* Appends. Strings that are not valid UTF-8 have each bad byte replaced by U+FFFD; MR_BYTES are base64;
 * MR_TIME is RFC 3339; floats are the shortest that read back the same, NaN and infinities null. */
bool mr_json_write(struct mr_buf *out, const struct mr_value *v); /* false: MR_BUF_MAX, memory, 256 levels */
bool mr_json_write_string(struct mr_buf *out, const char *s, size_t len);
/* One event as an object, no newline; the original text when the event was not touched. */
bool mr_json_write_row(struct mr_buf *out, const struct mr_batch *b, uint32_t row);
/* The chosen events, a line each; the fast path of every sink. ends: [k] out->len after sel[k], or NULL. */
bool mr_json_write_rows(struct mr_buf *out, const struct mr_batch *b, size_t *ends);

#endif
