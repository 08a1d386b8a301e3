
/*
 * One server: whether it is fit.  On a connection of its own, since the
 * servers of a cluster are asked one after the other.
 */


#include "cli/commands/doctor_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


#define SLOW_MS        50
#define CLOCK_WARNING  2       /* seconds */
#define CLOCK_ERROR    30
#define WORDS_MAX      8
#define MIB            1048576


typedef struct {
    perm_doctor_t       *doctor;
    perm_connection_t   *connection;
    char                *info;       /* INFO, or NULL when it is refused */
} perm_doctor_server_t;


static redisReply *ask(perm_doctor_server_t *server, const char *word, ...)
    __attribute__((sentinel));
static void check_reachable(perm_doctor_server_t *server);
static void read_info(perm_doctor_server_t *server);
static const char *info(const perm_doctor_server_t *server, const char *name);
static double info_number(const perm_doctor_server_t *server,
    const char *name);
static void check_version(perm_doctor_server_t *server);
static void check_role(perm_doctor_server_t *server);
static void check_memory(perm_doctor_server_t *server);
static void check_disk(perm_doctor_server_t *server);
static void check_clock(perm_doctor_server_t *server);
static void check_tracking(perm_doctor_server_t *server);
static int accepted(perm_doctor_server_t *server, redisReply *reply,
    const char *what);
static int64_t now_us(clockid_t clock);


void
perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node,
    int tracking)
{
    char                  error[PERM_ERROR_SIZE];
    perm_doctor_server_t  server;

    server.doctor = doctor;
    server.info = NULL;
    server.connection = perm_connection_open(&doctor->cli->servers.connection,
                                             &node->address, error);

    if (server.connection == NULL) {
        perm_doctor_report(doctor, PERM_ERROR, "reachable", "%s:%u: %s",
                           node->address.host, node->address.port,
                           perm_output_safe_text(error));
        return;
    }

    doctor->server = perm_connection_name(server.connection);

    check_reachable(&server);
    read_info(&server);
    check_version(&server);
    check_role(&server);
    check_memory(&server);
    check_disk(&server);
    check_clock(&server);

    if (tracking) {
        check_tracking(&server);
    }

    doctor->server = NULL;

    perm_connection_close(server.connection);
    free(server.info);
}


/* a command of these words, the last one NULL; a failed one ends the program */

static redisReply *
ask(perm_doctor_server_t *server, const char *word, ...)
{
    char         error[PERM_ERROR_SIZE];
    va_list      args;
    unsigned     argc;
    const char  *argv[WORDS_MAX];
    redisReply  *reply;

    va_start(args, word);

    for (argc = 0; word != NULL; word = va_arg(args, const char *)) {
        argv[argc++] = word;
    }

    va_end(args);

    reply = perm_connection_call(server->connection, error, argc, argv);

    if (reply == NULL) {
        perm_output_fatal(PERM_EXIT_REDIS, "%s: %s",
                          perm_connection_name(server->connection),
                          perm_output_safe_text(error));
    }

    return reply;
}


static void
check_reachable(perm_doctor_server_t *server)
{
    int           slow;
    int64_t       started, us;
    redisReply   *reply;

    started = now_us(CLOCK_MONOTONIC);
    reply = ask(server, "PING", NULL);
    us = now_us(CLOCK_MONOTONIC) - started;
    slow = us / 1000 >= SLOW_MS;

    if (reply->type == REDIS_REPLY_ERROR && !perm_doctor_lacks_right(reply)) {
        perm_doctor_report(server->doctor, PERM_ERROR, "reachable",
                           "PING fails: %s",
                           perm_output_safe_text(reply->str));

    } else {
        perm_doctor_report(server->doctor, slow ? PERM_WARNING : PERM_OK,
                           "reachable", "answers in %lld.%01d ms%s",
                           (long long) us / 1000, (int) (us / 100 % 10),
                           slow ? ": look at the network and at SLOWLOG GET"
                                : "");
    }

    freeReplyObject(reply);
}


static void
read_info(perm_doctor_server_t *server)
{
    redisReply  *reply;

    reply = ask(server, "INFO", NULL);

    if (reply->type == REDIS_REPLY_STRING) {
        server->info = reply->str;
        reply->str = NULL;

    } else {
        perm_doctor_report(server->doctor, PERM_WARNING, "info", "INFO is "
                           "refused: version and memory cannot be looked at; "
                           "give the user +info for that, which nginx itself "
                           "does not need");
    }

    freeReplyObject(reply);
}


/* the value of a line "name:value" of INFO, cut at 63 bytes, or NULL */

static const char *
info(const perm_doctor_server_t *server, const char *name)
{
    size_t       len;
    const char  *p;

    static char      values[4][64];
    static unsigned  turn;

    len = strlen(name);

    for (p = server->info; p != NULL; p = strchr(p, '\n')) {
        p += (*p == '\n');

        if (strncmp(p, name, len) == 0 && p[len] == ':') {
            p += len + 1;
            turn = (turn + 1) % 4;
            snprintf(values[turn], sizeof(values[turn]), "%.*s",
                     (int) strcspn(p, "\r\n"), p);
            return values[turn];
        }
    }

    return NULL;
}


/* the same as a number; -1: there is none */

static double
info_number(const perm_doctor_server_t *server, const char *name)
{
    const char  *text;

    text = info(server, name);

    return text ? strtod(text, NULL) : -1;
}


static void
check_version(perm_doctor_server_t *server)
{
    unsigned     major, minor;
    const char  *version, *name;

    if (server->info == NULL) {
        return;
    }

    name = "Valkey";
    version = info(server, "valkey_version");

    if (version == NULL) {
        name = "Redis";
        version = info(server, "redis_version");
    }

    if (version == NULL || sscanf(version, "%u.%u", &major, &minor) != 2) {
        perm_doctor_report(server->doctor, PERM_WARNING, "version",
                           "INFO names none: 6.2 or later is needed");

    } else if (major < 6 || (major == 6 && minor < 2)) {
        perm_doctor_report(server->doctor, PERM_ERROR, "version", "%s %s: 6.2 "
                           "or later is needed, for ZMSCORE and for tracking",
                           name, perm_output_safe_text(version));

    } else {
        perm_doctor_report(server->doctor, PERM_OK, "version", "%s %s", name,
                           perm_output_safe_text(version));
    }
}


static void
check_role(perm_doctor_server_t *server)
{
    const char  *role;
    redisReply  *reply;

    reply = ask(server, "ROLE", NULL);

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
        && reply->element[0]->type == REDIS_REPLY_STRING)
    {
        role = reply->element[0]->str;

    } else {
        role = info(server, "role");
    }

    if (role == NULL) {
        perm_doctor_report(server->doctor, PERM_WARNING, "role", "ROLE is "
                           "refused: that this is a master cannot be seen; "
                           "give the user +role");

    } else if (strcmp(role, "master") == 0) {
        perm_doctor_report(server->doctor, PERM_OK, "role", "master");

    } else {
        perm_doctor_report(server->doctor, PERM_ERROR, "role", "%s: give the "
                           "address of the master, or a redis+sentinel:// URL",
                           perm_output_safe_text(role));
    }

    freeReplyObject(reply);
}


static void
check_memory(perm_doctor_server_t *server)
{
    int          full;
    double       used, max, system;
    const char  *policy;

    policy = info(server, "maxmemory_policy");
    max = info_number(server, "maxmemory");
    used = info_number(server, "used_memory");
    system = info_number(server, "total_system_memory");

    if (policy == NULL || max < 0 || used < 0) {
        return;
    }

    if (strcmp(policy, "noeviction") == 0) {
        perm_doctor_report(server->doctor, PERM_OK, "eviction",
                           "noeviction: no grant is dropped");

    } else {
        perm_doctor_report(server->doctor, max > 0 ? PERM_ERROR : PERM_WARNING,
                           "eviction", "maxmemory-policy %s %s: set it to "
                           "noeviction", perm_output_safe_text(policy),
                           max > 0 ? "may drop grants when memory is full"
                                   : "would drop grants if maxmemory were "
                                     "set");
    }

    if (max > 0) {
        full = used >= 0.9 * max;
        perm_doctor_report(server->doctor, full ? PERM_WARNING : PERM_OK,
                           "memory", "%.0f of %.0f MiB of maxmemory in use%s",
                           used / MIB, max / MIB,
                           full ? ": raise maxmemory, or new grants and "
                                  "accesses will be refused" : "");

    } else if (system > 0) {
        full = used >= 0.7 * system;
        perm_doctor_report(server->doctor, full ? PERM_WARNING : PERM_OK,
                           "memory", "%.0f MiB in use, no maxmemory, %.0f MiB "
                           "in the machine%s", used / MIB, system / MIB,
                           full ? ": the system may end Redis" : "");
    }
}


static void
check_disk(perm_doctor_server_t *server)
{
    const char  *rdb, *aof;

    rdb = info(server, "rdb_last_bgsave_status");
    aof = info(server, "aof_last_write_status");

    if (rdb == NULL || aof == NULL) {
        return;
    }

    if (strcmp(rdb, "ok") == 0 && strcmp(aof, "ok") == 0) {
        perm_doctor_report(server->doctor, PERM_OK, "disk",
                           "the last save succeeded");
    } else {
        perm_doctor_report(server->doctor, PERM_ERROR, "disk", "Redis could "
                           "not save: look at its log and its disk");
    }
}


static void
check_clock(perm_doctor_server_t *server)
{
    double               difference;
    int64_t              now;
    redisReply          *reply;
    perm_doctor_level_t  level;

    now = now_us(CLOCK_REALTIME) / 1000000;
    reply = ask(server, "TIME", NULL);

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        perm_doctor_report(server->doctor, PERM_WARNING, "clock", "TIME is "
                           "refused: the clocks cannot be compared; give the "
                           "user +time for that, which nginx itself does not "
                           "need");
        freeReplyObject(reply);
        return;
    }

    difference = fabs(strtod(reply->element[0]->str, NULL) - (double) now);
    freeReplyObject(reply);

    level = (difference < CLOCK_WARNING) ? PERM_OK
            : (difference < CLOCK_ERROR) ? PERM_WARNING : PERM_ERROR;

    perm_doctor_report(server->doctor, level, "clock", "%.0f s apart from "
                       "this machine%s", difference,
                       level == PERM_OK ? "" : ": let both follow a time "
                       "server, grants end by the gateway's clock");
}


/* what a gateway does; the connection is of no use afterwards */

static void
check_tracking(perm_doctor_server_t *server)
{
    char  prefix[PERM_KEY_MAX];

    snprintf(prefix, sizeof(prefix), "%sgrants:",
             server->doctor->cli->table.prefix.data);

    if (accepted(server, ask(server, "CLIENT", "ID", NULL), "CLIENT ID")
        && accepted(server, ask(server, "CLIENT", "TRACKING", "ON", "BCAST",
                                "PREFIX", prefix, NULL), "CLIENT TRACKING")
        && accepted(server, ask(server, "SUBSCRIBE", "__redis__:invalidate",
                                NULL), "SUBSCRIBE __redis__:invalidate"))
    {
        perm_doctor_report(server->doctor, PERM_OK, "tracking",
                           "changes are told at once");
    }
}


static int
accepted(perm_doctor_server_t *server, redisReply *reply, const char *what)
{
    int  good;

    good = (reply->type != REDIS_REPLY_ERROR);

    if (!good) {
        perm_doctor_report(server->doctor, PERM_ERROR, "tracking", "%s fails, "
                           "revoked grants end only with "
                           "app_permission_cache_valid: %s", what,
                           perm_output_safe_text(reply->str));
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
