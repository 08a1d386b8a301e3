
#include "cli/commands/doctor_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "resp/reply.h"


#define SLOW_MS        50
#define CLOCK_WARNING  2       /* seconds */
#define CLOCK_ERROR    30
#define MIB            1048576


static void check_reachable(perm_doctor_t *doctor);
static void check_version(perm_doctor_t *doctor);
static void check_role(perm_doctor_t *doctor);
static void check_memory(perm_doctor_t *doctor);
static void check_disk(perm_doctor_t *doctor);
static void check_clock(perm_doctor_t *doctor);
static void check_tracking(perm_doctor_t *doctor);
static void report_down(perm_doctor_t *doctor);
static redisReply *ask(perm_doctor_t *doctor, const char *format,
    const char *word);
static const char *info(const perm_doctor_t *doctor, const char *name);
static double number(const char *text);


void
perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node)
{
    int       stop;
    unsigned  i;

    static void (*const checks[])(perm_doctor_t *doctor) = {
        check_reachable, check_version, check_role, check_memory, check_disk,
        check_clock, check_tracking, NULL
    };

    doctor->server = perm_connection_open(&doctor->cli->servers.connection,
                                          &node->address);

    if (doctor->server == NULL) {
        report_down(doctor);
        return;
    }

    stop = doctor->stop;
    doctor->stop = 0;

    for (i = 0; checks[i] != NULL && !doctor->stop; i++) {
        checks[i](doctor);
    }

    doctor->stop |= stop;

    freeReplyObject(doctor->info);
    doctor->info = NULL;
    perm_connection_close(doctor->server);
    doctor->server = NULL;
}


static void
report_down(perm_doctor_t *doctor)
{
    doctor->stop = 1;
    doctor->down = 1;
    perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "reachable", "%s; the rest "
                       "was not looked at",
                       perm_output_safe_text(perm_connection_error()));
}


static void
check_reachable(perm_doctor_t *doctor)
{
    double            ms;
    unsigned          i;
    redisReply       *reply;
    struct timespec   sent, answered;

    ms = SLOW_MS;

    /* the machine may have been busy: the last of three is reported */

    for (i = 0; i < 3 && ms >= SLOW_MS; i++) {
        clock_gettime(CLOCK_MONOTONIC, &sent);
        reply = ask(doctor, "PING", "");
        clock_gettime(CLOCK_MONOTONIC, &answered);

        if (reply == NULL) {
            return;
        }

        if (reply->type == REDIS_REPLY_ERROR
            && !perm_reply_error(reply, "NOPERM"))
        {
            doctor->stop = 1;
            doctor->down = 1;
            perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "reachable", "%s; "
                               "the rest was not looked at",
                               perm_output_safe_text(reply->str));
            freeReplyObject(reply);
            return;
        }

        freeReplyObject(reply);
        ms = (double) (answered.tv_sec - sent.tv_sec) * 1e3
             + (double) (answered.tv_nsec - sent.tv_nsec) / 1e6;
    }

    perm_doctor_report(doctor, ms < SLOW_MS ? PERM_DOCTOR_OK
                                            : PERM_DOCTOR_WARNING,
                       "reachable", "answers in %.1f ms%s", ms,
                       ms < SLOW_MS ? "" : ": look at the network and at "
                                           "SLOWLOG GET");
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

    if (reply == NULL) {
        return;
    }

    /* whether the user needs it is not known yet */

    if (reply->type != REDIS_REPLY_STRING) {
        doctor->no_info = 1;
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
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "version",
                           "INFO names none: 6.2 or later is needed");

    } else if (major < 6 || (major == 6 && minor < 2)) {
        doctor->stop = 1;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "version",
                           "%s %s: 6.2 or later is needed, for ZMSCORE and "
                           "for tracking; the rest was not looked at", name,
                           perm_output_safe_text(version));

    } else {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "version", "%s %s", name,
               perm_output_safe_text(version));
    }
}


static void
check_role(perm_doctor_t *doctor)
{
    perm_str_t         name, host, link;
    const char        *role;
    redisReply        *reply;
    const redisReply  *port;

    reply = ask(doctor, "ROLE", "");

    if (reply == NULL) {
        return;
    }

    name = perm_table_bytes(perm_table_element(reply, 0));
    role = name.data ? name.data : info(doctor, "role");
    host = perm_table_bytes(perm_table_element(reply, 1));
    port = perm_table_element(reply, 2);
    link = perm_table_bytes(perm_table_element(reply, 3));

    if (role == NULL) {
        perm_doctor_rights_give(doctor, "+role");
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "role", "ROLE is "
                           "refused: that this is a master cannot be seen");

    } else if (strcmp(role, "master") == 0) {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "role", "master");

    } else if (host.data != NULL && port != NULL
               && port->type == REDIS_REPLY_INTEGER)
    {
        doctor->stop = 1;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "role", "this is a "
                           "replica of %s:%lld (link: %s): give the address "
                           "of that master, or a redis+sentinel:// URL; the "
                           "rest was not looked at", perm_output_safe(host),
                           port->integer, perm_output_safe(link));

    } else {
        doctor->stop = 1;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "role", "this is a %s: "
                           "give the address of the master, or a "
                           "redis+sentinel:// URL; the rest was not looked at",
                           strcmp(role, "slave") == 0 ? "replica"
                           : perm_output_safe_text(role));
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
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "eviction", "noeviction: "
                           "no grant is dropped");

    } else {
        perm_doctor_report(doctor, max > 0 ? PERM_DOCTOR_ERROR :
                           PERM_DOCTOR_WARNING, "eviction", "maxmemory-policy "
                           "%s %s%s: set it to noeviction",
                           perm_output_safe_text(policy), max > 0 ?
                           "may drop grants when memory is full" :
                           "would drop grants if maxmemory were set",
                           strncmp(policy, "volatile", 8) == 0 ?
                           ", of keys with a time to live" : "");
    }

    if (max > 0) {
        full = used >= 0.9 * max;
        perm_doctor_report(doctor, full ? PERM_DOCTOR_WARNING : PERM_DOCTOR_OK,
                           "memory", "%.0f of %.0f MiB of maxmemory in use%s",
                           used / MIB, max / MIB, full ? ": raise maxmemory, "
                           "or new grants and accesses will be refused" : "");

    } else if (system > 0) {
        full = used >= 0.7 * system;
        perm_doctor_report(doctor, full ? PERM_DOCTOR_WARNING : PERM_DOCTOR_OK,
                           "memory", "%.0f MiB in use, no maxmemory, %.0f MiB "
                           "in the machine%s", used / MIB, system / MIB, full ?
                           ": the system may end Redis; set maxmemory, or "
                           "give it more" : "");
    }
}


static void
check_disk(perm_doctor_t *doctor)
{
    perm_str_t   save;
    redisReply  *reply;
    const char  *rdb, *aof, *enabled;

    rdb = info(doctor, "rdb_last_bgsave_status");
    aof = info(doctor, "aof_last_write_status");
    enabled = info(doctor, "aof_enabled");

    if (rdb == NULL || aof == NULL) {
        return;
    }

    if (strcmp(rdb, "ok") != 0 || strcmp(aof, "ok") != 0) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "disk", "%s failed: "
                           "look at the log of Redis and at its disk",
                           strcmp(aof, "ok") != 0
                           ? "the last write to the append-only file"
                           : "the last save");
        return;
    }

    if (enabled != NULL && strcmp(enabled, "1") == 0) {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "disk", "an append-only "
                           "file, whose last write succeeded");
        return;
    }

    reply = ask(doctor, "CONFIG GET save", "");

    if (reply == NULL) {
        return;
    }

    save = perm_table_bytes(perm_table_element(reply, 1));

    /* written to the file first, it would start with an empty table */

    doctor->remedy = "in redis-cli: CONFIG SET appendonly yes, then "
                     "CONFIG REWRITE";

    perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "disk", "%s",
                       save.data == NULL
                       ? "no append-only file: a crash of Redis loses the "
                         "last changes, or the table; whether there are "
                         "snapshots cannot be seen, as CONFIG GET is refused"
                       : save.len == 0
                       ? "neither \"save\" nor \"appendonly\": a restart of "
                         "Redis loses the table"
                       : "only snapshots (\"save\"): a crash of Redis loses "
                         "the changes since the last one, so that grants are "
                         "missing, and revoked ones are back");

    freeReplyObject(reply);
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

    if (reply == NULL) {
        return;
    }

    seconds = perm_table_bytes(perm_table_element(reply, 0));

    if (seconds.data == NULL) {
        perm_doctor_rights_give(doctor, "+time");
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "clock",
                           "TIME is refused: the clocks cannot be compared");

    } else {
        difference = fabs(strtod(seconds.data, NULL) - (double) now);
        level = (difference < CLOCK_WARNING) ? PERM_DOCTOR_OK
                : (difference < CLOCK_ERROR) ? PERM_DOCTOR_WARNING
                                             : PERM_DOCTOR_ERROR;

        perm_doctor_report(doctor, level, "clock", "%.0f s apart from this "
                           "machine%s", difference, level == PERM_DOCTOR_OK ?
                           "" : ": let both follow a time server, grants end "
                           "by the gateway's clock");
    }

    freeReplyObject(reply);
}


/* as a gateway does; the connection is of no use afterwards */

static void
check_tracking(perm_doctor_t *doctor)
{
    int          lacks, missing;
    char         prefix[PERM_KEY_MAX];
    unsigned     i;
    redisReply  *reply;

    enum { SUBSCRIBE = 2 };

    static const char *const  commands[][3] = {
        { "CLIENT ID", "CLIENT ID", "client|id" },
        { "CLIENT TRACKING", "CLIENT TRACKING ON BCAST PREFIX %s",
          "client|tracking" },
        { "SUBSCRIBE __redis__:invalidate", "SUBSCRIBE __redis__:invalidate",
          "subscribe" },
        { NULL, NULL, NULL }
    };

    if (!(doctor->users & (PERM_DOCTOR_GATEWAY | PERM_DOCTOR_COMMANDS))) {
        return;
    }

    snprintf(prefix, sizeof(prefix), "%sgrants:",
             doctor->cli->table.prefix.data);

    lacks = 0;

    for (i = 0; commands[i][0] != NULL; i++) {
        reply = ask(doctor, commands[i][1], prefix);

        if (reply == NULL) {
            return;
        }

        missing = perm_doctor_reply_missing(doctor, reply, commands[i][2],
                                            NULL, PERM_DOCTOR_CHANNEL);
        lacks |= missing;

        /* whether it may have the channel cannot be seen then */

        if (i == SUBSCRIBE && missing == 1) {
            doctor->hidden = 1;
        }

        if (reply->type == REDIS_REPLY_ERROR && !missing) {
            perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "tracking", "%s "
                               "fails, revoked grants end only with "
                               "app_permission_cache_valid: %s",
                               commands[i][0],
                               perm_output_safe_text(reply->str));
            freeReplyObject(reply);
            return;
        }

        freeReplyObject(reply);
    }

    if (lacks) {
        doctor->untracked = 1;
        perm_doctor_report(doctor, PERM_DOCTOR_SKIPPED, "tracking",
                           doctor->users & PERM_DOCTOR_GATEWAY
                           ? "the right is missing: see rights"
                           : "this user lacks the right, which only a gateway "
                             "needs");
    } else {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "tracking", "changes are "
                           "pushed at once");
    }
}


/*
 * The reply to a command with a %s.  NULL: the server does not serve, which was
 * said.
 */

static redisReply *
ask(perm_doctor_t *doctor, const char *format, const char *word)
{
    redisReply  *reply;

    reply = perm_connection_call(doctor->server, format, word);

    if (reply == NULL) {
        report_down(doctor);

    } else if (perm_doctor_reply_general(doctor, reply) && doctor->stop) {
        freeReplyObject(reply);
        reply = NULL;
    }

    return reply;
}


/* the value of a line "name:value" of INFO, or NULL when there is none */

static const char *
info(const perm_doctor_t *doctor, const char *name)
{
    size_t       len;
    const char  *line, *end;

    if (doctor->info->type != REDIS_REPLY_STRING) {
        return NULL;
    }

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
