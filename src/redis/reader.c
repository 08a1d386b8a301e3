
#include "redis/reader.h"


/* the shortest element on the wire: ":1\r\n" */

#define PERM_REDIS_ELEMENT_MIN  4


#if (HIREDIS_MAJOR >= 1)
typedef size_t  perm_redis_elements_t;
#else
typedef int     perm_redis_elements_t;
#endif


/*
 * An array is allocated when its header is read.  More elements than the
 * bytes of a reply can hold never come, so that they get no room.
 */

static void *
perm_redis_reader_create_array(const redisReadTask *task,
    perm_redis_elements_t elements)
{
    size_t                n;
    perm_redis_reader_t  *reader;

    reader = task->privdata;
    n = (size_t) elements;

    if (n > reader->max / PERM_REDIS_ELEMENT_MIN - reader->elements) {
        reader->error = "a reply has too many elements";
        return NULL;
    }

    reader->elements += n;

    return reader->defaults->createArray(task, elements);
}


ngx_int_t
perm_redis_reader_init(perm_redis_reader_t *reader, size_t max)
{
    ngx_memzero(reader, sizeof(perm_redis_reader_t));

    reader->max = max;

    reader->reader = redisReaderCreate();
    if (reader->reader == NULL) {
        return NGX_ERROR;
    }

    reader->defaults = reader->reader->fn;
    reader->functions = *reader->defaults;
    reader->functions.createArray = perm_redis_reader_create_array;

    reader->reader->fn = &reader->functions;
    reader->reader->privdata = reader;

    return NGX_OK;
}


void
perm_redis_reader_done(perm_redis_reader_t *reader)
{
    if (reader->reader != NULL) {
        redisReaderFree(reader->reader);
        reader->reader = NULL;
    }
}


ngx_int_t
perm_redis_reader_feed(perm_redis_reader_t *reader, u_char *buf, size_t len)
{
    reader->bytes += len;

    if (redisReaderFeed(reader->reader, (char *) buf, len) != REDIS_OK) {
        reader->error = "out of memory for a reply";
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
perm_redis_reader_get(perm_redis_reader_t *reader, redisReply **reply)
{
    void         *object;
    redisReader  *r;

    r = reader->reader;
    object = NULL;

    if (redisReaderGetReply(r, &object) != REDIS_OK) {

        if (reader->error == NULL) {
            reader->error = (r->err == REDIS_ERR_OOM)
                            ? "out of memory for a reply" : r->errstr;
        }

        return NGX_ERROR;
    }

    if (object == NULL) {

        if (reader->bytes > reader->max) {
            reader->error = "a reply is too long";
            return NGX_ERROR;
        }

        return NGX_AGAIN;
    }

    reader->elements = 0;
    reader->bytes = r->len - r->pos;

    *reply = object;

    return NGX_OK;
}
