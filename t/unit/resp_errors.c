
/*
 * ROLE, what Sentinels say, and what errors of several versions mean.
 * sources: src/resp/advice.c src/resp/reply.c
 */


#include "resp.h"

#include "resp/advice.h"
#include "resp/reply.h"


#define REFUSED  9


static void
role(const char *what, const char *bytes, int expected)
{
    int          got;
    redisReply  *reply;
    perm_role_t  role;

    reply = replied(bytes);
    got = perm_reply_role(reply, &role) == 0 ? (int) role : REFUSED;

    ok(got == expected, "ROLE, %s", what);

    freeReplyObject(reply);
}


static void
test_role(void)
{
    role("master", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", PERM_ROLE_MASTER);
    role("master with a replica",
         "*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n"
         "$4\r\n9001\r\n$7\r\n3129242\r\n", PERM_ROLE_MASTER);
    role("replica", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n"
         "$9\r\nconnected\r\n:3167038\r\n", PERM_ROLE_REPLICA);
    role("replica by its new name",
         "*5\r\n$7\r\nreplica\r\n$9\r\n127.0.0.1\r\n:9000\r\n"
         "$9\r\nconnected\r\n:3167038\r\n", PERM_ROLE_REPLICA);
    role("Sentinel", "*2\r\n$8\r\nsentinel\r\n*1\r\n$4\r\nmine\r\n",
         PERM_ROLE_SENTINEL);
    role("something new", "*1\r\n$7\r\nprimary\r\n", PERM_ROLE_UNKNOWN);

    role("no right, 7", "-NOPERM User gateway has no permissions to run the "
         "'role' command\r\n", PERM_ROLE_UNKNOWN);
    role("no right, 6", "-NOPERM this user has no permissions to run the "
         "'role' command or its subcommand\r\n", PERM_ROLE_UNKNOWN);
    role("a proxy", "-ERR unknown command 'ROLE', with args beginning with: "
         "\r\n", PERM_ROLE_UNKNOWN);

    role("NOAUTH", "-NOAUTH Authentication required.\r\n", REFUSED);
    role("another error", "-ERR max number of clients reached\r\n", REFUSED);
    role("another type", "+OK\r\n", REFUSED);
    role("nil", "$-1\r\n", REFUSED);
    role("nothing", "*0\r\n", REFUSED);
    role("no name", "*1\r\n:1\r\n", REFUSED);
}


static void
sentinel(const char *what, const char *bytes, const char *error,
    const char *host, unsigned port)
{
    const char            *got;
    redisReply            *reply;
    perm_reply_address_t   master;

    reply = replied(bytes);
    got = perm_reply_sentinel(reply, "it knows none", &master);

    ok(error ? (got != NULL && strstr(got, error) != NULL)
             : (got == NULL && is(master.host, host) && master.port == port),
       "Sentinel, %s%s%s", what, got ? ": " : "", got ? got : "");

    freeReplyObject(reply);
}


static void
test_sentinel(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "*2\r\n$1\r\na\r\n$0\r\n\r\n", "*2\r\n$1\r\na\r\n$1\r\n0\r\n",
        "*2\r\n$1\r\na\r\n$5\r\n65536\r\n", "*2\r\n$1\r\na\r\n$5\r\n6379x\r\n",
        "*2\r\n$1\r\na\r\n$2\r\n-1\r\n", "*2\r\n$1\r\na\r\n:6379\r\n",
        "*2\r\n$0\r\n\r\n$4\r\n6379\r\n", "*2\r\n$1\r\n?\r\n$4\r\n6379\r\n",
        "*2\r\n$-1\r\n$4\r\n6379\r\n", "*2\r\n$3\r\na b\r\n$4\r\n6379\r\n",
        "*2\r\n$4\r\n\x1b[2J\r\n$4\r\n6379\r\n", "*2\r\n:1\r\n$4\r\n6379\r\n",
        "*2\r\n$20\r\n99999999999999999999\r\n$21\r\n999999999999999999999\r\n"
    };

    sentinel("6.2 to 8", "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", NULL,
             "127.0.0.1", 6379);
    sentinel("IPv6", "*2\r\n$3\r\n::1\r\n$4\r\n6379\r\n", NULL, "::1", 6379);
    sentinel("resolve-hostnames", "*2\r\n$10\r\na.internal\r\n$5\r\n65535\r\n",
             NULL, "a.internal", 65535);
    sentinel("an unknown name", "*-1\r\n", "it knows none", "", 0);
    sentinel("no right", "-NOPERM User watcher has no permissions to run the "
             "'sentinel|get-master-addr-by-name' command\r\n",
             "no right to SENTINEL", "", 0);
    sentinel("a server", "-ERR unknown command 'SENTINEL', with args beginning "
             "with: 'get-master-addr-by-name' 'mine' \r\n", "is it a Sentinel?",
             "", 0);
    sentinel("another type", "$1\r\na\r\n", "is it a Sentinel?", "", 0);
    sentinel("three", "*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n",
             "is it a Sentinel?", "", 0);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        sentinel("garbage", bad[i], "no valid address", "", 0);
    }
}


static void
advice(const char *error, perm_advice_action_t action, const char *gateway,
    const char *command)
{
    const perm_advice_t  *found;

    found = perm_advice_find(error);

    ok(found->action == action
       && (*gateway ? strstr(found->gateway, gateway) != NULL
                    : *found->gateway == '\0')
       && (*command ? strstr(found->command, command) != NULL
                    : *found->command == '\0'),
       "%s", error);
}


static void
test_advice(void)
{
    advice("NOAUTH Authentication required.", PERM_ADVICE_NONE,
           "app_permission_redis_password_file", "--password-file");
    advice("WRONGPASS invalid username-password pair or user is disabled.",
           PERM_ADVICE_NONE, "app_permission_redis_user", "the password");
    advice("NOPERM this user has no permissions to run the 'hmget' command or "
           "its subcommand", PERM_ADVICE_NONE, "ACL SETUSER", "ACL SETUSER");
    advice("NOPERM User gateway has no permissions to run the 'zadd' command",
           PERM_ADVICE_NONE, "ACL SETUSER", "ACL SETUSER");
    advice("ERR ACL failure in script: User app has no permissions to run the "
           "'hset' command script: f1b2, on @user_script:1.",
           PERM_ADVICE_NONE, "ACL SETUSER", "ACL SETUSER");
    advice("ERR The user executing the script can't run this command or "
           "subcommand script: f1b2, on @user_script:1.", PERM_ADVICE_NONE,
           "ACL SETUSER", "ACL SETUSER");
    advice("READONLY You can't write against a read only replica.",
           PERM_ADVICE_DISCOVER, "is a replica", "redis+sentinel://");
    advice("MASTERDOWN Link with MASTER is down and replica-serve-stale-data "
           "is set to 'no'.", PERM_ADVICE_DISCOVER, "without its master",
           "without its master");
    advice("LOADING Redis is loading the dataset in memory",
           PERM_ADVICE_DISCOVER, "ready soon", "try again later");
    advice("LOADING Valkey is loading the dataset in memory",
           PERM_ADVICE_DISCOVER, "ready soon", "try again later");
    advice("CLUSTERDOWN Hash slot not served", PERM_ADVICE_DISCOVER,
           "all slots", "all slots");
    advice("CLUSTERDOWN The cluster is down", PERM_ADVICE_DISCOVER,
           "all slots", "all slots");
    advice("TRYAGAIN Multiple keys request during rehashing of slot",
           PERM_ADVICE_AGAIN, "", "");
    advice("MOVED 3999 127.0.0.1:6381", PERM_ADVICE_NONE, "redis+cluster://",
           "redis+cluster://");
    advice("OOM command not allowed when used memory > 'maxmemory'.",
           PERM_ADVICE_NONE, "maxmemory", "maxmemory");
    advice("MISCONF Redis is configured to save RDB snapshots, but it's "
           "currently unable to persist to disk.", PERM_ADVICE_NONE, "disk",
           "disk");
    advice("NOREPLICAS Not enough good replicas to write.", PERM_ADVICE_NONE,
           "min-replicas-to-write", "min-replicas-to-write");
    advice("BUSY Redis is busy running a script. You can only call SCRIPT "
           "KILL or SHUTDOWN NOSAVE.", PERM_ADVICE_NONE, "script", "script");
    advice("WRONGTYPE Operation against a key holding the wrong kind of value",
           PERM_ADVICE_NONE, "hash of grants", "\"doctor\" names it");
    advice("ERR max number of clients reached", PERM_ADVICE_NONE,
           "maxclients", "maxclients");
    advice("ERR DB index is out of range", PERM_ADVICE_NONE,
           "database in \"app_permission_redis\"", "database in the URL");
    advice("ERR syntax error", PERM_ADVICE_NONE, "Redis 6.2", "");

    advice("BUSYGROUP Consumer Group name already exists", PERM_ADVICE_NONE,
           "", "");
    advice("ERR unknown command", PERM_ADVICE_NONE, "", "");
    advice("NOAUTHS", PERM_ADVICE_NONE, "", "");
    advice("NOAUTH", PERM_ADVICE_NONE, "password_file", "password-file");
    advice("", PERM_ADVICE_NONE, "", "");
}


static void
test_script(void)
{
    size_t  i;

    static const char *const  texts[][2] = {
        { "ERR Error running script (call to f_6b1b): @user_script:4: -OOM "
          "command not allowed when used memory > 'maxmemory'.",
          "OOM command not allowed when used memory > 'maxmemory'" },
        { "OOM command not allowed when used memory > 'maxmemory'. script: "
          "6b1b, on @user_script:4.",
          "OOM command not allowed when used memory > 'maxmemory'" },
        { "NOAUTH Authentication required.",
          "NOAUTH Authentication required" },
        { "ERR Error running script", "ERR Error running script" },
        { "ERR no script: here", "ERR no script: here" },
        { "...", "" },
        { "", "" }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ok(is(perm_advice_error(texts[i][0]), texts[i][1]), "%s", texts[i][0]);
    }
}


int
main(void)
{
    test_role();
    test_sentinel();
    test_advice();
    test_script();

    return done();
}
