
#include "cli/commands/doctor_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/util/alloc.h"


#define SLOW_MS        50
#define CLOCK_WARNING  2       /* seconds */
#define CLOCK_ERROR    30
#define MIB            1048576


static redisReply *ask(perm_doctor_t *doctor, const char *format,
    const char *word);
static void check_reachable(perm_doctor_t *doctor);
static void read_info(perm_doctor_t *doctor);
static const char *info(const perm_doctor_t *doctor, const char *name);
static double info_number(const perm_doctor_t *doctor, const char *name);
static void check_version(perm_doctor_t *doctor);
static void check_role(perm_doctor_t *doctor);
static void check_memory(perm_doctor_t *doctor);
static void check_disk(perm_doctor_t *doctor);
static void check_clock(perm_doctor_t *doctor);
static void check_tracking(perm_doctor_t *doctor);
static int accepted(perm_doctor_t *doctor, const char *name,
    const char *format, const char *word);
static int64_t now_us(clockid_t clock);


void
perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node,
    int tracking)
{
    doctor->server = perm_connection_open(&doctor->cli->servers.connection,
                                          &node->address);

    if (doctor->server == NULL) {
        perm_doctor_report(doctor, ERROR, "reachable", "%s:%u: %s",
                           node->address.host, node->address.port,
                           perm_output_safe_text(perm_connection_error()));
        return;
    }

    check_reachable(doctor);
    read_info(doctor);
    check_version(doctor);
    check_role(doctor);
    check_memory(doctor);
    check_disk(doctor);
    check_clock(doctor);

    if (tracking) {
        check_tracking(doctor);
    }

    perm_connection_close(doctor->server);
    doctor->server = NULL;
    free(doctor->info);
    doctor->info = NULL;
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


static void
check_reachable(perm_doctor_t *doctor)
{
    int          slow;
    int64_t      started, us;
    redisReply  *reply;

    started = now_us(CLOCK_MONOTONIC);
    reply = ask(doctor, "PING", "");
    us = now_us(CLOCK_MONOTONIC) - started;
    slow = us / 1000 >= SLOW_MS;

    if (reply->type == REDIS_REPLY_ERROR && !perm_doctor_lacks_right(reply)) {
        perm_doctor_report(doctor, ERROR, "reachable", "PING fails: %s",
                           perm_output_safe_text(reply->str));
    } else {
        perm_doctor_report(doctor, slow ? WARNING : OK, "reachable", "answers "
                           "in %lld.%01d ms%s", (long long) us / 1000,
                           (int) (us / 100 % 10), slow ? ": look at the "
                           "network and at SLOWLOG GET" : "");
    }

    freeReplyObject(reply);
}


static void
read_info(perm_doctor_t *doctor)
{
    redisReply  *reply;

    reply = ask(doctor, "INFO", "");

    if (reply->type == REDIS_REPLY_STRING) {
        doctor->info = perm_alloc(reply->len + 2);
        snprintf(doctor->info, reply->len + 2, "\n%s", reply->str);
    } else {
        perm_doctor_report(doctor, WARNING, "info", "INFO is refused: version "
                           "and memory cannot be looked at; give the user "
                           "+info for that, which nginx itself does not need");
    }

    freeReplyObject(reply);
}


/* the value of a line "name:value" of INFO, cut at 63 bytes, or NULL */

static const char *
info(const perm_doctor_t *doctor, const char *name)
{
    char         line[64];
    const char  *p;

    static char      values[4][64];
    static unsigned  turn;

    snprintf(line, sizeof(line), "\n%s:", name);
    p = doctor->info ? strstr(doctor->info, line) : NULL;

    if (p == NULL) {
        return NULL;
    }

    p += strlen(line);
    turn = (turn + 1) % 4;
    snprintf(values[turn], sizeof(values[turn]), "%.*s",
             (int) strcspn(p, "\r\n"), p);

    return values[turn];
}


/* the same as a number; -1: there is none */

static double
info_number(const perm_doctor_t *doctor, const char *name)
{
    const char  *text;

    text = info(doctor, name);

    return text ? strtod(text, NULL) : -1;
}


static void
check_version(perm_doctor_t *doctor)
{
    unsigned     major, minor;
    const char  *version, *name;

    if (doctor->info == NULL) {
        return;
    }

    version = info(doctor, "valkey_version");
    name = version ? "Valkey" : "Redis";
    version = version ? version : info(doctor, "redis_version");

    if (version == NULL || sscanf(version, "%u.%u", &major, &minor) != 2) {
        perm_doctor_report(doctor, WARNING, "version", "INFO names none: 6.2 "
                           "or later is needed");

    } else if (major < 6 || (major == 6 && minor < 2)) {
        perm_doctor_report(doctor, ERROR, "version", "%s %s: 6.2 or later is "
                           "needed, for ZMSCORE and for tracking", name,
                           perm_output_safe_text(version));

    } else {
        perm_doctor_report(doctor, OK, "version", "%s %s", name,
                           perm_output_safe_text(version));
    }
}


static void
check_role(perm_doctor_t *doctor)
{
    const char  *role;
    redisReply  *reply;

    reply = ask(doctor, "ROLE", "");
    role = (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
            && reply->element[0]->type == REDIS_REPLY_STRING)
           ? reply->element[0]->str : info(doctor, "role");

    if (role == NULL) {
        perm_doctor_report(doctor, WARNING, "role", "ROLE is refused: that "
                           "this is a master cannot be seen; give the user "
                           "+role");

    } else if (strcmp(role, "master") == 0) {
        perm_doctor_report(doctor, OK, "role", "master");

    } else {
        perm_doctor_report(doctor, ERROR, "role", "%s: give the address of "
                           "the master, or a redis+sentinel:// URL",
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
    max = info_number(doctor, "maxmemory");
    used = info_number(doctor, "used_memory");
    system = info_number(doctor, "total_system_memory");

    if (policy == NULL || max < 0 || used < 0) {
        return;
    }

    if (strcmp(policy, "noeviction") == 0) {
        perm_doctor_report(doctor, OK, "eviction", "noeviction: no grant is "
                           "dropped");
    } else {
        perm_doctor_report(doctor, max > 0 ? ERROR : WARNING, "eviction",
                           "maxmemory-policy %s %s: set it to noeviction",
                           perm_output_safe_text(policy),
                           max > 0 ? "may drop grants when memory is full"
                                   : "would drop grants if maxmemory were "
                                     "set");
    }

    if (max > 0) {
        full = used >= 0.9 * max;
        perm_doctor_report(doctor, full ? WARNING : OK, "memory", "%.0f of "
                           "%.0f MiB of maxmemory in use%s", used / MIB,
                           max / MIB, full ? ": raise maxmemory, or new "
                           "grants and accesses will be refused" : "");

    } else if (system > 0) {
        full = used >= 0.7 * system;
        perm_doctor_report(doctor, full ? WARNING : OK, "memory", "%.0f MiB "
                           "in use, no maxmemory, %.0f MiB in the machine%s",
                           used / MIB, system / MIB,
                           full ? ": the system may end Redis" : "");
    }
}


static void
check_disk(perm_doctor_t *doctor)
{
    const char  *rdb, *aof;

    rdb = info(doctor, "rdb_last_bgsave_status");
    aof = info(doctor, "aof_last_write_status");

    if (rdb == NULL || aof == NULL) {
        return;
    }

    if (strcmp(rdb, "ok") == 0 && strcmp(aof, "ok") == 0) {
        perm_doctor_report(doctor, OK, "disk", "the last save succeeded");
    } else {
        perm_doctor_report(doctor, ERROR, "disk", "Redis could not save: look "
                           "at its log and its disk");
    }
}


static void
check_clock(perm_doctor_t *doctor)
{
    double                difference;
    int64_t               now;
    redisReply           *reply;
    perm_doctor_level_t   level;

    now = now_us(CLOCK_REALTIME) / 1000000;
    reply = ask(doctor, "TIME", "");

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
        && reply->element[0]->type == REDIS_REPLY_STRING)
    {
        difference = fabs(strtod(reply->element[0]->str, NULL) - (double) now);
        level = (difference < CLOCK_WARNING) ? OK
                : (difference < CLOCK_ERROR) ? WARNING : ERROR;

        perm_doctor_report(doctor, level, "clock", "%.0f s apart from this "
                           "machine%s", difference, level == OK ? "" : ": let "
                           "both follow a time server, grants end by the "
                           "gateway's clock");

    } else {
        perm_doctor_report(doctor, WARNING, "clock", "TIME is refused: the "
                           "clocks cannot be compared; give the user +time "
                           "for that, which nginx itself does not need");
    }

    freeReplyObject(reply);
}


/* as a gateway does; the connection is of no use afterwards */

static void
check_tracking(perm_doctor_t *doctor)
{
    char  prefix[PERM_KEY_MAX];

    snprintf(prefix, sizeof(prefix), "%sgrants:",
             doctor->cli->table.prefix.data);

    if (accepted(doctor, "CLIENT ID", "CLIENT ID", "")
        && accepted(doctor, "CLIENT TRACKING",
                    "CLIENT TRACKING ON BCAST PREFIX %s", prefix)
        && accepted(doctor, "SUBSCRIBE __redis__:invalidate",
                    "SUBSCRIBE __redis__:invalidate", ""))
    {
        perm_doctor_report(doctor, OK, "tracking", "changes are pushed at "
                           "once");
    }
}


static int
accepted(perm_doctor_t *doctor, const char *name, const char *format,
    const char *word)
{
    int          good;
    redisReply  *reply;

    reply = ask(doctor, format, word);
    good = (reply->type != REDIS_REPLY_ERROR);

    if (!good) {
        perm_doctor_report(doctor, ERROR, "tracking", "%s fails, revoked "
                           "grants end only with app_permission_cache_valid: "
                           "%s", name, perm_output_safe_text(reply->str));
    }

    freeReplyObject(reply);

    return good;
}


static int64_t
now_us(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
