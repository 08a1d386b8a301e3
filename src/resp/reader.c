
#include "resp/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grant.h"


#define PERM_READER_LINE_MAX     32                   /* bytes, of a number */
#define PERM_READER_TEXT_MAX     65536                /* bytes */
#define PERM_READER_BULK_MAX     (512 * 1024 * 1024)  /* bytes, as in Redis */
#define PERM_READER_ELEMENT_MIN  4                    /* bytes: ":1" CRLF */
#define PERM_READER_KEPT         16384                /* bytes */

#define PERM_READER_LONG         "\0over 64 KiB\0"


/* what the next byte belongs to */

typedef enum {
    PERM_READER_LINE = 0,   /* the first line of whatever comes */
    PERM_READER_TEXT,       /* the rest of a status or of an error */
    PERM_READER_BULK,       /* a bulk string with its CRLF */
    PERM_READER_SKIPPED     /* the same, too long */
} perm_reader_state_t;


struct perm_reader_s {
    redisReader          *parser;
    unsigned              large;      /* the parser has had a large reply */
    size_t                reply_max;

    perm_reader_state_t   state;
    char                  line[PERM_READER_LINE_MAX];
    size_t                len;        /* of the line or of the text */
    size_t                left;       /* bytes of the bulk string to come */
    char                  last;       /* byte of the text */

    /* the reply that is coming */

    size_t                bytes;      /* without those skipped */
    size_t                elements;   /* of all its arrays */
    unsigned              depth;      /* arrays that are not complete */
    size_t                missing[PERM_READER_DEPTH_MAX];   /* elements */

    const char           *error;
    char                  text[192];  /* "error" when hiredis has one */
};


static redisReader *perm_reader_parser(void);
static void perm_reader_shrink(perm_reader_t *reader);
static const char *perm_reader_line(perm_reader_t *reader, const char *p,
    const char *end);
static void perm_reader_begin(perm_reader_t *reader);
static int perm_reader_number(const perm_reader_t *reader, long long *number);
static void perm_reader_begin_bulk(perm_reader_t *reader, long long len);
static void perm_reader_begin_array(perm_reader_t *reader, long long n);
static const char *perm_reader_text(perm_reader_t *reader, const char *p,
    const char *end);
static const char *perm_reader_bulk(perm_reader_t *reader, const char *p,
    const char *end);
static void perm_reader_complete(perm_reader_t *reader);
static void perm_reader_pass(perm_reader_t *reader, const char *bytes,
    size_t len);


const perm_str_t  perm_reader_long = perm_string(PERM_READER_LONG);

static const char  perm_reader_long_bulk[] = "$13\r\n" PERM_READER_LONG "\r\n";

static const char  perm_reader_other[] =
    "what came is no answer of a Redis server";

static const char  perm_reader_no_memory[] =
    "memory is out, an answer was not read";


perm_reader_t *
perm_reader_create(size_t reply_max)
{
    perm_reader_t  *reader;

    reader = calloc(1, sizeof(perm_reader_t));
    if (reader == NULL) {
        return NULL;
    }

    reader->reply_max = reply_max;
    reader->parser = perm_reader_parser();

    if (reader->parser == NULL) {
        free(reader);
        return NULL;
    }

    return reader;
}


void
perm_reader_free(perm_reader_t *reader)
{
    redisReaderFree(reader->parser);
    free(reader);
}


void
perm_reader_feed(perm_reader_t *reader, const char *buf, size_t len)
{
    const char  *p, *end;

    p = buf;
    end = buf + len;

    while (p < end && reader->error == NULL) {

        switch (reader->state) {

        case PERM_READER_LINE:
            p = perm_reader_line(reader, p, end);
            break;

        case PERM_READER_TEXT:
            p = perm_reader_text(reader, p, end);
            break;

        default: /* PERM_READER_BULK, PERM_READER_SKIPPED */
            p = perm_reader_bulk(reader, p, end);
        }
    }
}


int
perm_reader_next(perm_reader_t *reader, redisReply **reply)
{
    void  *next;

    *reply = NULL;
    next = NULL;

    if (redisReaderGetReply(reader->parser, &next) != REDIS_OK) {
        snprintf(reader->text, sizeof(reader->text), "%s: %s",
                 perm_reader_other, reader->parser->errstr);
        reader->error = (reader->parser->err == REDIS_ERR_OOM)
                        ? perm_reader_no_memory : reader->text;
        return -1;
    }

    *reply = next;

    if (next == NULL && reader->large) {
        perm_reader_shrink(reader);
    }

    /* replies from before the error are whole */

    return (next == NULL && reader->error != NULL) ? -1 : 0;
}


const char *
perm_reader_error(const perm_reader_t *reader)
{
    return reader->error;
}


int
perm_reader_too_long(perm_str_t text)
{
    return perm_str_equal(text, perm_reader_long);
}


/*
 * The parser keeps its buffer.  hiredis would free a large one, but 0.14 aborts
 * where it then gets no memory for the next.
 */

static redisReader *
perm_reader_parser(void)
{
    redisReader  *parser;

    parser = redisReaderCreate();

    if (parser != NULL) {
        parser->maxbuf = 0;
    }

    return parser;
}


/* the parser that a large reply went through is replaced between two replies */

static void
perm_reader_shrink(perm_reader_t *reader)
{
    redisReader  *parser;

    if (reader->state != PERM_READER_LINE || reader->depth) {
        return;
    }

    parser = perm_reader_parser();

    if (parser != NULL) {
        redisReaderFree(reader->parser);
        reader->parser = parser;
        reader->large = 0;
    }
}


/* gathers the first line: each of these functions returns the next byte */

static const char *
perm_reader_line(perm_reader_t *reader, const char *p, const char *end)
{
    while (p < end && reader->len < PERM_READER_LINE_MAX) {
        reader->line[reader->len++] = *p++;

        if (reader->line[0] == '+' || reader->line[0] == '-') {
            perm_reader_pass(reader, reader->line, 1);
            reader->state = PERM_READER_TEXT;
            reader->len = 0;
            reader->last = '\0';
            return p;
        }

        if (p[-1] == '\n') {
            perm_reader_begin(reader);
            reader->len = 0;
            return p;
        }
    }

    if (reader->len == PERM_READER_LINE_MAX) {
        reader->error = perm_reader_other;
    }

    return p;
}


/* hiredis must see the same number in it: nothing but digits */

static void
perm_reader_begin(perm_reader_t *reader)
{
    long long  number;

    if (perm_reader_number(reader, &number)) {

        switch (reader->line[0]) {

        case ':':
            perm_reader_pass(reader, reader->line, reader->len);
            perm_reader_complete(reader);
            return;

        case '$':
            perm_reader_begin_bulk(reader, number);
            return;

        case '*':
            perm_reader_begin_array(reader, number);
            return;

        default:
            break;
        }
    }

    /* another protocol, or a type of RESP3 */

    reader->error = perm_reader_other;
}


static int
perm_reader_number(const perm_reader_t *reader, long long *number)
{
    int          minus;
    const char  *p, *end;

    p = reader->line + 1;
    end = reader->line + reader->len - 2;

    minus = (p < end && *p == '-');
    p += minus;

    if (p >= end || *end != '\r' || end - p > 19) {
        return 0;
    }

    for (*number = 0; p < end; p++) {

        if (*p < '0' || *p > '9'
            || __builtin_mul_overflow(*number, 10, number)
            || __builtin_sub_overflow(*number, *p - '0', number))
        {
            return 0;
        }
    }

    /* the negative range is the larger one */

    return minus || !__builtin_sub_overflow(0, *number, number);
}


static void
perm_reader_begin_bulk(perm_reader_t *reader, long long len)
{
    if (len < -1 || len > PERM_READER_BULK_MAX) {
        reader->error = "a string of a reply has no valid length";

    } else if (len == -1) {
        perm_reader_pass(reader, reader->line, reader->len);
        perm_reader_complete(reader);

    } else if (len > PERM_GRANT_VALUE_MAX) {
        reader->state = PERM_READER_SKIPPED;
        reader->left = (size_t) len + 2;

    } else {
        perm_reader_pass(reader, reader->line, reader->len);
        reader->state = PERM_READER_BULK;
        reader->left = (size_t) len + 2;
    }
}


/*
 * Room for an array is made when its header is read.  More elements than the
 * bytes of a reply can hold never come.
 */

static void
perm_reader_begin_array(perm_reader_t *reader, long long n)
{
    size_t  elements;

    if (n < -1) {
        reader->error = "an array of a reply has no valid length";
        return;
    }

    elements = (n > 0) ? (size_t) n : 0;

    if (elements > reader->reply_max / PERM_READER_ELEMENT_MIN
                   - reader->elements)
    {
        reader->error = "a reply has too many elements";
        return;
    }

    if (elements && reader->depth == PERM_READER_DEPTH_MAX) {
        reader->error = "a reply is nested too deeply";
        return;
    }

    perm_reader_pass(reader, reader->line, reader->len);

    if (elements == 0) {
        perm_reader_complete(reader);
        return;
    }

    reader->elements += elements;
    reader->missing[reader->depth++] = elements;
}


static const char *
perm_reader_text(perm_reader_t *reader, const char *p, const char *end)
{
    size_t       len;
    const char  *cr, *lf;

    lf = memchr(p, '\n', (size_t) (end - p));
    len = (size_t) ((lf ? lf + 1 : end) - p);

    reader->len += len;

    if (reader->len > PERM_READER_TEXT_MAX) {
        reader->error = "a reply is too long";
        return p;
    }

    /* a CR or an LF alone: some releases of hiredis take it, others do not */

    cr = memchr(p, '\r', len);

    if ((lf != NULL && (lf > p ? lf[-1] : reader->last) != '\r')
        || (reader->last == '\r' && *p != '\n')
        || (cr != NULL && cr + 1 < p + len && cr[1] != '\n'))
    {
        reader->error = perm_reader_other;
        return p;
    }

    perm_reader_pass(reader, p, len);
    reader->last = p[len - 1];

    if (lf != NULL) {
        reader->state = PERM_READER_LINE;
        reader->len = 0;
        perm_reader_complete(reader);
    }

    return p + len;
}


static const char *
perm_reader_bulk(perm_reader_t *reader, const char *p, const char *end)
{
    size_t  len;

    len = (size_t) (end - p);
    len = (len < reader->left) ? len : reader->left;

    if (reader->state == PERM_READER_BULK) {
        perm_reader_pass(reader, p, len);
    }

    reader->left -= len;

    if (reader->left) {
        return p + len;
    }

    if (reader->state == PERM_READER_SKIPPED) {
        perm_reader_pass(reader, perm_reader_long_bulk,
                         sizeof(perm_reader_long_bulk) - 1);
    }

    reader->state = PERM_READER_LINE;
    perm_reader_complete(reader);

    return p + len;
}


/* an element, and the arrays that end with it */

static void
perm_reader_complete(perm_reader_t *reader)
{
    while (reader->depth && --reader->missing[reader->depth - 1] == 0) {
        reader->depth--;
    }

    if (reader->depth == 0) {
        reader->bytes = 0;
        reader->elements = 0;
    }
}


static void
perm_reader_pass(perm_reader_t *reader, const char *bytes, size_t len)
{
    reader->bytes += len;

    if (reader->bytes > reader->reply_max) {
        reader->error = "a reply is too long";
        return;
    }

    if (reader->bytes > PERM_READER_KEPT) {
        reader->large = 1;
    }

    if (redisReaderFeed(reader->parser, bytes, len) != REDIS_OK) {
        reader->error = "out of memory for a reply";
    }
}
