
#include "cli/commands/doctor_rights.h"

#include <stdio.h>
#include <string.h>

#include "resp/advice.h"


#define ALL      (PERM_FOR_GATEWAY | PERM_FOR_RENEWAL | PERM_FOR_AUDITOR)
#define TABLE    (PERM_FOR_RENEWAL | PERM_FOR_AUDITOR)
#define WORDS    10

/*
 * No gateway has an empty name: these keys are nobody's, and yet such as the
 * key patterns of a user's rights have to match.
 */

#define GRANTS   "grants:{:doctor}"
#define ACCESS   "access:{:doctor}"
#define META     "meta"


/* "@" at the beginning of a word stands for the prefix */

typedef struct {
    unsigned     whom;
    const char  *rights;
    const char  *need;
    const char  *words[WORDS];
} perm_probe_t;


/* in this order: what one writes the next ones change and remove again */

static const perm_probe_t  probes[] = {
    { ALL, "HMGET", "looking grants up",
      { "HMGET", "@" GRANTS, "-", "r" } },
    { ALL, "HGET", "seeing that the table is loaded",
      { "HGET", "@" META, "schema" } },
    { PERM_FOR_GATEWAY, "ZADD", "writing last accesses",
      { "ZADD", "@" ACCESS, "XX", "GT", "0", "r" } },

    { TABLE, "SCAN", "visiting the whole table",
      { "SCAN", "0", "MATCH", "@" GRANTS, "COUNT", "1" } },
    { TABLE, "HSCAN", "visiting the whole table",
      { "HSCAN", "@" GRANTS, "0" } },
    { TABLE, "ZSCAN", "access and purge", { "ZSCAN", "@" ACCESS, "0" } },
    { TABLE, "ZSCORE", "reading last accesses",
      { "ZSCORE", "@" ACCESS, "r" } },
    { TABLE, "ZMSCORE", "reading last accesses",
      { "ZMSCORE", "@" ACCESS, "r" } },
    { TABLE, "ZREVRANGE", "reading last accesses",
      { "ZREVRANGE", "@" ACCESS, "0", "0", "WITHSCORES" } },

    { PERM_FOR_RENEWAL, "HSETNX", "giving new grants",
      { "HSETNX", "@" GRANTS, "r", "1" } },
    { PERM_FOR_RENEWAL, "EVAL and HSET", "changing grants",
      { "EVAL", "return redis.call('HSET',KEYS[1],'r','2')", "1",
        "@" GRANTS } },
    { PERM_FOR_RENEWAL, "EVAL and HGET", "changing grants",
      { "EVAL", "return redis.call('HGET',KEYS[1],'r')", "1", "@" GRANTS } },
    { PERM_FOR_RENEWAL, "EVAL and HDEL", "purging grants",
      { "EVAL", "return redis.call('HDEL',KEYS[1],'r')", "1", "@" GRANTS } },
    { PERM_FOR_RENEWAL, "EVAL, HEXISTS and ZREM", "purging accesses",
      { "EVAL", "return redis.call('HEXISTS',KEYS[2],'r')"
        "+redis.call('ZREM',KEYS[1],'r')", "2", "@" ACCESS, "@" GRANTS } },
    { PERM_FOR_RENEWAL, "HDEL", "revoking grants",
      { "HDEL", "@" GRANTS, "r" } },

    { 0, NULL, NULL, { NULL } }
};


static perm_wire_command_t  request;


int
perm_doctor_rights_lacking(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR
           && (strncmp(reply->str, "NOPERM", 6) == 0
               || strstr(reply->str, "ACL failure") != NULL
               || strstr(reply->str, "user executing the script") != NULL);
}


static redisReply *
try(perm_cli_t *cli, const perm_probe_t *probe)
{
    char        *p;
    unsigned     i;
    perm_str_t   key;

    static char  keys[2 * PERM_KEY_MAX];

    p = keys;
    perm_wire_command_begin(&request, probe->words[0]);

    for (i = 1; i < WORDS && probe->words[i] != NULL; i++) {

        if (probe->words[i][0] != '@') {
            perm_wire_command_text(&request, probe->words[i]);
            continue;
        }

        key.data = p;
        key.len = (size_t) sprintf(p, "%s%s", cli->prefix.data,
                                   probe->words[i] + 1);
        p += key.len + 1;

        if (strcmp(probe->words[0], "SCAN") == 0) {
            perm_wire_command_add(&request, key);
        } else {
            perm_wire_command_key(&request, key);
        }
    }

    return perm_client_call(cli->client, NULL, &request, PERM_ERRORS_TOO);
}


static void
check_probe(perm_cli_t *cli, perm_doctor_report_t *report,
    const perm_probe_t *probe)
{
    const char  *advice;
    redisReply  *reply;

    reply = try(cli, probe);

    if (perm_doctor_rights_lacking(reply)) {
        perm_doctor_report(report, PERM_ERROR, "rights", "%s is refused, needed for "
                           "%s: give the user the command, and keys ~%s*",
                           probe->rights, probe->need, cli->prefix.data);

    } else if (reply->type == REDIS_REPLY_ERROR) {
        advice = perm_advice_find(reply->str)->command;
        perm_doctor_report(report, PERM_ERROR, "rights",
                           "%s fails, needed for %s: %s%s%s", probe->rights,
                           probe->need, perm_escape_text(reply->str),
                           *advice ? "; " : "", advice);

    } else {
        perm_doctor_report(report, PERM_OK, "rights", "%s, for %s",
                           probe->rights, probe->need);
    }

    freeReplyObject(reply);
}


void
perm_doctor_rights_check(perm_cli_t *cli, perm_doctor_report_t *report,
    unsigned whom)
{
    const perm_probe_t  *probe;

    for (probe = probes; probe->rights != NULL; probe++) {
        if (probe->whom & whom) {
            check_probe(cli, report, probe);
        }
    }

    perm_wire_command_free(&request);
}
