
/*
 * doctor: whether this Redis is fit for the grant table.
 */


#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "resp/advice.h"


#define SLOW_MS        50
#define CLOCK_WARNING  2       /* seconds */
#define CLOCK_ERROR    30
#define MIB            1048576
#define NAMED          10      /* keys of a wrong type */

/* users, in the order of the words of --for */

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


/* a command that does no harm; its format gets the key, and then GRANTS */

typedef struct {
    unsigned             users;
    const char          *rights;
    const char          *need;
    const char          *key;
    const char          *format;
} perm_doctor_probe_t;


typedef enum { OK = 0, WARNING, ERROR } perm_doctor_level_t;


typedef struct {
    perm_cli_t          *cli;
    unsigned             users;        /* whose rights are looked at */
    unsigned             counts[ERROR + 1];   /* of each level */
    perm_connection_t   *server;       /* that is looked at, or NULL */
    redisReply          *info;         /* its INFO, lines that end with NULs */
    perm_key_kind_t      kind;         /* of the keys that are looked at */
    perm_count_t         keys;
    perm_count_t         wrong_types;  /* of them */
    int                  cannot_scan;  /* SCAN is refused */
    int                  refused;      /* a key could not be looked at */
} perm_doctor_t;


static perm_exit_t run_doctor(perm_cli_t *cli);
static void check_server(perm_doctor_t *doctor, const perm_node_t *node);
static void check_reachable(perm_doctor_t *doctor);
static void check_version(perm_doctor_t *doctor);
static void check_role(perm_doctor_t *doctor);
static void check_memory(perm_doctor_t *doctor);
static void check_disk(perm_doctor_t *doctor);
static void check_clock(perm_doctor_t *doctor);
static void check_tracking(perm_doctor_t *doctor);
static redisReply *ask(perm_doctor_t *doctor, const char *format,
    const char *word);
static const char *info(const perm_doctor_t *doctor, const char *name);
static double number(const char *text);
static void check_meta(perm_doctor_t *doctor);
static void check_rights(perm_doctor_t *doctor);
static int lacks_right(const redisReply *reply);
static void check_types(perm_doctor_t *doctor);
static void look_at_keys(void *data, perm_str_t *keys, size_t n);
static void report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...) PERM_PRINTF(4);


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
    doctor_options, 0, run_doctor
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
    perm_node_t    *node;
    perm_doctor_t   doctor;

    memset(&doctor, 0, sizeof(perm_doctor_t));
    doctor.cli = cli;
    doctor.users = cli->args.role ? GATEWAY << (cli->args.role - 1) : ALL;

    cli->table.client = perm_client_open(&cli->servers);

    if (cli->table.client == NULL) {
        report(&doctor, ERROR, "reachable", "%s",
               perm_output_safe_text(perm_connection_error()));
        return PERM_EXIT_REDIS;
    }

    for (node = perm_client_next(cli->table.client, NULL); node != NULL;
         node = perm_client_next(cli->table.client, node))
    {
        check_server(&doctor, node);
    }

    check_meta(&doctor);
    check_rights(&doctor);

    if (doctor.users & TABLE) {
        check_types(&doctor);
    }

    perm_output_warn("%u errors, %u warnings", doctor.counts[ERROR],
                     doctor.counts[WARNING]);

    return doctor.counts[ERROR] ? PERM_EXIT_NO : PERM_EXIT_DONE;
}


/* on a connection of its own */

static void
check_server(perm_doctor_t *doctor, const perm_node_t *node)
{
    doctor->server = perm_connection_open(&doctor->cli->servers.connection,
                                          &node->address);

    if (doctor->server == NULL) {
        report(doctor, ERROR, "reachable", "%s",
               perm_output_safe_text(perm_connection_error()));
        return;
    }

    check_reachable(doctor);
    check_version(doctor);
    check_role(doctor);
    check_memory(doctor);
    check_disk(doctor);
    check_clock(doctor);

    if (doctor->users & GATEWAY) {
        check_tracking(doctor);
    }

    freeReplyObject(doctor->info);
    perm_connection_close(doctor->server);
    doctor->server = NULL;
}


static void
check_reachable(perm_doctor_t *doctor)
{
    double            ms;
    redisReply       *reply;
    struct timespec   sent, answered;

    clock_gettime(CLOCK_MONOTONIC, &sent);
    reply = ask(doctor, "PING", "");
    clock_gettime(CLOCK_MONOTONIC, &answered);

    ms = (double) (answered.tv_sec - sent.tv_sec) * 1e3
         + (double) (answered.tv_nsec - sent.tv_nsec) / 1e6;

    if (reply->type == REDIS_REPLY_ERROR && !lacks_right(reply)) {
        report(doctor, ERROR, "reachable", "PING fails: %s",
               perm_output_safe_text(reply->str));

    } else {
        report(doctor, ms < SLOW_MS ? OK : WARNING, "reachable",
               "answers in %.1f ms%s", ms, ms < SLOW_MS ? ""
               : ": look at the network and at SLOWLOG GET");
    }

    freeReplyObject(reply);
}


/* reads INFO, which the other checks use as well */

static void
check_version(perm_doctor_t *doctor)
{
    size_t       i;
    unsigned     major, minor;
    const char  *version, *name;
    redisReply  *reply;

    reply = ask(doctor, "INFO", "");
    doctor->info = reply;

    if (reply->type != REDIS_REPLY_STRING) {
        report(doctor, WARNING, "info", "INFO is refused: version and memory "
               "cannot be looked at; give the user +info for that, which "
               "nginx itself does not need");
        return;
    }

    for (i = 0; i < reply->len; i++) {
        if (reply->str[i] == '\r' || reply->str[i] == '\n') {
            reply->str[i] = '\0';
        }
    }

    version = info(doctor, "valkey_version");
    name = version ? "Valkey" : "Redis";
    version = version ? version : info(doctor, "redis_version");

    if (version == NULL || sscanf(version, "%u.%u", &major, &minor) != 2) {
        report(doctor, WARNING, "version",
               "INFO names none: 6.2 or later is needed");

    } else if (major < 6 || (major == 6 && minor < 2)) {
        report(doctor, ERROR, "version", "%s %s: 6.2 or later is needed, for "
               "ZMSCORE and for tracking", name,
               perm_output_safe_text(version));

    } else {
        report(doctor, OK, "version", "%s %s", name,
               perm_output_safe_text(version));
    }
}


static void
check_role(perm_doctor_t *doctor)
{
    perm_str_t   name;
    const char  *role;
    redisReply  *reply;

    reply = ask(doctor, "ROLE", "");
    name = perm_table_bytes(perm_table_element(reply, 0));
    role = name.data ? name.data : info(doctor, "role");

    if (role == NULL) {
        report(doctor, WARNING, "role", "ROLE is refused: that this is a "
               "master cannot be seen; give the user +role");

    } else if (strcmp(role, "master") == 0) {
        report(doctor, OK, "role", "master");

    } else {
        report(doctor, ERROR, "role", "%s: give the address of the master, "
               "or a redis+sentinel:// URL", perm_output_safe_text(role));
    }

    freeReplyObject(reply);
}


static void
check_memory(perm_doctor_t *doctor)
{
    int          full;
    double       used, max, system;
    const char  *policy;

    policy = info(doctor, "maxmemory_policy");
    max = number(info(doctor, "maxmemory"));
    used = number(info(doctor, "used_memory"));
    system = number(info(doctor, "total_system_memory"));

    if (policy == NULL || max < 0 || used < 0) {
        return;
    }

    if (strcmp(policy, "noeviction") == 0) {
        report(doctor, OK, "eviction", "noeviction: no grant is dropped");

    } else {
        report(doctor, max > 0 ? ERROR : WARNING, "eviction",
               "maxmemory-policy %s %s: set it to noeviction",
               perm_output_safe_text(policy),
               max > 0 ? "may drop grants when memory is full"
                       : "would drop grants if maxmemory were set");
    }

    if (max > 0) {
        full = used >= 0.9 * max;
        report(doctor, full ? WARNING : OK, "memory", "%.0f of %.0f MiB of "
               "maxmemory in use%s", used / MIB, max / MIB,
               full ? ": raise maxmemory, or new grants and accesses will be "
                      "refused" : "");

    } else if (system > 0) {
        full = used >= 0.7 * system;
        report(doctor, full ? WARNING : OK, "memory", "%.0f MiB in use, no "
               "maxmemory, %.0f MiB in the machine%s", used / MIB,
               system / MIB, full ? ": the system may end Redis" : "");
    }
}


static void
check_disk(perm_doctor_t *doctor)
{
    int          saved;
    const char  *rdb, *aof;

    rdb = info(doctor, "rdb_last_bgsave_status");
    aof = info(doctor, "aof_last_write_status");

    if (rdb != NULL && aof != NULL) {
        saved = (strcmp(rdb, "ok") == 0 && strcmp(aof, "ok") == 0);
        report(doctor, saved ? OK : ERROR, "disk", "%s",
               saved ? "the last save succeeded"
                     : "Redis could not save: look at its log and its disk");
    }
}


static void
check_clock(perm_doctor_t *doctor)
{
    double                difference;
    time_t                now;
    perm_str_t            seconds;
    redisReply           *reply;
    perm_doctor_level_t   level;

    now = time(NULL);
    reply = ask(doctor, "TIME", "");
    seconds = perm_table_bytes(perm_table_element(reply, 0));

    if (seconds.data == NULL) {
        report(doctor, WARNING, "clock", "TIME is refused: the clocks cannot "
               "be compared; give the user +time for that, which nginx "
               "itself does not need");

    } else {
        difference = fabs(strtod(seconds.data, NULL) - (double) now);
        level = (difference < CLOCK_WARNING) ? OK
                : (difference < CLOCK_ERROR) ? WARNING : ERROR;

        report(doctor, level, "clock", "%.0f s apart from this machine%s",
               difference, level == OK ? "" : ": let both follow a time "
               "server, grants end by the gateway's clock");
    }

    freeReplyObject(reply);
}


/* as a gateway does; the connection is of no use afterwards */

static void
check_tracking(perm_doctor_t *doctor)
{
    char         prefix[PERM_KEY_MAX];
    unsigned     i;
    redisReply  *reply;

    static const char *const  commands[][2] = {
        { "CLIENT ID", "CLIENT ID" },
        { "CLIENT TRACKING", "CLIENT TRACKING ON BCAST PREFIX %s" },
        { "SUBSCRIBE __redis__:invalidate", "SUBSCRIBE __redis__:invalidate" },
        { NULL, NULL }
    };

    snprintf(prefix, sizeof(prefix), "%sgrants:",
             doctor->cli->table.prefix.data);

    for (i = 0; commands[i][0] != NULL; i++) {
        reply = ask(doctor, commands[i][1], prefix);

        if (reply->type == REDIS_REPLY_ERROR) {
            report(doctor, ERROR, "tracking", "%s fails, revoked grants end "
                   "only with app_permission_cache_valid: %s", commands[i][0],
                   perm_output_safe_text(reply->str));
            freeReplyObject(reply);
            return;
        }

        freeReplyObject(reply);
    }

    report(doctor, OK, "tracking", "changes are pushed at once");
}


/* the reply to a command with a %s; a broken connection ends the program */

static redisReply *
ask(perm_doctor_t *doctor, const char *format, const char *word)
{
    redisReply  *reply;

    reply = perm_connection_call(doctor->server, format, word);

    if (reply == NULL) {
        perm_output_fatal(PERM_EXIT_REDIS, "%s: %s",
                          perm_connection_name(doctor->server),
                          perm_output_safe_text(perm_connection_error()));
    }

    return reply;
}


/* the value of a line "name:value" of INFO, or NULL when there is none */

static const char *
info(const perm_doctor_t *doctor, const char *name)
{
    size_t       len;
    const char  *line, *end;

    len = strlen(name);
    end = doctor->info->str + doctor->info->len;

    for (line = doctor->info->str; line < end; line += strlen(line) + 1) {
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            return line + len + 1;
        }
    }

    return NULL;
}


/* -1: there is none */

static double
number(const char *text)
{
    return text ? strtod(text, NULL) : -1;
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
        report(doctor, OK, "meta", "the table is loaded");

    } else if (schema.data != NULL) {
        report(doctor, ERROR, "meta", "\"%s\" says schema \"%s\", only \"1\" "
               "is known: update app-permission", key,
               perm_output_safe(schema));

    } else if (reply->type == REDIS_REPLY_NIL) {
        report(doctor, ERROR, "meta", "\"%s\" is missing: the table counts as "
               "not loaded; import or grant, or check --prefix and the "
               "database", key);

    } else {
        report(doctor, ERROR, "meta", "\"%s\" cannot be read: %s", key,
               reply->type == REDIS_REPLY_ERROR
               ? perm_output_safe_text(reply->str) : "not a hash");
    }

    freeReplyObject(reply);
}


/* tries every command that one of the users needs, where it does no harm */

static void
check_rights(perm_doctor_t *doctor)
{
    char                        key[PERM_KEY_MAX], grants[PERM_KEY_MAX];
    const char                 *advice;
    redisReply                 *reply;
    perm_table_t               *table;
    const perm_doctor_probe_t  *probe;

    table = &doctor->cli->table;
    sprintf(grants, "%s" GRANTS, table->prefix.data);

    for (probe = probes; probe->rights != NULL; probe++) {

        if (!(probe->users & doctor->users)) {
            continue;
        }

        sprintf(key, "%s%s", table->prefix.data, probe->key);
        reply = perm_client_call(table->client, PERM_ERRORS_TOO, probe->format,
                                 perm_str(key), perm_str(grants));

        if (lacks_right(reply)) {
            report(doctor, ERROR, "rights", "%s is refused, needed for %s: "
                   "give the user the command, and keys ~%s*", probe->rights,
                   probe->need, table->prefix.data);

        } else if (reply->type == REDIS_REPLY_ERROR) {
            advice = perm_advice_find(reply->str)->command;
            report(doctor, ERROR, "rights", "%s fails, needed for %s: %s%s%s",
                   probe->rights, probe->need,
                   perm_output_safe_text(reply->str), *advice ? "; " : "",
                   advice);

        } else {
            report(doctor, OK, "rights", "%s, for %s", probe->rights,
                   probe->need);
        }

        if (strcmp(probe->rights, "SCAN") == 0) {
            doctor->cannot_scan = (reply->type == REDIS_REPLY_ERROR);
        }

        freeReplyObject(reply);
    }
}


static int
lacks_right(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR
           && (strncmp(reply->str, "NOPERM", 6) == 0
               || strstr(reply->str, "ACL failure") != NULL
               || strstr(reply->str, "user executing the script") != NULL);
}


/* a user without the right to SCAN gets no line */

static void
check_types(perm_doctor_t *doctor)
{
    perm_table_t  *table;

    if (doctor->cannot_scan) {
        return;
    }

    table = &doctor->cli->table;

    doctor->kind = PERM_KEY_GRANTS;
    perm_walk_keys(table, doctor->kind, 0, NULL, look_at_keys, doctor);

    doctor->kind = PERM_KEY_ACCESS;
    perm_walk_keys(table, doctor->kind, 0, NULL, look_at_keys, doctor);

    if (doctor->wrong_types > NAMED) {
        report(doctor, ERROR, "types", "%llu keys are of a wrong type, of "
               "which the first %d are named", doctor->wrong_types, NAMED);

    } else if (doctor->wrong_types == 0 && !doctor->refused) {
        report(doctor, OK, "types", "%llu keys of grants and accesses, none "
               "of a wrong type", doctor->keys);
    }
}


static void
look_at_keys(void *data, perm_str_t *keys, size_t n)
{
    size_t           i;
    redisReply     **replies;
    perm_tuple_t     tuple;
    perm_table_t    *table;
    perm_doctor_t   *doctor = data;

    table = &doctor->cli->table;
    replies = perm_alloc_check(calloc(n, sizeof(redisReply *)));

    for (i = 0; i < n; i++) {
        if (perm_grant_key_parse(keys[i], doctor->kind, table->prefix,
                                 &tuple.gateway, &tuple.app))
        {
            perm_client_command(table->client,
                                doctor->kind == PERM_KEY_GRANTS
                                ? "HGET %k -" : "ZSCORE %k -", keys[i]);
            perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                             perm_client_keep, &replies[i]);
            doctor->keys++;
        }
    }

    perm_client_wait(table->client);

    for (i = 0; i < n; i++) {

        if (replies[i] == NULL || replies[i]->type != REDIS_REPLY_ERROR) {
            /* no key of the table, or of the right type */

        } else if (strncmp(replies[i]->str, "WRONGTYPE", 9) != 0) {
            doctor->refused = 1;

        } else if (doctor->wrong_types++ < NAMED) {
            report(doctor, ERROR, "types", "\"%s\" is no %s; rename or remove "
                   "it", perm_output_safe(keys[i]),
                   doctor->kind == PERM_KEY_GRANTS
                   ? "hash: calls of this app get 503"
                   : "sorted set: accesses of this app are not recorded");
        }

        freeReplyObject(replies[i]);
    }

    free(replies);
    perm_output_progress("looked at keys", doctor->keys, 0);
}


/* one line: what was looked at, what was found and what to do */

static void
report(perm_doctor_t *doctor, perm_doctor_level_t level, const char *check,
    const char *fmt, ...)
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
