
#include "resp/advice.h"

#include <string.h>

#include "resp/reply.h"


static const perm_advice_t  perm_advice_table[] = {
    { "NOPERM", PERM_ADVICE_NONE,
      "run \"app-permission doctor --for gateway\" as its user (--for self or "
      "self-apply with app_permission_self): it prints the ACL SETUSER line "
      "that gives the right",
      "\"doctor\" prints the ACL SETUSER line that gives this user the right" },

    { "NOAUTH", PERM_ADVICE_NONE,
      "set a password in \"app_permission_redis\" or "
      "\"app_permission_redis_password_file\"",
      "give a password in the URL or with --password-file" },

    { "WRONGPASS", PERM_ADVICE_NONE,
      "check user and password in \"app_permission_redis\", "
      "\"app_permission_redis_user\" and "
      "\"app_permission_redis_password_file\", and reload",
      "check the user and the password" },

    { "READONLY", PERM_ADVICE_DISCOVER,
      "this server is a replica: name its master in \"app_permission_redis\"",
      "this is a replica: give the address of the master, or a "
      "redis+sentinel:// URL" },

    { "MASTERDOWN", PERM_ADVICE_DISCOVER,
      "it is a replica without its master; app_permission_redis should name "
      "the master",
      "this is a replica without its master: give the address of the master" },

    { "LOADING", PERM_ADVICE_DISCOVER,
      "it will be ready soon",
      "Redis is still loading its data: try again later" },

    { "CLUSTERDOWN", PERM_ADVICE_DISCOVER,
      "the cluster does not serve all slots",
      "the cluster does not serve all slots: see CLUSTER INFO" },

    { "TRYAGAIN", PERM_ADVICE_AGAIN, "", "" },

    { "MOVED", PERM_ADVICE_NONE,
      "this is a cluster: the URL in \"app_permission_redis\" should begin "
      "with \"redis+cluster://\"",
      "this is a cluster: use a redis+cluster:// URL" },

    { "OOM", PERM_ADVICE_NONE,
      "raise \"maxmemory\" of Redis",
      "Redis is out of memory: raise maxmemory" },

    { "MISCONF", PERM_ADVICE_NONE,
      "Redis cannot save to its disk, see its log",
      "Redis cannot save to its disk and refuses writes: see its log" },

    { "NOREPLICAS", PERM_ADVICE_NONE,
      "Redis misses its replicas, see \"min-replicas-to-write\"",
      "Redis misses its replicas, see min-replicas-to-write" },

    { "BUSY", PERM_ADVICE_NONE,
      "a script blocks Redis",
      "a script blocks Redis, try SCRIPT KILL" },

    { "WRONGTYPE", PERM_ADVICE_NONE,
      "the key is not a hash of grants; check app_permission_redis_prefix and "
      "who writes there",
      "a key is of another type than the table's: \"doctor\" names it" },

    { "ERR DB index", PERM_ADVICE_NONE,
      "check the database in \"app_permission_redis\"",
      "check the database in the URL" },

    { "ERR max number of clients", PERM_ADVICE_NONE,
      "raise \"maxclients\" of Redis",
      "raise maxclients of Redis" },

    { "ERR syntax", PERM_ADVICE_NONE,
      "ZADD with GT needs Redis 6.2 or later",
      "" },

    { "", PERM_ADVICE_NONE, "", "" }
};


const perm_advice_t *
perm_advice_find(const char *error)
{
    const perm_advice_t  *advice;

    /* a script lacks a right: the words of Redis 7.0, and from 7.2 on */

    if (strstr(error, "user executing the script") != NULL
        || strstr(error, "ACL failure in script") != NULL)
    {
        error = "NOPERM";
    }

    advice = perm_advice_table;

    while (*advice->code && !perm_reply_code(error, advice->code)) {
        advice++;
    }

    return advice;
}


perm_str_t
perm_advice_error(const char *error)
{
    const char  *p;
    perm_str_t   text;

    if (strncmp(error, "ERR Error running script", 24) == 0) {
        p = strstr(error, ": -");
        error = p ? p + 3 : error;
    }

    text = perm_str(error);
    p = strstr(error, " script: ");

    if (p != NULL && strstr(p, "@user_script") != NULL) {
        text.len = (size_t) (p - error);
    }

    while (text.len && text.data[text.len - 1] == '.') {
        text.len--;
    }

    return text;
}
