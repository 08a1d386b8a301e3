
#include "cli/table/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/grant.h"


/* KEYS: the hash; ARGV: field, value that was read, new value or none */

static const char  change_script[] =
    "if redis.call('HGET',KEYS[1],ARGV[1])~=ARGV[2] then return 0 end "
    "if ARGV[3] then redis.call('HSET',KEYS[1],ARGV[1],ARGV[3]) "
    "else redis.call('HDEL',KEYS[1],ARGV[1]) end return 1";


static perm_wire_command_t  request;


static perm_str_t
meta_key(const perm_cli_t *cli)
{
    perm_str_t  key;

    static char  text[PERM_KEY_MAX];

    key.data = text;
    key.len = perm_grant_key_meta(text, cli->prefix);

    return key;
}


void
perm_table_open(perm_cli_t *cli)
{
    redisReply  *reply;

    perm_wire_command_begin(&request, "HGET");
    perm_wire_command_key(&request, meta_key(cli));
    perm_wire_command_text(&request, PERM_SCHEMA_FIELD);

    reply = perm_client_call(cli->client, NULL, &request, 0);

    cli->loaded = reply->type == REDIS_REPLY_STRING
                  && strcmp(reply->str, PERM_SCHEMA) == 0;

    if (reply->type == REDIS_REPLY_STRING && !cli->loaded) {
        perm_fatal(PERM_EXIT_REDIS, "\"%s\" says schema \"%s\": this "
                   "program knows \"%s\" only", meta_key(cli).data,
                   perm_escape_text(reply->str), PERM_SCHEMA);
    }

    freeReplyObject(reply);
}


void
perm_table_mark(perm_cli_t *cli)
{
    if (cli->loaded) {
        return;
    }

    perm_wire_command_begin(&request, "HSETNX");
    perm_wire_command_key(&request, meta_key(cli));
    perm_wire_command_text(&request, PERM_SCHEMA_FIELD);
    perm_wire_command_text(&request, PERM_SCHEMA);

    freeReplyObject(perm_client_call(cli->client, NULL, &request, 0));

    cli->loaded = 1;
}


void
perm_table_warn_unloaded(const perm_cli_t *cli)
{
    if (!cli->loaded) {
        perm_warn("the table counts as not loaded: \"%s\" is missing. It "
                  "comes with the first \"grant\" or a whole \"import\"; else "
                  "check --prefix and the database", meta_key(cli).data);
    }
}


perm_exit_t
perm_table_found(const perm_cli_t *cli, uint64_t grants)
{
    return (cli->loaded || grants) ? PERM_EXIT_DONE : PERM_EXIT_NO;
}


void
perm_table_write(perm_cli_t *cli, perm_str_t key, perm_str_t field,
    perm_str_t old, perm_str_t value, perm_reply_pt handler, void *data)
{
    if (old.data == NULL) {
        perm_wire_command_begin(&request, "HSETNX");
        perm_wire_command_key(&request, key);
        perm_wire_command_add(&request, field);

    } else {
        perm_wire_command_begin(&request, "EVAL");
        perm_wire_command_text(&request, change_script);
        perm_wire_command_number(&request, 1);
        perm_wire_command_key(&request, key);
        perm_wire_command_add(&request, field);
        perm_wire_command_add(&request, old);
    }

    if (value.data != NULL) {
        perm_wire_command_add(&request, value);
    }

    perm_client_send(cli->client, NULL, &request, 0, handler, data);
}


int
perm_wrong_type_take(perm_wrong_type_t *wrong_type, const redisReply *reply,
    perm_str_t key)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    if (strncmp(reply->str, "WRONGTYPE", sizeof("WRONGTYPE") - 1) != 0) {
        perm_client_refused(NULL, reply->str);
    }

    if (wrong_type->n++ == 0) {
        snprintf(wrong_type->name, sizeof(wrong_type->name), "%s",
                 perm_escape(key));
    }

    return 1;
}


void
perm_wrong_type_tell(const perm_wrong_type_t *wrong_type)
{
    if (wrong_type->n == 1) {
        perm_warn("\"%s\" is of another type than the table's keys: skipped",
                  wrong_type->name);

    } else if (wrong_type->n) {
        perm_warn("%llu keys, as \"%s\", are of another type than the "
                  "table's: skipped; \"doctor\" names them",
                  (unsigned long long) wrong_type->n, wrong_type->name);
    }
}


int
perm_table_wrong_type(const redisReply *reply, perm_str_t key)
{
    perm_wrong_type_t  wrong_type;

    wrong_type.n = 0;

    if (!perm_wrong_type_take(&wrong_type, reply, key)) {
        return 0;
    }

    perm_wrong_type_tell(&wrong_type);

    return 1;
}


int64_t
perm_table_score(const redisReply *reply)
{
    double  score;

    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        return PERM_GRANT_ABSENT;
    }

    score = strtod(reply->str, NULL);

    if (!isfinite(score) || score < 0 || score >= 9007199254740992.0) {
        return PERM_GRANT_ABSENT;
    }

    return (int64_t) floor(score);
}


int64_t
perm_table_newest(const redisReply *reply)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements < 2)
    {
        return PERM_GRANT_ABSENT;
    }

    return perm_table_score(reply->element[1]);
}


perm_str_t
perm_table_value(perm_cli_t *cli, perm_str_t key, perm_str_t field,
    redisReply **reply)
{
    perm_str_t  value;

    perm_wire_command_begin(&request, "HGET");
    perm_wire_command_key(&request, key);
    perm_wire_command_add(&request, field);

    *reply = perm_client_call(cli->client, NULL, &request, 0);

    value.data = NULL;
    value.len = 0;

    if ((*reply)->type == REDIS_REPLY_STRING) {
        value.data = (*reply)->str;
        value.len = (*reply)->len;
    }

    return value;
}


int64_t
perm_table_last(perm_cli_t *cli, perm_str_t gateway, perm_str_t resource,
    perm_str_t app)
{
    char         text[PERM_KEY_MAX];
    int64_t      last;
    perm_str_t   key;
    redisReply  *reply;

    key.data = text;
    key.len = perm_grant_key(text, PERM_KEY_ACCESS, cli->prefix, gateway, app);

    if (resource.len) {
        perm_wire_command_begin(&request, "ZSCORE");
        perm_wire_command_key(&request, key);
        perm_wire_command_add(&request, resource);

    } else {
        perm_wire_command_begin(&request, "ZREVRANGE");
        perm_wire_command_key(&request, key);
        perm_wire_command_number(&request, 0);
        perm_wire_command_number(&request, 0);
        perm_wire_command_text(&request, "WITHSCORES");
    }

    reply = perm_client_call(cli->client, NULL, &request, PERM_ERRORS_TOO);
    (void) perm_table_wrong_type(reply, key);

    last = resource.len ? perm_table_score(reply) : perm_table_newest(reply);
    freeReplyObject(reply);

    return last;
}
