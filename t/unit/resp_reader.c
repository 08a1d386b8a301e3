
/*
 * Replies out of bytes, in pieces of every size; what a hostile server sends;
 * a string that is too long.
 * sources: src/resp/printable.c src/resp/reader.c
 */


#include <stdlib.h>

#include "tap.h"

#include "core/grant.h"
#include "resp/printable.h"
#include "resp/reader.h"


#define REPLY_MAX  (1024 * 1024)


static char    bytes[6 * 1024 * 1024];
static size_t  len;


static void
put(const char *text, size_t n, unsigned times)
{
    for ( /* void */ ; times; times--) {
        memcpy(bytes + len, text, n);
        len += n;
    }
}


static void
put_text(const char *text, unsigned times)
{
    put(text, strlen(text), times);
}


static void
put_bulk(size_t n)
{
    char  header[32];

    sprintf(header, "$%zu\r\n", n);
    put_text(header, 1);
    put_text("x", (unsigned) n);
    put_text("\r\n", 1);
}


/* a reply as text: what hiredis made of it */

static void
print(FILE *file, const redisReply *reply)
{
    size_t  i;

    switch (reply->type) {

    case REDIS_REPLY_ARRAY:
        fputc('[', file);

        for (i = 0; i < reply->elements; i++) {
            print(file, reply->element[i]);
        }

        fputc(']', file);
        break;

    case REDIS_REPLY_INTEGER:
        fprintf(file, ":%lld ", reply->integer);
        break;

    case REDIS_REPLY_NIL:
        fputs("nil ", file);
        break;

    default:
        if (perm_reader_too_long(perm_str(""))
            || perm_reader_too_long((perm_str_t) { (size_t) reply->len,
                                                   reply->str }))
        {
            fputs("LONG ", file);

        } else if (reply->len > 100) {
            fprintf(file, "%d bytes ", (int) reply->len);

        } else {
            fprintf(file, "%d'%s' ", reply->type, reply->str);
        }
    }
}


/* all replies of "bytes", fed "step" at a time, and the error behind them */

static char *
replies(size_t step)
{
    int             rc;
    char           *text;
    FILE           *file;
    size_t          at, n, size;
    redisReply     *reply;
    perm_reader_t  *reader;

    file = open_memstream(&text, &size);
    reader = perm_reader_create(REPLY_MAX);
    rc = 0;

    for (at = 0; at < len && rc == 0; at += n) {
        n = (len - at < step) ? len - at : step;
        perm_reader_feed(reader, bytes + at, n);

        while ((rc = perm_reader_next(reader, &reply)) == 0 && reply != NULL) {
            print(file, reply);
            freeReplyObject(reply);
        }
    }

    if (rc != 0) {
        fprintf(file, "error: %s", perm_reader_error(reader));
    }

    fclose(file);
    perm_reader_free(reader);

    return text;
}


/* and forgets the bytes */

static void
expect(const char *what, const char *expected)
{
    int     same;
    char   *got, name[80], shown[160];
    size_t  i;

    static const size_t  steps[] = { 1, 2, 7, 16384, SIZE_MAX };

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {

        /* byte by byte only what is short */

        if (len > 100000 && steps[i] < 100) {
            continue;
        }

        got = replies(steps[i]);
        same = strncmp(got, expected, strlen(expected)) == 0
               && (strstr(expected, "error:") || strlen(got)
                                                 == strlen(expected));

        if (!same || steps[i] == SIZE_MAX) {
            perm_printable(name, sizeof(name), perm_str(what), 0);
            perm_printable(shown, sizeof(shown), perm_str(got), 0);
            ok(same, "%s: %s", name, shown);
        }

        free(got);
    }

    len = 0;
}


static void
test_replies(void)
{
    put_text("+OK\r\n-ERR no\r\n:42\r\n:-42\r\n:9223372036854775807\r\n"
             ":-9223372036854775808\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n"
             "$5\r\na\r\nbc\r\n+\r\n", 1);
    expect("each type", "5'OK' 6'ERR no' :42 :-42 :9223372036854775807 "
           ":-9223372036854775808 nil nil 1'' []1'a\r\nbc' 5'' ");

    put_text("*3\r\n*2\r\n:1\r\n*0\r\n$1\r\na\r\n*1\r\n*1\r\n*-1\r\n:2\r\n",
             1);
    expect("arrays in arrays", "[[:1 []]1'a' [[nil ]]]:2 ");

    put_text("*1\r\n", PERM_READER_DEPTH_MAX);
    put_text(":1\r\n:2\r\n", 1);
    expect("as deep as can be", "[[[[[[[:1 ]]]]]]]:2 ");

    put_text("*2\r\n:1\r\n", 1);
    expect("a part of one", "");
}


static void
test_hostile(void)
{
    put_text(":1\r\n", 1);
    put_text("*1\r\n", 300000);
    expect("300,000 arrays in each other", ":1 error: a reply is nested");

    put_text("*1\r\n", PERM_READER_DEPTH_MAX + 1);
    expect("one more than can be", "error: a reply is nested");

    put_text("*1000000000\r\n", 1);
    expect("a wide array", "error: a reply has too many elements");

    put_text("*2\r\n*200000\r\n:1\r\n", 1);
    expect("one that may be", "");

    put_text("*7\r\n*100000\r\n", 1);
    put_text(":1\r\n", 100000);
    put_text("*100000\r\n", 1);
    put_text(":1\r\n", 100000);
    put_text("*100000\r\n", 1);
    expect("wide arrays in each other", "error: a reply");

    put_text("*5\r\n*50000\r\n*50000\r\n*50000\r\n*50000\r\n*50000\r\n"
             "*50000\r\n", 1);
    expect("and not even full", "error: a reply has too many elements");

    put_text("*100000\r\n", 1);

    while (len < 2 * REPLY_MAX) {
        put_bulk(1000);
    }

    expect("a long reply", "error: a reply is too long");

    put_text("-", 1);
    put_text("x", 70000);
    expect("a long error", "error: a reply is too long");

    put_text("$536870913\r\n", 1);
    expect("more than Redis allows", "error: a string");
}


static void
test_other(void)
{
    size_t  i;

    static const char *const  other[] = {
        "HTTP/1.1 400 Bad Request\r\n", "%1\r\n+a\r\n:1\r\n",
        "~1\r\n:1\r\n", ">2\r\n+a\r\n:1\r\n", "|1\r\n+a\r\n:1\r\n:1\r\n",
        "_\r\n", "#t\r\n", ",1.5\r\n", "(1\r\n", "=5\r\ntxt:a\r\n",
        "!5\r\nERR a\r\n", "$?\r\n;1\r\na\r\n;0\r\n", "*?\r\n", "*\r\n",
        "$\r\n", ":\r\n", "\r\n", "\n", "*1\n", "$1\n", ":1\n", "+a\n",
        "*+1\r\n", "$+1\r\n", "$01x\r\n", "$ 1\r\n", "*1 \r\n", "*--1\r\n",
        ":-\r\n", "$-\r\n", ":9223372036854775808\r\n",
        ":-9223372036854775809\r\n", "*18446744073709551617\r\n",
        ":00000000000000000000000000000000000000000000000000000000001\r\n",
        "*1\r\n?\r\n"
    };

    for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        put_text(other[i], 1);
        expect(other[i], "error: what came is no answer");
    }

    put("*1\r\n\0", 5, 1);
    put_text("\r\n", 1);
    expect("a NUL byte", "error: what came is no answer");

    put_text("$-2\r\n", 1);
    expect("a length below none", "error: a string");

    put_text("*-2\r\n", 1);
    expect("a number below none", "error: an array");

    put_text("*4294967297\r\n:1\r\n", 1);
    expect("one as 32 bits have it", "error: a reply has too many");
}


static void
test_too_long(void)
{
    put_text("*2\r\n", 1);
    put_bulk(PERM_GRANT_VALUE_MAX);
    put_bulk(PERM_GRANT_VALUE_MAX + 1);
    put_text(":7\r\n", 1);
    expect("the longest one, and one byte more", "[65536 bytes LONG ]:7 ");

    put_text("*2\r\n", 1);
    put_bulk(5000000);
    put_bulk(3);
    put_text("*1\r\n", 1);
    put_bulk(70000);
    put_bulk(70000);
    expect("more than a reply may have", "[LONG 1'xxx' ][LONG ]LONG ");

    put_text("$536870912\r\n", 1);
    put_text("x", 100000);
    expect("the longest that Redis has", "");
}


static void
test_grant(void)
{
    char        *value;
    perm_str_t   text;

    ok(perm_grant_expires(perm_reader_long) == PERM_GRANT_UNREADABLE,
       "what stands for a long value is no grant");
    ok(!perm_reader_too_long(perm_str("over 64 KiB")), "nor is it a text");

    value = malloc(PERM_GRANT_VALUE_MAX + 2);
    memset(value, ' ', PERM_GRANT_VALUE_MAX + 1);
    value[0] = '5';
    text.data = value;

    text.len = PERM_GRANT_VALUE_MAX;
    ok(perm_grant_expires(text) == 5, "64 KiB are readable");

    text.len++;
    ok(perm_grant_expires(text) == PERM_GRANT_UNREADABLE,
       "a byte more is not");

    free(value);
}


int
main(void)
{
    test_replies();
    test_hostile();
    test_other();
    test_too_long();
    test_grant();

    return done();
}
