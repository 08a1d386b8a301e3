
#include "cli/commands/doctor_priv.h"

#include <string.h>

#include "resp/advice.h"
#include "resp/reply.h"


static int has_code(const char *error, const char *const *codes);
static int about_keys(const redisReply *reply);


int
perm_doctor_reply_general(perm_doctor_t *doctor, const redisReply *reply)
{
    int          all;
    perm_str_t   error;
    const char  *advice;

    static const char *const  of_all[] = {
        "LOADING", "MASTERDOWN", "NOAUTH", "CLUSTERDOWN", "BUSY", "MOVED", NULL
    };

    static const char *const  of_writes[] = {
        "READONLY", "OOM", "MISCONF", "NOREPLICAS", NULL
    };

    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    error = perm_advice_error(reply->str);
    all = has_code(error.data, of_all);

    if (!all && !has_code(error.data, of_writes)) {
        return 0;
    }

    advice = perm_advice_find(error.data)->command;

    if (all) {
        doctor->stop = 1;
        doctor->down = 1;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "reachable", "%.*s: %s; "
                           "the rest was not looked at",
                           (int) strcspn(error.data, " "), error.data, advice);

    } else if (!doctor->no_writes) {
        doctor->no_writes = 1;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "writing", "%.*s: %s",
                           (int) strcspn(error.data, " "), error.data, advice);
    }

    return 1;
}


static int
has_code(const char *error, const char *const *codes)
{
    while (*codes != NULL && !perm_reply_code(error, *codes)) {
        codes++;
    }

    return *codes != NULL;
}


static int
about_keys(const redisReply *reply)
{
    return strstr(reply->str, " a key") != NULL
           || strstr(reply->str, "the keys") != NULL;
}


int
perm_doctor_reply_command_missing(const redisReply *reply)
{
    return perm_reply_error(reply, "NOPERM") && !about_keys(reply);
}


int
perm_doctor_reply_missing(perm_doctor_t *doctor, const redisReply *reply,
    const char *command, const char *outer, const char *pattern)
{
    int          script;
    const char  *name;

    /* in a script: the words of Redis 7.0, and from 7.2 on */

    script = reply->type == REDIS_REPLY_ERROR
             && (strstr(reply->str, "ACL failure") != NULL
                 || strstr(reply->str, "user executing the script") != NULL);

    if (!script && !perm_reply_error(reply, "NOPERM")) {
        return 0;
    }

    /* what a server says may not fit the command */

    name = pattern + strcspn(pattern, "~&") + 1;

    if (strstr(reply->str, "channel") != NULL) {
        perm_doctor_word(&doctor->acl, "%s", pattern);
        perm_doctor_word(&doctor->lacks[PERM_LACKS_CHANNEL], "%s", name);
        return 2;
    }

    if (about_keys(reply)) {
        perm_doctor_word(&doctor->keys, "%s", pattern);
        perm_doctor_word(&doctor->lacks[PERM_LACKS_KEY], "%s", name);
        return 2;
    }

    /* what the script would run cannot be seen then */

    if (outer != NULL && !script) {
        command = outer;
    }

    perm_doctor_word(&doctor->lacks[PERM_LACKS_COMMAND], "%s", command);
    perm_doctor_word(&doctor->acl, "+%s", command);

    return 1;
}
