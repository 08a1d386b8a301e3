
/*
 * doctor: whether this Redis is fit for the grant table.
 */


#include "cli/commands/doctor_priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "resp/advice.h"


#define WORDS    10    /* of a probe */
#define NAMED    10    /* keys of a wrong type */

/* users, in the order of the words of --for; "all" is the sum of them */

#define GATEWAY  1
#define RENEWAL  2
#define AUDITOR  4
#define ALL      (GATEWAY | RENEWAL | AUDITOR)
#define TABLE    (RENEWAL | AUDITOR)

/*
 * No gateway has an empty name: these keys are nobody's, and yet such as the
 * key patterns of a user's rights have to match.
 */

#define GRANTS   "grants:{:doctor}"
#define ACCESS   "access:{:doctor}"


/* "@" at the beginning of a word stands for the prefix */

typedef struct {
    unsigned          users;
    const char       *rights;
    const char       *need;
    const char       *words[WORDS];
} perm_doctor_probe_t;


typedef struct {
    perm_doctor_t    *doctor;
    perm_key_kind_t   kind;
    uint64_t          keys;
    uint64_t          wrong;
    int               refused;
} perm_doctor_types_t;


static perm_exit_t run_doctor(perm_cli_t *cli);
static void check_meta(perm_doctor_t *doctor);
static void check_rights(perm_doctor_t *doctor, unsigned users);
static redisReply *try(perm_table_t *table, const perm_doctor_probe_t *probe);
static void check_types(perm_doctor_t *doctor);
static void look_at_types(void *data, perm_str_t *keys, size_t n);
static void check_type(perm_doctor_types_t *types, perm_str_t key,
    const redisReply *reply);


static const perm_option_t  doctor_options[] = {
    { "--for", "all|gateway|renewal|auditor", "whose rights are looked at",
      PERM_OPTION(WORD, role) },
    PERM_OPTION_END
};


const perm_command_t  perm_doctor_command = {
    "doctor", "",
    "is this Redis fit for the table",
    "Looks at every server: reachable, version, role, eviction, memory,\n"
    "saving to disk, the difference of the clocks, tracking; then at the\n"
    "table, at the rights of the user, by using them on keys that are\n"
    "nobody's, and at the types of all keys. Each line says ok, warning or\n"
    "error, and what to do. Exit status 1: there are errors.",
    doctor_options, 0, 0, run_doctor
};


/* in this order: what a probe writes the next ones change and remove again */

static const perm_doctor_probe_t  probes[] = {
    { ALL, "HMGET", "looking grants up",
      { "HMGET", "@" GRANTS, "-", "r" } },
    { ALL, "HGET", "seeing that the table is loaded",
      { "HGET", "@meta", "schema" } },
    { GATEWAY, "ZADD", "writing last accesses",
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

    { RENEWAL, "HSETNX", "giving new grants",
      { "HSETNX", "@" GRANTS, "r", "1" } },
    { RENEWAL, "EVAL and HSET", "changing grants",
      { "EVAL", "return redis.call('HSET',KEYS[1],'r','2')", "1",
        "@" GRANTS } },
    { RENEWAL, "EVAL and HGET", "changing grants",
      { "EVAL", "return redis.call('HGET',KEYS[1],'r')", "1", "@" GRANTS } },
    { RENEWAL, "EVAL and HDEL", "purging grants",
      { "EVAL", "return redis.call('HDEL',KEYS[1],'r')", "1", "@" GRANTS } },
    { RENEWAL, "EVAL, HEXISTS and ZREM", "purging accesses",
      { "EVAL", "return redis.call('HEXISTS',KEYS[2],'r')"
        "+redis.call('ZREM',KEYS[1],'r')", "2", "@" ACCESS, "@" GRANTS } },
    { RENEWAL, "HDEL", "revoking grants",
      { "HDEL", "@" GRANTS, "r" } },

    { 0, NULL, NULL, { NULL } }
};


static perm_exit_t
run_doctor(perm_cli_t *cli)
{
    char           error[PERM_ERROR_SIZE];
    unsigned       users;
    perm_node_t   *node;
    perm_table_t  *table;
    perm_doctor_t  doctor;

    table = &cli->table;
    users = cli->args.role ? GATEWAY << (cli->args.role - 1) : ALL;

    memset(&doctor, 0, sizeof(perm_doctor_t));
    doctor.cli = cli;

    table->client = perm_client_open(&cli->servers, error);

    if (table->client == NULL) {
        perm_doctor_report(&doctor, PERM_ERROR, "reachable", "%s",
                           perm_output_safe_text(error));
        return PERM_EXIT_REDIS;
    }

    for (node = perm_client_next(table->client, NULL); node != NULL;
         node = perm_client_next(table->client, node))
    {
        perm_doctor_server(&doctor, node, users & GATEWAY);
    }

    check_meta(&doctor);
    check_rights(&doctor, users);

    if (users & TABLE) {
        check_types(&doctor);
    }

    perm_output_warn("%u errors, %u warnings", doctor.counts[PERM_ERROR],
                     doctor.counts[PERM_WARNING]);

    return doctor.counts[PERM_ERROR] ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


void
perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...)
{
    char     text[1024];
    va_list  args;

    static const char *const  names[] = { "ok", "warning", "error" };

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    doctor->counts[level]++;

    if (!doctor->cli->args.json) {
        printf("%-8s %-12s %s%s%s%s\n", names[level], check, text,
               doctor->server ? " (" : "",
               doctor->server ? doctor->server : "",
               doctor->server ? ")" : "");
        return;
    }

    perm_output_open(stdout, NULL, '{');
    perm_output_text(stdout, "status", names[level]);
    perm_output_text(stdout, "check", check);

    if (doctor->server != NULL) {
        perm_output_text(stdout, "server", doctor->server);
    }

    perm_output_text(stdout, "message", text);
    perm_output_close(stdout, '}');
}


static void
check_meta(perm_doctor_t *doctor)
{
    char         key[PERM_KEY_MAX];
    perm_str_t   name, schema;
    redisReply  *reply;

    name.data = key;
    name.len = perm_grant_key_meta(key, doctor->cli->table.prefix);

    reply = perm_table_call(&doctor->cli->table, PERM_ERRORS_TOO,
                            "HGET %k " PERM_SCHEMA_FIELD, name);
    schema = perm_table_bytes(reply);

    if (schema.data != NULL && strcmp(schema.data, PERM_SCHEMA) == 0) {
        perm_doctor_report(doctor, PERM_OK, "meta", "the table is loaded");

    } else if (schema.data != NULL) {
        perm_doctor_report(doctor, PERM_ERROR, "meta", "\"%s\" says schema "
                           "\"%s\", only \"1\" is known: update "
                           "app-permission", key, perm_output_safe(schema));

    } else if (reply->type == REDIS_REPLY_NIL) {
        perm_doctor_report(doctor, PERM_ERROR, "meta", "\"%s\" is missing: "
                           "the table counts as not loaded; import or grant, "
                           "or check --prefix and the database", key);

    } else {
        perm_doctor_report(doctor, PERM_ERROR, "meta", "\"%s\" cannot be "
                           "read: %s", key,
                           reply->type == REDIS_REPLY_ERROR
                           ? perm_output_safe_text(reply->str)
                           : "not a hash");
    }

    freeReplyObject(reply);
}


/* tries every command that one of the users needs, where it does no harm */

static void
check_rights(perm_doctor_t *doctor, unsigned users)
{
    const char                 *advice;
    redisReply                 *reply;
    perm_table_t               *table;
    const perm_doctor_probe_t  *probe;

    table = &doctor->cli->table;

    for (probe = probes; probe->rights != NULL; probe++) {

        if (!(probe->users & users)) {
            continue;
        }

        reply = try(table, probe);

        if (perm_doctor_lacks_right(reply)) {
            perm_doctor_report(doctor, PERM_ERROR, "rights", "%s is refused, "
                               "needed for %s: give the user the command, and "
                               "keys ~%s*", probe->rights, probe->need,
                               table->prefix.data);

        } else if (reply->type == REDIS_REPLY_ERROR) {
            advice = perm_advice_find(reply->str)->command;
            perm_doctor_report(doctor, PERM_ERROR, "rights", "%s fails, "
                               "needed for %s: %s%s%s", probe->rights,
                               probe->need, perm_output_safe_text(reply->str),
                               *advice ? "; " : "", advice);

        } else {
            perm_doctor_report(doctor, PERM_OK, "rights", "%s, for %s",
                               probe->rights, probe->need);
        }

        freeReplyObject(reply);
    }
}


int
perm_doctor_lacks_right(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR
           && (strncmp(reply->str, "NOPERM", 6) == 0
               || strstr(reply->str, "ACL failure") != NULL
               || strstr(reply->str, "user executing the script") != NULL);
}


static redisReply *
try(perm_table_t *table, const perm_doctor_probe_t *probe)
{
    char        *p;
    unsigned     i;
    perm_str_t   word;

    static char  keys[2 * PERM_KEY_MAX];

    p = keys;
    perm_wire_command_set(&table->command, probe->words[0]);

    for (i = 1; i < WORDS && probe->words[i] != NULL; i++) {
        word = perm_str(probe->words[i]);

        if (word.data[0] == '@') {
            word.len = (size_t) sprintf(p, "%s%s", table->prefix.data,
                                        word.data + 1);
            word.data = p;
            p += word.len + 1;
        }

        perm_wire_command_add(&table->command, word);
    }

    /* SCAN goes to any server, with a pattern; the others have a key */

    if (p > keys && strcmp(probe->words[0], "SCAN") != 0) {
        table->command.key = perm_str(keys);
    }

    return perm_client_call(table->client, NULL, &table->command,
                            PERM_ERRORS_TOO);
}


/*
 * Looks for keys that are named as the table's and are of another type, and
 * names the first of them.  A user who may not look gets no line.
 */

static void
check_types(perm_doctor_t *doctor)
{
    int                   may;
    perm_str_t            all;
    redisReply           *reply;
    perm_table_t         *table;
    perm_doctor_types_t   types;

    table = &doctor->cli->table;

    reply = perm_table_call(table, PERM_ERRORS_TOO, "SCAN 0");
    may = (reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);

    if (!may) {
        return;
    }

    all = perm_str("");
    memset(&types, 0, sizeof(perm_doctor_types_t));
    types.doctor = doctor;

    types.kind = PERM_KEY_GRANTS;
    perm_walk_keys(table, types.kind, all, all, look_at_types, &types);

    types.kind = PERM_KEY_ACCESS;
    perm_walk_keys(table, types.kind, all, all, look_at_types, &types);

    if (types.wrong > NAMED) {
        perm_doctor_report(doctor, PERM_ERROR, "types", "%llu keys are of a "
                           "wrong type, of which the first %d are named",
                           (unsigned long long) types.wrong, NAMED);

    } else if (types.wrong == 0 && !types.refused) {
        perm_doctor_report(doctor, PERM_OK, "types", "%llu keys of grants and "
                           "accesses, none of a wrong type",
                           (unsigned long long) types.keys);
    }
}


static void
look_at_types(void *data, perm_str_t *keys, size_t n)
{
    size_t                 i;
    redisReply           **replies;
    perm_tuple_t           tuple;
    perm_table_t          *table;
    perm_doctor_types_t   *types = data;

    table = &types->doctor->cli->table;
    replies = perm_alloc(n * sizeof(redisReply *));

    for (i = 0; i < n; i++) {
        replies[i] = NULL;

        if (perm_grant_key_parse(keys[i], types->kind, table->prefix,
                                 &tuple.gateway, &tuple.app))
        {
            perm_table_send(table, PERM_ERRORS_TOO, perm_client_keep,
                            &replies[i],
                            types->kind == PERM_KEY_GRANTS ? "HGET %k -"
                                                           : "ZSCORE %k -",
                            keys[i]);
        }
    }

    perm_client_wait(table->client);

    for (i = 0; i < n; i++) {
        if (replies[i] != NULL) {
            check_type(types, keys[i], replies[i]);
            freeReplyObject(replies[i]);
        }
    }

    free(replies);
    perm_output_progress("looked at keys", types->keys, 0);
}


static void
check_type(perm_doctor_types_t *types, perm_str_t key, const redisReply *reply)
{
    int  grants;

    types->keys++;

    if (reply->type != REDIS_REPLY_ERROR) {
        return;
    }

    if (strncmp(reply->str, "WRONGTYPE", sizeof("WRONGTYPE") - 1) != 0) {
        types->refused = 1;
        return;
    }

    if (types->wrong++ < NAMED) {
        grants = (types->kind == PERM_KEY_GRANTS);
        perm_doctor_report(types->doctor, PERM_ERROR, "types", "\"%s\" is no "
                           "%s; rename or remove it", perm_output_safe(key),
                           grants ? "hash: calls of this app get 503"
                                  : "sorted set: accesses of this app are not "
                                    "recorded");
    }
}
