
#include "cli/commands/doctor_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


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
static redisReply *ask(perm_doctor_t *doctor, const char *format,
    const char *word);
static const char *info(const perm_doctor_t *doctor, const char *name);
static double number(const char *text);


void
perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node)
{
    doctor->server = perm_connection_open(&doctor->cli->servers.connection,
                                          &node->address);

    if (doctor->server == NULL) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "reachable", "%s",
                           perm_output_safe_text(perm_connection_error()));
        return;
    }

    check_reachable(doctor);
    check_version(doctor);
    check_role(doctor);

    if (!doctor->replica) {
        check_memory(doctor);
        check_disk(doctor);
        check_clock(doctor);

        if (doctor->users & (PERM_DOCTOR_GATEWAY | PERM_DOCTOR_COMMANDS)) {
            check_tracking(doctor);
        }
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

    if (reply->type == REDIS_REPLY_ERROR
        && strncmp(reply->str, "NOPERM", 6) != 0)
    {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "reachable",
                           "PING fails: %s",
                           perm_output_safe_text(reply->str));

    } else {
        perm_doctor_report(doctor, ms < SLOW_MS ? PERM_DOCTOR_OK
                                                : PERM_DOCTOR_WARNING,
                           "reachable", "answers in %.1f ms%s", ms,
                           ms < SLOW_MS ? "" : ": look at the network and at "
                                               "SLOWLOG GET");
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
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "info",
                           "INFO is refused: version and memory cannot be "
                           "looked at; give the user +info for that, which "
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
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "version",
                           "INFO names none: 6.2 or later is needed");

    } else if (major < 6 || (major == 6 && minor < 2)) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "version",
                           "%s %s: 6.2 or later is needed, for ZMSCORE and "
                           "for tracking", name,
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
    name = perm_table_bytes(perm_table_element(reply, 0));
    role = name.data ? name.data : info(doctor, "role");
    host = perm_table_bytes(perm_table_element(reply, 1));
    port = perm_table_element(reply, 2);
    link = perm_table_bytes(perm_table_element(reply, 3));

    if (role == NULL) {
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "role", "ROLE is "
                           "refused: that this is a master cannot be seen; "
                           "give the user +role");

    } else if (strcmp(role, "master") == 0) {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "role", "master");

    } else if (host.data != NULL && port != NULL
               && port->type == REDIS_REPLY_INTEGER)
    {
        doctor->replica = 1;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "role", "this is a "
                           "replica of %s:%lld (link: %s): give the address "
                           "of that master, or a redis+sentinel:// URL; the "
                           "rest was not looked at", perm_output_safe(host),
                           port->integer, perm_output_safe(link));

    } else {
        doctor->replica = (strcmp(role, "slave") == 0);
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "role", "%s: give the "
                           "address of the master, or a redis+sentinel:// URL",
                           perm_output_safe_text(role));
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
                           "%s %s: set it to noeviction",
                           perm_output_safe_text(policy), max > 0 ?
                           "may drop grants when memory is full" :
                           "would drop grants if maxmemory were set");
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
                           ": the system may end Redis" : "");
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
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "disk", "Redis could "
                           "not save: look at its log and its disk");
        return;
    }

    if (enabled != NULL && strcmp(enabled, "1") == 0) {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "disk", "an append-only "
                           "file, whose last write succeeded");
        return;
    }

    reply = ask(doctor, "CONFIG GET save", "");
    save = perm_table_bytes(perm_table_element(reply, 1));

    if (save.data == NULL) {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "disk", "the last save "
                           "succeeded, if there was any: CONFIG GET save is "
                           "refused");

    } else if (save.len == 0) {
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "disk", "neither "
                           "\"save\" nor \"appendonly\": a restart of Redis "
                           "loses the table; set appendonly yes");

    } else {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "disk", "the last save "
                           "succeeded");
    }

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
    seconds = perm_table_bytes(perm_table_element(reply, 0));

    if (seconds.data == NULL) {
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "clock",
                           "TIME is refused: the clocks cannot be compared; "
                           "give the user +time for that, which nginx itself "
                           "does not need");

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
    char         prefix[PERM_KEY_MAX], failed[768];
    unsigned     i;
    const char  *missing;
    redisReply  *reply;

    perm_doctor_words_t  before;

    enum { SUBSCRIBE = 2 };

    static const char *const  commands[][3] = {
        { "CLIENT ID", "CLIENT ID", "client|id" },
        { "CLIENT TRACKING", "CLIENT TRACKING ON BCAST PREFIX %s",
          "client|tracking" },
        { "SUBSCRIBE __redis__:invalidate", "SUBSCRIBE __redis__:invalidate",
          "subscribe" },
        { NULL, NULL, NULL }
    };

    snprintf(prefix, sizeof(prefix), "%sgrants:",
             doctor->cli->table.prefix.data);

    before = doctor->acl;
    failed[0] = '\0';

    for (i = 0; commands[i][0] != NULL; i++) {
        reply = ask(doctor, commands[i][1], prefix);

        if (reply->type == REDIS_REPLY_ERROR) {
            missing = perm_doctor_missing(doctor, reply, commands[i][2], NULL,
                                          PERM_DOCTOR_CHANNEL);

            if (missing && !(doctor->users & PERM_DOCTOR_GATEWAY)) {
                freeReplyObject(reply);
                doctor->acl = before;
                perm_doctor_report(doctor, PERM_DOCTOR_OK, "tracking", "not "
                                   "looked at: this user lacks the right, "
                                   "which only a gateway needs; see --for "
                                   "gateway");
                return;
            }

            /* whether it may have the channel cannot be seen then */

            if (i == SUBSCRIBE && missing && strstr(missing, "command")) {
                doctor->hidden = 1;
            }

            if (failed[0] == '\0') {
                snprintf(failed, sizeof(failed), "%s fails, revoked grants end "
                         "only with app_permission_cache_valid: %s",
                         commands[i][0], perm_output_safe_text(reply->str));
            }
        }

        freeReplyObject(reply);
    }

    perm_doctor_report(doctor, failed[0] ? PERM_DOCTOR_ERROR : PERM_DOCTOR_OK,
                       "tracking", "%s", failed[0] ? failed
                       : "changes are pushed at once");
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
