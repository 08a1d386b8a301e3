
/*
 * Bytes of a server: what the reader lets through to hiredis.  The first byte
 * of the input says how long the pieces are that the others come in; a byte 1
 * stands for a thousand "x".  In one piece they give the same replies, and a
 * second reading, of all bytes at once, says which.
 * sources: src/resp/reader.c
 */


#include "fuzz.h"

#include <errno.h>
#include <hiredis/hiredis.h>

#include "resp/reader.h"


#define REPLY_MAX  (256 * 1024)
#define INPUT_MAX  (512 * 1024)
#define VALUE_MAX  (64 * 1024)    /* bytes of a value, and of a line of text */
#define DEPTH_MAX  7              /* arrays in arrays */


typedef struct {
    char        *text;
    size_t       len;
    FILE        *stream;
    unsigned     replies;
    unsigned     failed;
} replies_t;


/* the second reading: a reply is whole, not whole yet, or none */

typedef enum { WHOLE, SHORT, WRONG } result_t;

typedef struct {
    const char  *p, *end;
    size_t       bytes;       /* of this reply */
    size_t       elements;    /* of all its arrays */
} bytes_t;


static void read_all(replies_t *replies, perm_str_t input, size_t piece);
static void print(FILE *stream, const redisReply *reply);
static void read_again(replies_t *replies, perm_str_t input);
static result_t read_reply(bytes_t *bytes, FILE *stream, unsigned depth);
static result_t read_text(bytes_t *bytes, FILE *stream, int type);
static result_t read_string(bytes_t *bytes, FILE *stream, long long len);
static result_t read_array(bytes_t *bytes, FILE *stream, long long n,
    unsigned depth);
static perm_str_t expand(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       piece;
    unsigned     i;
    perm_str_t   input;
    replies_t    replies[3];

    if (size == 0) {
        return 0;
    }

    input = expand(data + 1, size - 1);

    read_all(&replies[0], input, input.len + 1);
    piece = (input.len < 8192) ? 1 : 1000;
    read_all(&replies[1], input, piece * (1 + data[0] % 32));
    read_again(&replies[2], input);

    for (i = 1; i < 3; i++) {
        check(replies[i].replies == replies[0].replies);
        check(replies[i].failed == replies[0].failed);
        check(replies[i].len == replies[0].len
              && memcmp(replies[i].text, replies[0].text, replies[0].len)
                 == 0);
    }

    for (i = 0; i < 3; i++) {
        free(replies[i].text);
    }

    free((char *) input.data);

    return 0;
}


static perm_str_t
expand(const uint8_t *data, size_t size)
{
    char    *text, *p;
    size_t   i, len;

    for (i = 0, len = 0; i < size && len < INPUT_MAX; i++) {
        len += (data[i] == 1) ? 1000 : 1;
    }

    size = i;
    text = malloc(len + 1);

    for (i = 0, p = text; i < size; i++) {
        memset(p, data[i] == 1 ? 'x' : data[i], data[i] == 1 ? 1000 : 1);
        p += (data[i] == 1) ? 1000 : 1;
    }

    *p = '\0';

    return (perm_str_t) { len, text };
}


static void
read_all(replies_t *replies, perm_str_t input, size_t piece)
{
    size_t          n;
    perm_str_t      bytes;
    redisReply     *reply;
    const char     *error;
    perm_reader_t  *reader;

    memset(replies, 0, sizeof(replies_t));

    reader = perm_reader_create(REPLY_MAX);
    replies->stream = open_memstream(&replies->text, &replies->len);

    while (input.len && !replies->failed) {
        n = (input.len < piece) ? input.len : piece;
        bytes = fuzz_copy(input.data, n);
        perm_reader_feed(reader, bytes.data, n);
        free((char *) bytes.data);

        input.data += n;
        input.len -= n;

        do {
            replies->failed = (perm_reader_next(reader, &reply) == -1);

            if (reply != NULL) {
                check(!replies->failed);
                print(replies->stream, reply);
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


static void
print(FILE *stream, const redisReply *reply)
{
    size_t  i;

    switch (reply->type) {

    case REDIS_REPLY_ARRAY:
        fprintf(stream, "*%zu", reply->elements);

        for (i = 0; i < reply->elements; i++) {
            print(stream, reply->element[i]);
        }

        break;

    case REDIS_REPLY_INTEGER:
        fprintf(stream, ":%lld", reply->integer);
        break;

    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        check(reply->str[reply->len] == '\0');
        fputc(reply->type == REDIS_REPLY_STRING ? '$'
              : reply->type == REDIS_REPLY_STATUS ? '+' : '-', stream);
        fwrite(reply->str, 1, reply->len, stream);
        break;

    default:
        check(reply->type == REDIS_REPLY_NIL);
        fputs("nil", stream);
    }

    fputc('\n', stream);
}


static void
read_again(replies_t *replies, perm_str_t input)
{
    long      whole;
    bytes_t   bytes;
    result_t  result;

    memset(replies, 0, sizeof(replies_t));
    replies->stream = open_memstream(&replies->text, &replies->len);

    bytes.p = input.data;
    bytes.end = input.data + input.len;

    for ( ;; ) {
        whole = ftell(replies->stream);
        bytes.bytes = 0;
        bytes.elements = 0;

        result = read_reply(&bytes, replies->stream, 0);

        if (result != WHOLE) {
            break;
        }

        replies->replies++;
    }

    replies->failed = (result == WRONG);

    fclose(replies->stream);
    replies->len = (size_t) whole;
}


static result_t
read_reply(bytes_t *bytes, FILE *stream, unsigned depth)
{
    char         type, *last;
    size_t       len;
    long long    number;
    const char  *line, *lf;

    if (bytes->p == bytes->end) {
        return SHORT;
    }

    line = bytes->p;
    type = *line;

    if (type == '+' || type == '-') {
        return read_text(bytes, stream, type);
    }

    len = (size_t) (bytes->end - line);
    lf = memchr(line, '\n', len < 32 ? len : 32);

    if (lf == NULL) {
        return (len < 32) ? SHORT : WRONG;
    }

    /* an optional minus, 1 to 19 digits, and nothing that is no int64_t */

    len = strspn(line + 1 + (line[1] == '-'), "0123456789");
    errno = 0;
    number = strtoll(line + 1, &last, 10);

    if (len < 1 || len > 19 || errno || *last != '\r' || last + 1 != lf) {
        return WRONG;
    }

    bytes->p = lf + 1;

    if (type == '$' && number > VALUE_MAX) {
        return read_string(bytes, stream, number);
    }

    bytes->bytes += (size_t) (bytes->p - line);

    /* hiredis takes neither "01" nor "-0" */

    if (bytes->bytes > REPLY_MAX
        || (line[1] == '0' && len > 1) || memcmp(line + 1, "-0", 2) == 0)
    {
        return WRONG;
    }

    switch (type) {

    case ':':
        fprintf(stream, ":%lld\n", number);
        return WHOLE;

    case '$':
        return read_string(bytes, stream, number);

    case '*':
        return read_array(bytes, stream, number, depth);

    default:
        return WRONG;
    }
}


static result_t
read_text(bytes_t *bytes, FILE *stream, int type)
{
    size_t       len;
    const char  *text, *cr, *lf;

    text = bytes->p + 1;
    len = (size_t) (bytes->end - text);
    lf = len ? memchr(text, '\n', len) : NULL;
    len = lf ? (size_t) (lf + 1 - text) : len;
    bytes->bytes += 1 + len;

    if (len > VALUE_MAX || bytes->bytes > REPLY_MAX) {
        return WRONG;
    }

    cr = len ? memchr(text, '\r', len) : NULL;

    if (cr != NULL && cr + 1 < text + len && cr + 1 != lf) {
        return WRONG;
    }

    if (lf == NULL) {
        return SHORT;
    }

    if (cr == NULL) {
        return WRONG;
    }

    fputc(type, stream);
    fwrite(text, 1, len - 2, stream);
    fputc('\n', stream);
    bytes->p = lf + 1;

    return WHOLE;
}


static result_t
read_string(bytes_t *bytes, FILE *stream, long long len)
{
    long long  have;

    if (len < -1 || len > 512 * 1024 * 1024) {
        return WRONG;
    }

    if (len == -1) {
        fputs("nil\n", stream);
        return WHOLE;
    }

    have = bytes->end - bytes->p;

    if (len > VALUE_MAX) {
        if (have < len + 2) {
            return SHORT;
        }

        fwrite("$\0over 64 KiB\0\n", 1, 15, stream);
        bytes->bytes += 20;

    } else {
        bytes->bytes += (size_t) (have < len + 2 ? have : len + 2);

        if (bytes->bytes > REPLY_MAX) {
            return WRONG;
        }

        if (have < len + 2) {
            return SHORT;
        }

        fputc('$', stream);
        fwrite(bytes->p, 1, (size_t) len, stream);
        fputc('\n', stream);
    }

    bytes->p += len + 2;

    return (bytes->bytes > REPLY_MAX) ? WRONG : WHOLE;
}


static result_t
read_array(bytes_t *bytes, FILE *stream, long long n, unsigned depth)
{
    long long  i;
    result_t   result;

    if (n < -1 || n > (long long) (REPLY_MAX / 4 - bytes->elements)
        || (n > 0 && depth == DEPTH_MAX))
    {
        return WRONG;
    }

    if (n == -1) {
        fputs("nil\n", stream);
        return WHOLE;
    }

    bytes->elements += (size_t) n;
    fprintf(stream, "*%lld", n);

    for (i = 0; i < n; i++) {
        result = read_reply(bytes, stream, depth + 1);

        if (result != WHOLE) {
            return result;
        }
    }

    fputc('\n', stream);

    return WHOLE;
}
