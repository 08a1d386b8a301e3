
/*
 * Bytes of a server: what the reader lets through to hiredis.  The first byte
 * of the input says how long the pieces are that the others come in.  In one
 * piece they give the same replies.
 * sources: src/resp/reader.c
 */


#include "fuzz.h"

#include <hiredis/hiredis.h>

#include "core/grant.h"
#include "resp/reader.h"


#define REPLY_MAX  (256 * 1024)


typedef struct {
    char        *text;
    size_t       len;
    FILE        *stream;
    unsigned     replies;
    unsigned     failed;
} replies_t;


static void read_all(replies_t *replies, const uint8_t *data, size_t size,
    size_t piece);
static size_t print(FILE *stream, const redisReply *reply, unsigned depth);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    replies_t  whole, pieces;

    if (size == 0) {
        return 0;
    }

    read_all(&whole, data + 1, size - 1, size);
    read_all(&pieces, data + 1, size - 1, 1 + data[0] % 32);

    check(whole.replies == pieces.replies && whole.failed == pieces.failed);
    check(whole.len == pieces.len
          && memcmp(whole.text, pieces.text, whole.len) == 0);

    free(whole.text);
    free(pieces.text);

    return 0;
}


static void
read_all(replies_t *replies, const uint8_t *data, size_t size, size_t piece)
{
    size_t          n;
    perm_str_t      bytes;
    redisReply     *reply;
    const char     *error;
    perm_reader_t  *reader;

    memset(replies, 0, sizeof(replies_t));

    reader = perm_reader_create(REPLY_MAX);
    replies->stream = open_memstream(&replies->text, &replies->len);

    while (size && !replies->failed) {
        n = (size < piece) ? size : piece;
        bytes = fuzz_copy(data, n);
        perm_reader_feed(reader, bytes.data, n);
        free((char *) bytes.data);

        data += n;
        size -= n;

        do {
            replies->failed = (perm_reader_next(reader, &reply) == -1);

            if (reply != NULL) {
                check(!replies->failed);
                check(print(replies->stream, reply, 0) <= REPLY_MAX);
                replies->replies++;
                freeReplyObject(reply);
            }
        } while (reply != NULL);
    }

    if (replies->failed) {
        error = perm_reader_error(reader);
        check(error != NULL && *error != '\0');
    }

    perm_reader_free(reader);
    fclose(replies->stream);
}


/* returns the bytes of the reply as a server sends it, at least */

static size_t
print(FILE *stream, const redisReply *reply, unsigned depth)
{
    size_t  i, bytes;

    bytes = 4;

    switch (reply->type) {

    case REDIS_REPLY_ARRAY:
        check(depth < PERM_READER_DEPTH_MAX || reply->elements == 0);
        fprintf(stream, "*%zu", reply->elements);

        for (i = 0; i < reply->elements; i++) {
            check(reply->element[i] != NULL);
            bytes += print(stream, reply->element[i], depth + 1);
        }

        break;

    case REDIS_REPLY_INTEGER:
        fprintf(stream, ":%lld", reply->integer);
        break;

    case REDIS_REPLY_STRING:
        check(reply->len <= PERM_GRANT_VALUE_MAX);
        /* fall through */

    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        check(reply->str[reply->len] == '\0');
        fprintf(stream, "%d:", reply->type);
        fwrite(reply->str, 1, reply->len, stream);
        bytes += reply->len;
        break;

    default:
        check(reply->type == REDIS_REPLY_NIL);
        fprintf(stream, "nil");
    }

    return bytes;
}
