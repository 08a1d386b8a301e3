
#include "cli/commands/doctor_priv.h"

#include <ctype.h>
#include <string.h>

#include "resp/advice.h"
#include "resp/reply.h"


#define GATEWAY  PERM_DOCTOR_GATEWAY
#define RENEWAL  PERM_DOCTOR_RENEWAL
#define TABLE    PERM_DOCTOR_TABLE
#define SELF     PERM_DOCTOR_SELF
#define APPLY    PERM_DOCTOR_APPLY
#define ALL      PERM_DOCTOR_ALL

#define READ     1
#define WRITE    2

/*
 * No gateway has an empty name.  These keys belong to nobody, and the key
 * patterns of the user's rights must match them.
 */

#define GRANTS   "grants:{:doctor}"
#define ACCESS   "access:{:doctor}"
#define HISTORY  "history:{:doctor}"
#define NOTICES  "notices:{:doctor}"
#define REQUESTS "requests:{:doctor}"


#define SELF_APPLY  "app_permission_self apply"
#define CLUSTER_ONLY  "slots of the cluster that move"


static int probe_right(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe);
static int probe_others(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe);
static redisReply *call(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe, perm_node_t *node, int script);
static int missing_of(perm_doctor_t *doctor, const perm_doctor_probe_t *probe,
    perm_node_t *node, const redisReply *reply);
static void report_error(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe, const char *name, const char *error);
static void pattern_of(const perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe, char pattern[PERM_KEY_MAX + 4]);
static unsigned rights_of(const perm_doctor_probe_t *probe);
static void lower(const char *name, char command[16]);


/* the order matters: later probes remove the field that HSETNX writes */

const perm_doctor_probe_t  perm_doctor_probes[PERM_DOCTOR_PROBES] = {
    { ALL, 0, "HMGET", "looking grants up", GRANTS, "HMGET %k - r" },
    { ALL, 0, "PTTL", "keeping to the time to live of keys", GRANTS,
      "PTTL %k" },
    { ALL, 0, "HGET", "seeing that the table is loaded", "meta",
      "HGET %k schema" },
    { GATEWAY, 0, "ZADD", "writing last accesses", ACCESS,
      "ZADD %k XX GT 0 r" },
    { ALL, 0, "ASKING", CLUSTER_ONLY, GRANTS, "ASKING" },
    { TABLE, 0, "SCAN", "visiting the whole table", GRANTS,
      "SCAN 0 MATCH %b COUNT 1" },
    { TABLE, 0, "HSCAN", "visiting the whole table", GRANTS, "HSCAN %k 0" },
    { SELF, 0, "HSCAN", "app_permission_self", GRANTS, "HSCAN %k 0" },
    { SELF, 0, "HSCAN", "app_permission_self", REQUESTS, "HSCAN %k 0" },
    { SELF, 0, "ZSCAN", "app_permission_self", ACCESS, "ZSCAN %k 0" },
    { APPLY, 1, "HGET", SELF_APPLY, REQUESTS, "HGET %k r" },
    { APPLY, 1, "TIME", SELF_APPLY, REQUESTS, "TIME" },
    { APPLY, 1, "HLEN", SELF_APPLY, REQUESTS, "HLEN %k" },
    { APPLY, 1, "XADD", SELF_APPLY, HISTORY, "XADD %k NOMKSTREAM * a b" },
    { APPLY, 1, "HSET", SELF_APPLY, REQUESTS, "HSET %k r 2 x" },
    { TABLE, 0, "HSCAN", "requests", REQUESTS, "HSCAN %k 0" },
    { TABLE, 0, "HMGET", "notices", NOTICES, "HMGET %k - r" },
    { TABLE, 0, "XRANGE", "history", HISTORY, "XRANGE %k - + COUNT 1" },
    { TABLE, 0, "ZSCAN", "access and purge", ACCESS, "ZSCAN %k 0" },
    { TABLE, 0, "ZSCORE", "reading last accesses", ACCESS, "ZSCORE %k r" },
    { TABLE, 0, "ZMSCORE", "reading last accesses", ACCESS, "ZMSCORE %k r" },
    { TABLE, 0, "ZREVRANGE", "reading last accesses", ACCESS,
      "ZREVRANGE %k 0 0 WITHSCORES" },
    { RENEWAL, 0, "HSETNX", "giving new grants", GRANTS, "HSETNX %k r 1" },
    { RENEWAL, 1, "HSET", "changing grants", GRANTS, "HSET %k r 2 x" },
    { RENEWAL, 1, "HGET", "changing grants", GRANTS, "HGET %k r" },
    { RENEWAL, 1, "HDEL", "purging grants", GRANTS, "HDEL %k r" },
    { RENEWAL, 1, "HDEL", "notices of grants that change", NOTICES,
      "HDEL %k r" },
    { RENEWAL, 1, "XADD", "history", HISTORY, "XADD %k NOMKSTREAM * a b" },
    { RENEWAL, 1, "TIME", "apply", REQUESTS, "TIME" },
    { RENEWAL, 1, "HLEN", "apply", REQUESTS, "HLEN %k" },
    { RENEWAL, 1, "HDEL", "requests", REQUESTS, "HDEL %k r" },
    { RENEWAL, 1, "XTRIM", "purging histories", HISTORY,
      "XTRIM %k MINID 0" },
    { RENEWAL, 1, "DEL", "purging histories", HISTORY, "DEL %k" },
    { RENEWAL, 1, "HEXISTS", "purging accesses", GRANTS, "HEXISTS %k r" },
    { RENEWAL, 1, "ZREM", "purging accesses", ACCESS, "ZREM %k r" },
    { RENEWAL, 0, "HDEL", "revoking grants", GRANTS, "HDEL %k r" }
};


void
perm_doctor_probe_user(perm_doctor_t *doctor)
{
    char                 key[PERM_KEY_MAX];
    redisReply          *revoke, *record;
    perm_table_t        *table;

    table = &doctor->cli->table;
    sprintf(key, "%s" GRANTS, table->prefix.data);
    revoke = perm_client_call(table->client, PERM_ERRORS_TOO, "HDEL %k r",
                              perm_str(key));
    sprintf(key, "%s" ACCESS, table->prefix.data);
    record = perm_client_call(table->client, PERM_ERRORS_TOO,
                              "ZADD %k XX GT 0 r", perm_str(key));

    if (perm_doctor_reply_command_missing(revoke)
        && !perm_doctor_reply_command_missing(record))
    {
        doctor->users = GATEWAY;
        doctor->supposed = 1;

    } else {
        memset(&doctor->acl, 0, sizeof(perm_doctor_words_t));
        memset(doctor->lacks, 0, sizeof(doctor->lacks));
        doctor->untracked = 0;
        doctor->hidden = 0;
    }

    freeReplyObject(revoke);
    freeReplyObject(record);
}


int
perm_doctor_probe_try(perm_doctor_t *doctor, const perm_doctor_probe_t *probe)
{
    return probe_right(doctor, probe) | probe_others(doctor, probe);
}


/*
 * Tries a command that one of the users needs, where it does no harm.  Returns
 * what perm_doctor_reply_missing() does.
 */

static int
probe_right(perm_doctor_t *doctor, const perm_doctor_probe_t *probe)
{
    int          missing;
    char         name[32];
    redisReply  *reply;

    snprintf(name, sizeof(name), "%s%s", probe->command,
             probe->script ? " by EVAL" : "");

    reply = call(doctor, probe, NULL, probe->script);

    if (perm_doctor_reply_general(doctor, reply)) {
        freeReplyObject(reply);
        return 0;
    }

    missing = missing_of(doctor, probe, NULL, reply);

    /* a key of another type, which others tell of, has come after the rights */

    if (reply->type != REDIS_REPLY_ERROR
        || perm_reply_error(reply, "WRONGTYPE")
        || strstr(reply->str, "rong number of arg") != NULL)
    {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "rights", "%s, for %s",
                           name, probe->need);

    } else if (!missing) {
        report_error(doctor, probe, name, reply->str);
    }

    freeReplyObject(reply);

    return missing;
}


/*
 * Each node of a cluster has users of its own, and looks at their rights before
 * it says that the key is elsewhere.
 */

static int
probe_others(perm_doctor_t *doctor, const perm_doctor_probe_t *probe)
{
    int           missing;
    redisReply   *reply;
    perm_node_t  *node;

    missing = 0;

    if (doctor->cli->servers.url->kind != PERM_REDIS_CLUSTER) {
        return 0;
    }

    for (node = perm_client_next(doctor->cli->table.client, NULL);
         node != NULL;
         node = perm_client_next(doctor->cli->table.client, node))
    {
        reply = call(doctor, probe, node, probe->script);
        missing |= missing_of(doctor, probe, node, reply);
        freeReplyObject(reply);
    }

    return missing;
}


/* The reply of the node, NULL: of the one that has the key */

static redisReply *
call(perm_doctor_t *doctor, const perm_doctor_probe_t *probe,
    perm_node_t *node, int script)
{
    char           format[160], key[PERM_KEY_MAX], *p;
    redisReply    *reply;
    perm_table_t  *table;

    table = &doctor->cli->table;
    sprintf(key, "%s%s", table->prefix.data, probe->key);
    snprintf(format, sizeof(format), "%s%s",
             script ? "EVAL return(redis.call(unpack(ARGV))) 1 %k " : "",
             probe->format);

    /* no key, by which the client would go to its owner */

    for (p = format; node != NULL && (p = strstr(p, "%k")) != NULL; p++) {
        p[1] = 'b';
    }

    reply = NULL;
    perm_client_command(table->client, format, perm_str(key), perm_str(key));
    perm_client_send(table->client, node, PERM_ERRORS_TOO, perm_client_keep,
                     &reply);
    perm_client_wait(table->client);

    return reply;
}


/* What a script would run cannot be seen where EVAL is refused: it is tried */

static int
missing_of(perm_doctor_t *doctor, const perm_doctor_probe_t *probe,
    perm_node_t *node, const redisReply *reply)
{
    int          missing;
    char         command[16], pattern[PERM_KEY_MAX + 4];
    redisReply  *direct;

    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    lower(probe->command, command);
    pattern_of(doctor, probe, pattern);
    missing = perm_doctor_reply_missing(doctor, reply, command,
                                        probe->script ? "eval" : NULL,
                                        pattern);

    if (probe->script && perm_doctor_reply_command_missing(reply)) {
        direct = call(doctor, probe, node, 0);
        missing |= perm_doctor_reply_missing(doctor, direct, command, NULL,
                                             pattern);
        freeReplyObject(direct);
    }

    return missing;
}


static void
report_error(perm_doctor_t *doctor, const perm_doctor_probe_t *probe,
    const char *name, const char *error)
{
    size_t       before;
    const char  *advice, *command;

    if (strncmp(error, "ERR unknown command", 19) != 0) {
        advice = perm_advice_find(error)->command;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights",
                           "%s fails, needed for %s: %s%s%s", name,
                           probe->need, perm_output_safe_text(error),
                           *advice ? "; " : "", advice);
        return;
    }

    before = doctor->unknown.len;
    command = probe->script ? "EVAL" : probe->command;
    perm_doctor_word(&doctor->unknown, "%s", command);

    if (doctor->unknown.len > before) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "this server "
                           "knows no %s, needed for %s: is it renamed, or is "
                           "this a proxy?", command, probe->need);
    }
}


int
perm_doctor_probe_needed(const perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe)
{
    return (probe->users & doctor->users)
           && (strcmp(probe->need, CLUSTER_ONLY) != 0
               || doctor->cli->servers.url->kind == PERM_REDIS_CLUSTER);
}


void
perm_doctor_probe_role(const perm_doctor_t *doctor, perm_doctor_words_t *role)
{
    char      command[16], pattern[PERM_KEY_MAX + 4];
    unsigned  i;

    role->len = (size_t) sprintf(role->text, "(+ping +time +role +select");

    if (doctor->users & TABLE) {
        perm_doctor_word(role, "+info");
    }

    if (doctor->cli->servers.url->kind == PERM_REDIS_CLUSTER) {
        perm_doctor_word(role, "+cluster|slots");
    }

    if (doctor->users & GATEWAY) {
        perm_doctor_word(role, "+client|id");
        perm_doctor_word(role, "+client|tracking");
        perm_doctor_word(role, "+subscribe");
        perm_doctor_word(role, "%s", PERM_DOCTOR_CHANNEL);
    }

    for (i = 0; perm_doctor_probes[i].command != NULL; i++) {
        if (perm_doctor_probe_needed(doctor, &perm_doctor_probes[i])) {
            pattern_of(doctor, &perm_doctor_probes[i], pattern);
            lower(perm_doctor_probes[i].command, command);
            perm_doctor_word(role, "%s", pattern);
            perm_doctor_word(role, "+%s", command);

            if (perm_doctor_probes[i].script) {
                perm_doctor_word(role, "+eval");
            }
        }
    }

    strcpy(role->text + role->len++, ")");
}


/* it knows EVAL_RO, whether this user may use it or not */

int
perm_doctor_probe_selectors(const perm_doctor_t *doctor)
{
    redisReply  *reply;

    static int  known = -1;

    if (known != -1) {
        return known;
    }

    reply = perm_client_call(doctor->cli->table.client, PERM_ERRORS_TOO,
                             "EVAL_RO");
    known = (reply->type != REDIS_REPLY_ERROR
             || strstr(reply->str, "unknown command") == NULL);
    freeReplyObject(reply);

    return known;
}


/*
 * %R~app_permission:grants:*, or with %W~, or ~ for both: what all commands of
 * the users do with that key.  Redis 6.2 knows "~" only.
 */

static void
pattern_of(const perm_doctor_t *doctor, const perm_doctor_probe_t *probe,
    char pattern[PERM_KEY_MAX + 4])
{
    int       known;
    unsigned  i, rights;

    static const char *const  signs[] = { "~", "%R~", "%W~", "~" };

    rights = 0;
    known = perm_doctor_probe_selectors(doctor);

    for (i = 0; known && perm_doctor_probes[i].command != NULL; i++) {
        if (perm_doctor_probe_needed(doctor, &perm_doctor_probes[i])
            && strcmp(perm_doctor_probes[i].key, probe->key) == 0)
        {
            rights |= rights_of(&perm_doctor_probes[i]);
        }
    }

    snprintf(pattern, PERM_KEY_MAX + 4, "%s%s%.*s%s", signs[rights],
             doctor->cli->table.prefix.data, (int) strcspn(probe->key, "{"),
             probe->key, strchr(probe->key, '{') ? "*" : "");
}


/* of the keys of EVAL Redis wants both */

static unsigned
rights_of(const perm_doctor_probe_t *probe)
{
    return probe->script ? READ | WRITE
           : (strcmp(probe->command, "ZADD") == 0
              || strcmp(probe->command, "HSETNX") == 0
              || strcmp(probe->command, "HDEL") == 0) ? WRITE : READ;
}


static void
lower(const char *name, char command[16])
{
    size_t  i;

    for (i = 0; i < 15 && name[i] != '\0'; i++) {
        command[i] = (char) tolower((unsigned char) name[i]);
    }

    command[i] = '\0';
}
