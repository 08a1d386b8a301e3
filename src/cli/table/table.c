
#include "cli/table/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/grant.h"
#include "core/renewal.h"


#define ATTEMPTS_MAX  100
#define ID_FIELD      "id"


/* KEYS: the hash; ARGV: field, value that was read, new value or none */

static const char  change_script[] =
    PERM_TABLE_LUA_READ
    "if v~=ARGV[2] then return 0 end "
    "if ARGV[3] then redis.call('HSET',KEYS[1],ARGV[1],ARGV[3]) "
    "else redis.call('HDEL',KEYS[1],ARGV[1]) end return 1";


static void read_time(perm_table_t *table);
static void warn_unloaded(const perm_table_t *table, const char *before);
static perm_str_t meta_key(const perm_table_t *table);


void
perm_table_connect(perm_table_t *table, const perm_discovery_conf_t *servers)
{
    table->client = perm_client_open(servers);

    if (table->client == NULL) {
        perm_output_fatal(PERM_EXIT_REDIS, "%s",
                          perm_output_safe_text(perm_connection_error()));
    }

    perm_table_open(table);
}


void
perm_table_open(perm_table_t *table)
{
    perm_str_t   schema;
    redisReply  *reply;

    reply = perm_client_call(table->client, 0, "HMGET %k " PERM_SCHEMA_FIELD
                             " " ID_FIELD, meta_key(table));
    schema = perm_table_bytes(perm_table_element(reply, 0));
    table->loaded = schema.data
                    && perm_str_equal(schema, perm_str(PERM_SCHEMA));
    table->named = perm_table_bytes(perm_table_element(reply, 1)).data != NULL;

    if (schema.data != NULL && !table->loaded) {
        perm_output_fatal(PERM_EXIT_REDIS, "\"%s\" says schema \"%s\", and "
                          "this program knows \"%s\" only: update it, or check "
                          "--prefix and the database", meta_key(table).data,
                          perm_output_safe(schema), PERM_SCHEMA);
    }

    freeReplyObject(reply);
    read_time(table);
}


/* the user may lack the right: then the clock of this machine has to do */

static void
read_time(perm_table_t *table)
{
    perm_str_t   seconds;
    redisReply  *reply;

    reply = perm_client_call(table->client, PERM_ERRORS_TOO, "TIME");
    seconds = perm_table_bytes(perm_table_element(reply, 0));

    if (seconds.data != NULL) {
        table->now = strtoll(seconds.data, NULL, 10);

    } else if (reply->type == REDIS_REPLY_ERROR) {
        perm_output_warn("Redis does not tell its time (%s): the clock of this "
                         "machine is used",
                         perm_output_safe_text(reply->str));
    }

    freeReplyObject(reply);
}


void
perm_table_mark(perm_table_t *table)
{
    char      id[sizeof("0123456789abcdef")];
    uint64_t  bits;

    if (!table->named) {
        if (getrandom(&bits, sizeof(bits), 0) != (ssize_t) sizeof(bits)) {
            perm_output_fatal(PERM_EXIT_NO, "getrandom: %m");
        }

        snprintf(id, sizeof(id), "%016llx", (unsigned long long) bits);
        freeReplyObject(perm_client_call(table->client, 0, "HSETNX %k "
                                         ID_FIELD " %s", meta_key(table), id));
        table->named = 1;
    }

    if (!table->loaded) {
        freeReplyObject(perm_client_call(table->client, 0, "HSETNX %k "
                                         PERM_SCHEMA_FIELD " " PERM_SCHEMA,
                                         meta_key(table)));
        table->loaded = 1;
    }
}


void
perm_table_warn_unloaded(const perm_table_t *table)
{
    if (!table->loaded) {
        warn_unloaded(table, "");
    }
}


int
perm_table_writable(const perm_table_t *table)
{
    if (!table->loaded) {
        warn_unloaded(table, "nothing was written: ");
    }

    return table->loaded;
}


static void
warn_unloaded(const perm_table_t *table, const char *before)
{
    perm_output_warn("%sthe table counts as not loaded, \"%s\" is missing. If "
                     "it was lost, \"import\" a copy of it. If it is new, "
                     "\"init\" begins it: from then on every app without a "
                     "grant is refused. Else check --prefix and the database",
                     before, meta_key(table).data);
}


void
perm_table_warn_no_renew(const perm_tuple_t *tuple, const perm_grant_t *old,
    int64_t expires)
{
    if (old->expires >= 0 && !old->renew && expires < PERM_GRANT_PERMANENT) {
        perm_output_warn("the grant on %s%.*s is still never renewed, as it "
                         "was given with --no-renew; \"revoke\" it first for "
                         "one that is",
                         tuple->resource.len ? "resource " : "all resources",
                         (int) tuple->resource.len,
                         tuple->resource.len ? tuple->resource.data : "");
    }
}


perm_exit_t
perm_table_found(const perm_table_t *table, perm_count_t grants)
{
    return (table->loaded || grants) ? PERM_EXIT_DONE : PERM_EXIT_NO;
}


static perm_str_t
meta_key(const perm_table_t *table)
{
    perm_str_t  key;

    static char  text[PERM_KEY_MAX];

    key.data = text;
    key.len = perm_grant_key_meta(text, table->prefix);

    return key;
}


perm_str_t
perm_table_key(const perm_table_t *table, char *text, perm_key_kind_t kind,
    const perm_tuple_t *tuple)
{
    perm_str_t  key;

    key.data = text;
    key.len = perm_grant_key(text, kind, table->prefix, tuple->gateway,
                             tuple->app);

    return key;
}


perm_str_t
perm_table_field(const perm_tuple_t *tuple)
{
    return tuple->resource.len ? tuple->resource
                               : perm_str(PERM_GATEWAY_FIELD);
}


int
perm_table_count(void *data, redisReply *reply)
{
    perm_count_t  *sum = data;

    if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0) {
        *sum += (perm_count_t) reply->integer;
    }

    return 0;
}


int
perm_table_wrong_type(const redisReply *reply, const perm_str_t *key)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    /* Redis 6.2 puts the error of a command in a script behind other words */

    if (strstr(reply->str, "WRONGTYPE") == NULL) {
        perm_client_refused(reply->str);
    }

    if (key != NULL) {
        perm_output_warn("\"%s\" is of another type than the table's keys: "
                         "skipped", perm_output_safe(*key));
    }

    return 1;
}


int
perm_table_ignore_type(void *data, redisReply *reply)
{
    (void) data;
    (void) perm_table_wrong_type(reply, NULL);

    return 0;
}


perm_str_t
perm_table_bytes(const redisReply *reply)
{
    perm_str_t  bytes;

    bytes.data = (reply != NULL && reply->type == REDIS_REPLY_STRING)
                 ? reply->str : NULL;
    bytes.len = bytes.data ? reply->len : 0;

    return bytes;
}


const redisReply *
perm_table_element(const redisReply *reply, size_t i)
{
    return (reply != NULL && reply->type == REDIS_REPLY_ARRAY
            && i < reply->elements) ? reply->element[i] : NULL;
}


int64_t
perm_table_score(const redisReply *score)
{
    double  seconds;

    if (score == NULL || score->type != REDIS_REPLY_STRING) {
        return PERM_GRANT_ABSENT;
    }

    seconds = strtod(score->str, NULL);

    if (!(seconds >= 0) || isinf(seconds)) {
        return PERM_GRANT_ABSENT;
    }

    return (seconds < (double) INT64_MAX) ? (int64_t) seconds : INT64_MAX;
}


int64_t
perm_table_last(perm_table_t *table, const perm_tuple_t *tuple)
{
    char         text[PERM_KEY_MAX];
    int64_t      last;
    perm_str_t   key;
    redisReply  *reply;

    key = perm_table_key(table, text, PERM_KEY_ACCESS, tuple);

    reply = perm_client_call(table->client, PERM_ERRORS_TOO,
                             tuple->resource.len
                             ? "ZSCORE %k %b" : "ZREVRANGE %k 0 0 WITHSCORES",
                             key, tuple->resource);

    (void) perm_table_wrong_type(reply, &key);

    last = perm_table_score(tuple->resource.len
                            ? reply : perm_table_element(reply, 1));
    freeReplyObject(reply);

    return perm_renewal_last(last, table->now);
}


void
perm_table_write(perm_table_t *table, perm_str_t key, perm_str_t field,
    perm_str_t old, perm_str_t value, perm_count_t *written)
{
    if (old.data == NULL) {
        perm_client_command(table->client, "HSETNX %k %b", key, field);

    } else {
        perm_client_command(table->client, "EVAL %s 1 %k %b %b", change_script,
                            key, field, old);
    }

    if (value.data != NULL) {
        perm_client_word(table->client, value);
    }

    perm_client_send(table->client, NULL, 0, perm_table_count, written);
}


void
perm_table_forget_notice(perm_table_t *table, const perm_tuple_t *tuple)
{
    char  key[PERM_KEY_MAX];

    perm_client_command(table->client, "HDEL %k %b",
                        perm_table_key(table, key, PERM_KEY_NOTICES, tuple),
                        perm_table_field(tuple));
    perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                     perm_table_ignore_type, NULL);
}


void
perm_table_change(perm_table_t *table, perm_str_t key, perm_str_t field,
    perm_table_change_pt change, void *data)
{
    char         *value;
    perm_count_t  written;
    unsigned      attempts;
    perm_str_t    old;
    redisReply   *reply;

    written = 0;

    for (attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
        reply = perm_client_call(table->client, 0, "HGET %k %b", key, field);
        old = perm_table_bytes(reply);
        value = change(data, old);

        if (value != NULL && strlen(value) > PERM_GRANT_VALUE_MAX) {
            perm_output_fatal(PERM_EXIT_NO, "\"%s\", field \"%s\": not "
                              "written: with its other members the grant "
                              "would have %zu bytes, more than 64 KiB; remove "
                              "it with \"revoke\" first",
                              perm_output_safe(key), perm_output_safe(field),
                              strlen(value));
        }

        if (value != NULL) {
            perm_table_write(table, key, field, old, perm_str(value),
                             &written);
            perm_client_wait(table->client);
        }

        freeReplyObject(reply);

        if (value == NULL || written) {
            free(value);
            return;
        }

        free(value);
    }

    perm_output_fatal(PERM_EXIT_REDIS, "\"%s\" changes too fast to be written",
                      perm_output_safe(key));
}
