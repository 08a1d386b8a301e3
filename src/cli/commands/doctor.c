
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


#define NAMED    10    /* keys of a wrong type */

/* users, in the order of the words of --for; "all" is the sum of them */

#define GATEWAY  1
#define RENEWAL  2
#define AUDITOR  4
#define ALL      (GATEWAY | RENEWAL | AUDITOR)
#define TABLE    (RENEWAL | AUDITOR)

/*
 * No gateway has an empty name.  These keys belong to nobody, and the key
 * patterns of the user's rights must match them.
 */

#define GRANTS   "grants:{:doctor}"
#define ACCESS   "access:{:doctor}"


/* a key whose type is looked at */

typedef struct {
    perm_doctor_t       *doctor;
    perm_str_t           key;
} perm_doctor_look_t;


/* a command that does no harm; its format gets the key, and then GRANTS */

typedef struct {
    unsigned             users;
    const char          *rights;
    const char          *need;
    const char          *key;
    const char          *format;
} perm_doctor_probe_t;


static perm_exit_t run_doctor(perm_cli_t *cli);
static void check_meta(perm_doctor_t *doctor);
static void check_rights(perm_doctor_t *doctor, unsigned users);
static void check_types(perm_doctor_t *doctor);
static void look_at_keys(void *data, perm_str_t *keys, size_t n);
static int check_type(void *data, redisReply *reply);


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


/* the order matters: later probes remove the field that HSETNX writes */

static const perm_doctor_probe_t  probes[] = {
    { ALL, "HMGET", "looking grants up", GRANTS, "HMGET %k - r" },
    { ALL, "HGET", "seeing that the table is loaded", "meta",
      "HGET %k schema" },
    { GATEWAY, "ZADD", "writing last accesses", ACCESS, "ZADD %k XX GT 0 r" },
    { TABLE, "SCAN", "visiting the whole table", GRANTS,
      "SCAN 0 MATCH %b COUNT 1" },
    { TABLE, "HSCAN", "visiting the whole table", GRANTS, "HSCAN %k 0" },
    { TABLE, "ZSCAN", "access and purge", ACCESS, "ZSCAN %k 0" },
    { TABLE, "ZSCORE", "reading last accesses", ACCESS, "ZSCORE %k r" },
    { TABLE, "ZMSCORE", "reading last accesses", ACCESS, "ZMSCORE %k r" },
    { TABLE, "ZREVRANGE", "reading last accesses", ACCESS,
      "ZREVRANGE %k 0 0 WITHSCORES" },
    { RENEWAL, "HSETNX", "giving new grants", GRANTS, "HSETNX %k r 1" },
    { RENEWAL, "EVAL and HSET", "changing grants", GRANTS,
      "EVAL return(redis.call('HSET',KEYS[1],'r','2')) 1 %k" },
    { RENEWAL, "EVAL and HGET", "changing grants", GRANTS,
      "EVAL return(redis.call('HGET',KEYS[1],'r')) 1 %k" },
    { RENEWAL, "EVAL and HDEL", "purging grants", GRANTS,
      "EVAL return(redis.call('HDEL',KEYS[1],'r')) 1 %k" },
    { RENEWAL, "EVAL, HEXISTS and ZREM", "purging accesses", ACCESS,
      "EVAL return(redis.call('HEXISTS',KEYS[2],'r')"
      "+redis.call('ZREM',KEYS[1],'r')) 2 %k %b" },
    { RENEWAL, "HDEL", "revoking grants", GRANTS, "HDEL %k r" },
    { 0, NULL, NULL, NULL, NULL }
};


static perm_exit_t
run_doctor(perm_cli_t *cli)
{
    unsigned        users;
    perm_node_t    *node;
    perm_client_t  *client;
    perm_doctor_t   doctor;

    users = cli->args.role ? GATEWAY << (cli->args.role - 1) : ALL;

    memset(&doctor, 0, sizeof(perm_doctor_t));
    doctor.cli = cli;

    client = perm_client_open(&cli->servers);
    cli->table.client = client;

    if (client == NULL) {
        perm_doctor_report(&doctor, ERROR, "reachable", "%s",
                           perm_output_safe_text(perm_connection_error()));
        return PERM_EXIT_REDIS;
    }

    for (node = perm_client_next(client, NULL); node != NULL;
         node = perm_client_next(client, node))
    {
        perm_doctor_server(&doctor, node, users & GATEWAY);
    }

    check_meta(&doctor);
    check_rights(&doctor, users);

    if (users & TABLE) {
        check_types(&doctor);
    }

    perm_output_warn("%u errors, %u warnings", doctor.counts[ERROR],
                     doctor.counts[WARNING]);

    return doctor.counts[ERROR] ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


void
perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...)
{
    char         text[1024];
    va_list      args;
    const char  *server;

    static const char *const  levels[] = { "ok", "warning", "error" };

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    doctor->counts[level]++;
    server = doctor->server ? perm_connection_name(doctor->server) : "";

    if (!doctor->cli->args.json) {
        printf("%-8s %-12s %s%s%s%s\n", levels[level], check, text,
               *server ? " (" : "", server, *server ? ")" : "");
        return;
    }

    perm_output_json(stdout, "{'status':%s,'check':%s", levels[level], check);
    perm_output_json(stdout, *server ? ",'server':%s" : "", server);
    perm_output_json(stdout, ",'message':%s}\n", text);
}


static void
check_meta(perm_doctor_t *doctor)
{
    char         key[PERM_KEY_MAX];
    perm_str_t   name, schema;
    redisReply  *reply;

    name.data = key;
    name.len = perm_grant_key_meta(key, doctor->cli->table.prefix);

    reply = perm_client_call(doctor->cli->table.client, PERM_ERRORS_TOO,
                             "HGET %k " PERM_SCHEMA_FIELD, name);
    schema = perm_table_bytes(reply);

    if (schema.data != NULL && strcmp(schema.data, PERM_SCHEMA) == 0) {
        perm_doctor_report(doctor, OK, "meta", "the table is loaded");

    } else if (schema.data != NULL) {
        perm_doctor_report(doctor, ERROR, "meta", "\"%s\" says schema \"%s\", "
                           "only \"1\" is known: update app-permission", key,
                           perm_output_safe(schema));

    } else if (reply->type == REDIS_REPLY_NIL) {
        perm_doctor_report(doctor, ERROR, "meta", "\"%s\" is missing: the "
                           "table counts as not loaded; import or grant, or "
                           "check --prefix and the database", key);

    } else {
        perm_doctor_report(doctor, ERROR, "meta", "\"%s\" cannot be read: %s",
                           key, reply->type == REDIS_REPLY_ERROR
                           ? perm_output_safe_text(reply->str)
                           : "not a hash");
    }

    freeReplyObject(reply);
}


/* tries every command that one of the users needs, where it does no harm */

static void
check_rights(perm_doctor_t *doctor, unsigned users)
{
    char                        key[PERM_KEY_MAX], grants[PERM_KEY_MAX];
    const char                 *advice;
    redisReply                 *reply;
    perm_table_t               *table;
    const perm_doctor_probe_t  *probe;

    table = &doctor->cli->table;
    sprintf(grants, "%s" GRANTS, table->prefix.data);

    for (probe = probes; probe->rights != NULL; probe++) {

        if (!(probe->users & users)) {
            continue;
        }

        sprintf(key, "%s%s", table->prefix.data, probe->key);
        reply = perm_client_call(table->client, PERM_ERRORS_TOO, probe->format,
                                 perm_str(key), perm_str(grants));

        if (perm_doctor_lacks_right(reply)) {
            perm_doctor_report(doctor, ERROR, "rights", "%s is refused, "
                               "needed for %s: give the user the command, and "
                               "keys ~%s*", probe->rights, probe->need,
                               table->prefix.data);

        } else if (reply->type == REDIS_REPLY_ERROR) {
            advice = perm_advice_find(reply->str)->command;
            perm_doctor_report(doctor, ERROR, "rights", "%s fails, needed for "
                               "%s: %s%s%s", probe->rights, probe->need,
                               perm_output_safe_text(reply->str),
                               *advice ? "; " : "", advice);

        } else {
            perm_doctor_report(doctor, OK, "rights", "%s, for %s",
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


/*
 * Names the first keys that have a name of the table and another type.  A user
 * without the right to SCAN gets no line.
 */

static void
check_types(perm_doctor_t *doctor)
{
    int            may;
    redisReply    *reply;
    perm_table_t  *table;

    table = &doctor->cli->table;

    reply = perm_client_call(table->client, PERM_ERRORS_TOO, "SCAN 0");
    may = (reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);

    if (!may) {
        return;
    }

    doctor->kind = PERM_KEY_GRANTS;
    perm_walk_keys(table, doctor->kind, NULL, look_at_keys, doctor);

    doctor->kind = PERM_KEY_ACCESS;
    perm_walk_keys(table, doctor->kind, NULL, look_at_keys, doctor);

    if (doctor->wrong_types > NAMED) {
        perm_doctor_report(doctor, ERROR, "types", "%llu keys are of a wrong "
                           "type, of which the first %d are named",
                           doctor->wrong_types, NAMED);

    } else if (doctor->wrong_types == 0 && !doctor->refused) {
        perm_doctor_report(doctor, OK, "types", "%llu keys of grants and "
                           "accesses, none of a wrong type", doctor->keys);
    }
}


static void
look_at_keys(void *data, perm_str_t *keys, size_t n)
{
    size_t                i;
    const char           *format;
    perm_tuple_t          tuple;
    perm_table_t         *table;
    perm_doctor_t        *doctor = data;
    perm_doctor_look_t   *looks;

    table = &doctor->cli->table;
    looks = perm_alloc(n * sizeof(perm_doctor_look_t));
    format = (doctor->kind == PERM_KEY_GRANTS) ? "HGET %k -" : "ZSCORE %k -";

    for (i = 0; i < n; i++) {
        looks[i].doctor = doctor;
        looks[i].key = keys[i];

        if (perm_grant_key_parse(keys[i], doctor->kind, table->prefix,
                                 &tuple.gateway, &tuple.app))
        {
            perm_client_ask(table->client, PERM_ERRORS_TOO, check_type,
                            &looks[i], format, keys[i]);
        }
    }

    perm_client_wait(table->client);
    free(looks);

    perm_output_progress("looked at keys", doctor->keys, 0);
}


static int
check_type(void *data, redisReply *reply)
{
    perm_doctor_t       *doctor;
    perm_doctor_look_t  *look = data;

    doctor = look->doctor;
    doctor->keys++;

    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    if (strncmp(reply->str, "WRONGTYPE", sizeof("WRONGTYPE") - 1) != 0) {
        doctor->refused = 1;

    } else if (doctor->wrong_types++ < NAMED) {
        perm_doctor_report(doctor, ERROR, "types", "\"%s\" is no %s; rename "
                           "or remove it", perm_output_safe(look->key),
                           doctor->kind == PERM_KEY_GRANTS
                           ? "hash: calls of this app get 503"
                           : "sorted set: accesses of this app are not "
                             "recorded");
    }

    return 0;
}
