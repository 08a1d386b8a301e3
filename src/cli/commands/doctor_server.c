
#include "cli/commands/doctor_server.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands/doctor_rights.h"


#define SLOW_MS        50
#define CLOCK_WARNING  2       /* seconds */
#define CLOCK_ERROR    30


typedef struct {
    perm_cli_t            *cli;
    perm_doctor_report_t  *report;
    perm_connection_t     *link;  /* its own, to one server after the other */
    char                  *info;      /* INFO of that server, or NULL */
} perm_server_t;


/* 0 when the link is broken: nothing more can be asked there */

static redisReply *
ask(perm_server_t *server, unsigned argc, const char **argv)
{
    char         error[PERM_ERROR_SIZE];
    redisReply  *reply;

    reply = perm_connection_call(server->link, error, argc, argv);

    if (reply == NULL) {
        perm_fatal(PERM_EXIT_REDIS, "%s: %s",
                   perm_connection_name(server->link),
                   perm_escape_text(error));
    }

    return reply;
}


static redisReply *
ask_words(perm_server_t *server, const char *a, const char *b)
{
    const char  *argv[2];

    argv[0] = a;
    argv[1] = b;

    return ask(server, b ? 2 : 1, argv);
}


/* the value of a line "name:value" of INFO, cut at 63 bytes, or NULL */

static const char *
info(const perm_server_t *server, const char *name)
{
    size_t       len;
    const char  *p;

    static char      values[4][64];
    static unsigned  turn;

    len = strlen(name);
    turn = (turn + 1) % 4;

    for (p = server->info; p != NULL && *p != '\0'; /* void */ ) {

        if (strncmp(p, name, len) == 0 && p[len] == ':') {
            p += len + 1;
            snprintf(values[turn], sizeof(values[turn]), "%.*s",
                     (int) strcspn(p, "\r\n"), p);
            return values[turn];
        }

        p = strchr(p, '\n');
        p = p ? p + 1 : NULL;
    }

    return NULL;
}


static int64_t
now_us(clockid_t clock)
{
    struct timespec  ts;

    clock_gettime(clock, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
check_reachable(perm_server_t *server)
{
    int64_t       started, us;
    redisReply   *reply;
    perm_level_t  level;

    started = now_us(CLOCK_MONOTONIC);
    reply = ask_words(server, "PING", NULL);
    us = now_us(CLOCK_MONOTONIC) - started;

    if (reply->type == REDIS_REPLY_ERROR
        && !perm_doctor_rights_lacking(reply))
    {
        perm_doctor_report(server->report, PERM_ERROR, "reachable",
                           "PING fails: %s", perm_escape_text(reply->str));

    } else {
        level = (us / 1000 < SLOW_MS) ? PERM_OK : PERM_WARNING;
        perm_doctor_report(server->report, level, "reachable", "answers in %lld.%01d "
                           "ms%s", (long long) us / 1000, (int) (us / 100 % 10),
                           level == PERM_OK ? "" : ": look at the network and at "
                           "SLOWLOG GET");
    }

    freeReplyObject(reply);
}


static void
read_info(perm_server_t *server)
{
    redisReply  *reply;

    free(server->info);
    server->info = NULL;

    reply = ask_words(server, "INFO", NULL);

    if (reply->type == REDIS_REPLY_STRING) {
        server->info = perm_alloc(reply->len + 1);
        memcpy(server->info, reply->str, reply->len);
        server->info[reply->len] = '\0';

    } else {
        perm_doctor_report(server->report, PERM_WARNING, "info", "INFO is refused: "
                           "version and memory cannot be looked at; give the user "
                           "+info for that, which nginx itself does not need");
    }

    freeReplyObject(reply);
}


static void
check_version(perm_server_t *server)
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
        perm_doctor_report(server->report, PERM_WARNING, "version",
                           "INFO names " "none: 6.2 or later is needed");
        return;
    }

    if (major < 6 || (major == 6 && minor < 2)) {
        perm_doctor_report(server->report, PERM_ERROR, "version", "%s %s: 6.2 or "
                           "later is needed, for ZMSCORE and for tracking", name,
                           perm_escape_text(version));
        return;
    }

    perm_doctor_report(server->report, PERM_OK, "version", "%s %s", name,
                       perm_escape_text(version));
}


static void
check_role(perm_server_t *server)
{
    const char  *role;
    redisReply  *reply;

    reply = ask_words(server, "ROLE", NULL);
    role = NULL;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
        && reply->element[0]->type == REDIS_REPLY_STRING)
    {
        role = reply->element[0]->str;

    } else {
        role = info(server, "role");
    }

    if (role == NULL) {
        perm_doctor_report(server->report, PERM_WARNING, "role", "ROLE is refused: "
                           "that this is a master cannot be seen; give the user "
                           "+role");

    } else if (strcmp(role, "master") == 0) {
        perm_doctor_report(server->report, PERM_OK, "role", "master");

    } else {
        perm_doctor_report(server->report, PERM_ERROR, "role", "%s: give the "
                           "address of the master, or a redis+sentinel:// URL",
                           perm_escape_text(role));
    }

    freeReplyObject(reply);
}


static void
check_memory(perm_server_t *server)
{
    double       used, max;
    const char  *policy, *used_text, *max_text;

    policy = info(server, "maxmemory_policy");
    max_text = info(server, "maxmemory");
    used_text = info(server, "used_memory");

    if (policy == NULL || max_text == NULL || used_text == NULL) {
        return;
    }

    max = strtod(max_text, NULL);
    used = strtod(used_text, NULL);

    if (strcmp(policy, "noeviction") == 0) {
        perm_doctor_report(server->report, PERM_OK, "eviction",
                           "noeviction: no " "grant is dropped");

    } else {
        perm_doctor_report(server->report, max > 0 ? PERM_ERROR : PERM_WARNING,
                           "eviction", "maxmemory-policy %s %s: set it to noeviction",
                           perm_escape_text(policy),
                           max > 0 ? "may drop grants when memory is full"
                            : "would drop grants if maxmemory were set");
    }

    if (max > 0) {
        perm_doctor_report(server->report, used < 0.9 * max ? PERM_OK : PERM_WARNING,
                           "memory", "%.0f of %.0f MiB of maxmemory in use%s",
                           used / 1048576, max / 1048576,
                           used < 0.9 * max ? "" : ": raise maxmemory, or new grants "
                           "and accesses will be refused");
        return;
    }

    max_text = info(server, "total_system_memory");
    max = max_text ? strtod(max_text, NULL) : 0;

    if (max > 0) {
        perm_doctor_report(server->report, used < 0.7 * max ? PERM_OK : PERM_WARNING,
                           "memory", "%.0f MiB in use, no maxmemory, %.0f MiB in the "
                           "machine%s", used / 1048576, max / 1048576,
                           used < 0.7 * max ? "" : ": the system may end Redis");
    }
}


static void
check_disk(perm_server_t *server)
{
    const char  *rdb, *aof;

    rdb = info(server, "rdb_last_bgsave_status");
    aof = info(server, "aof_last_write_status");

    if (rdb == NULL || aof == NULL) {
        return;
    }

    if (strcmp(rdb, "ok") != 0 || strcmp(aof, "ok") != 0) {
        perm_doctor_report(server->report, PERM_ERROR, "disk", "Redis could not "
                           "save: look at its log and its disk");
        return;
    }

    perm_doctor_report(server->report, PERM_OK, "disk",
                       "the last save succeeded");
}


static void
check_clock(perm_server_t *server)
{
    int64_t       difference, started;
    redisReply   *reply;
    perm_level_t  level;

    started = now_us(CLOCK_REALTIME);
    reply = ask_words(server, "TIME", NULL);

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        perm_doctor_report(server->report, PERM_WARNING, "clock", "TIME is refused: "
                           "the clocks cannot be compared; give the user +time "
                           "for that, which nginx itself does not need");
        freeReplyObject(reply);
        return;
    }

    difference = strtoll(reply->element[0]->str, NULL, 10)
                 - started / 1000000;
    freeReplyObject(reply);

    if (difference < 0) {
        difference = -difference;
    }

    level = (difference < CLOCK_WARNING) ? PERM_OK
            : (difference < CLOCK_ERROR) ? PERM_WARNING : PERM_ERROR;

    perm_doctor_report(server->report, level, "clock", "%lld s apart from this "
                       "machine%s", (long long) difference,
                       level == PERM_OK ? "" : ": let both follow a time server, "
                       "grants end by the gateway's clock");
}


static int
accepted(perm_server_t *server, unsigned argc, const char **argv,
    const char *what)
{
    int          good;
    redisReply  *reply;

    reply = ask(server, argc, argv);
    good = (reply->type != REDIS_REPLY_ERROR);

    if (!good) {
        perm_doctor_report(server->report, PERM_ERROR, "tracking", "%s fails, "
                           "revoked grants end only with app_permission_cache_valid: "
                           "%s", what, perm_escape_text(reply->str));
    }

    freeReplyObject(reply);

    return good;
}


/* what a gateway does; the link is of no use afterwards */

static void
check_tracking(perm_server_t *server)
{
    char         prefix[PERM_KEY_MAX];
    const char  *argv[6];

    snprintf(prefix, sizeof(prefix), "%sgrants:", server->cli->prefix.data);

    argv[0] = "CLIENT";
    argv[1] = "ID";

    if (!accepted(server, 2, argv, "CLIENT ID")) {
        return;
    }

    argv[1] = "TRACKING";
    argv[2] = "ON";
    argv[3] = "BCAST";
    argv[4] = "PREFIX";
    argv[5] = prefix;

    if (!accepted(server, 6, argv, "CLIENT TRACKING")) {
        return;
    }

    argv[0] = "SUBSCRIBE";
    argv[1] = "__redis__:invalidate";

    if (accepted(server, 2, argv, "SUBSCRIBE __redis__:invalidate")) {
        perm_doctor_report(server->report, PERM_OK, "tracking",
                           "changes are told " "at once");
    }
}


void
perm_doctor_server_check(perm_cli_t *cli, perm_doctor_report_t *report,
    const perm_node_t *node)
{
    char           error[PERM_ERROR_SIZE];
    perm_server_t  server;

    server.cli = cli;
    server.report = report;
    server.info = NULL;
    server.link = perm_connection_open(&cli->nodes.connection, &node->address,
                                       error);

    if (server.link == NULL) {
        perm_doctor_report(report, PERM_ERROR, "reachable", "%s:%u: %s",
                           node->address.host, node->address.port,
                           perm_escape_text(error));
        return;
    }

    report->server = perm_connection_name(server.link);

    check_reachable(&server);
    read_info(&server);
    check_version(&server);
    check_role(&server);
    check_memory(&server);
    check_disk(&server);
    check_clock(&server);

    if (cli->args.role == PERM_ROLE_ALL
        || cli->args.role == PERM_ROLE_GATEWAY)
    {
        check_tracking(&server);
    }

    report->server = NULL;

    perm_connection_close(server.link);
    free(server.info);
}
