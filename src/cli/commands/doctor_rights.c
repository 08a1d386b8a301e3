
#include "cli/commands/doctor_priv.h"

#include <ctype.h>
#include <string.h>

#include "resp/advice.h"


#define GATEWAY  PERM_DOCTOR_GATEWAY
#define RENEWAL  PERM_DOCTOR_RENEWAL
#define TABLE    PERM_DOCTOR_TABLE
#define SELF     PERM_DOCTOR_SELF
#define APPLY    PERM_DOCTOR_APPLY
#define ALL      PERM_DOCTOR_ALL

#define READ     1
#define WRITE    2

/*
 * No gateway has an empty name.  These keys belong to nobody, and the key
 * patterns of the user's rights must match them.
 */

#define GRANTS   "grants:{:doctor}"
#define ACCESS   "access:{:doctor}"
#define HISTORY  "history:{:doctor}"
#define NOTICES  "notices:{:doctor}"
#define REQUESTS "requests:{:doctor}"


#define SELF_APPLY  "app_permission_self apply"


/*
 * A command that does no harm: HSET has a word too much.  The format gets the
 * key, and then GRANTS.
 */

typedef struct {
    unsigned             users;
    int                  script;   /* the command is run by EVAL */
    const char          *command;
    const char          *need;
    const char          *key;
    const char          *format;
} perm_doctor_probe_t;


static int probe_right(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe);
static int has_selectors(const perm_doctor_t *doctor);
static void add_role(const perm_doctor_t *doctor, perm_doctor_words_t *role);
static void lower(const char *name, char command[16]);
static void pattern_of(const perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe, char pattern[PERM_KEY_MAX + 4]);
static unsigned rights_of(const perm_doctor_probe_t *probe);


/* the order matters: later probes remove the field that HSETNX writes */

static const perm_doctor_probe_t  probes[] = {
    { ALL, 0, "HMGET", "looking grants up", GRANTS, "HMGET %k - r" },
    { ALL, 0, "PTTL", "keeping to the time to live of keys", GRANTS,
      "PTTL %k" },
    { ALL, 0, "HGET", "seeing that the table is loaded", "meta",
      "HGET %k schema" },
    { GATEWAY, 0, "ZADD", "writing last accesses", ACCESS,
      "ZADD %k XX GT 0 r" },
    { TABLE, 0, "SCAN", "visiting the whole table", GRANTS,
      "SCAN 0 MATCH %b COUNT 1" },
    { TABLE, 0, "HSCAN", "visiting the whole table", GRANTS, "HSCAN %k 0" },
    { SELF, 0, "HSCAN", "app_permission_self", GRANTS, "HSCAN %k 0" },
    { SELF, 0, "HSCAN", "app_permission_self", REQUESTS, "HSCAN %k 0" },
    { SELF, 0, "ZSCAN", "app_permission_self", ACCESS, "ZSCAN %k 0" },
    { APPLY, 1, "HGET", SELF_APPLY, REQUESTS,
      "EVAL return(redis.call('HGET',KEYS[1],'r')) 1 %k" },
    { APPLY, 1, "TIME", SELF_APPLY, REQUESTS,
      "EVAL return(redis.call('TIME')) 1 %k" },
    { APPLY, 1, "HLEN", SELF_APPLY, REQUESTS,
      "EVAL return(redis.call('HLEN',KEYS[1])) 1 %k" },
    { APPLY, 1, "XADD", SELF_APPLY, HISTORY,
      "EVAL return(redis.call('XADD',KEYS[1],'NOMKSTREAM','*','a','b')) 1 "
      "%k" },
    { APPLY, 1, "HSET", SELF_APPLY, REQUESTS,
      "EVAL local\ne=redis.pcall('HSET',KEYS[1],'r','2','x')"
      "return(string.find(e.err,'rong.number')and\t1\tor\te) 1 %k" },
    { TABLE, 0, "HSCAN", "requests", REQUESTS, "HSCAN %k 0" },
    { TABLE, 0, "HMGET", "notices", NOTICES, "HMGET %k - r" },
    { TABLE, 0, "XRANGE", "history", HISTORY, "XRANGE %k - + COUNT 1" },
    { TABLE, 0, "ZSCAN", "access and purge", ACCESS, "ZSCAN %k 0" },
    { TABLE, 0, "ZSCORE", "reading last accesses", ACCESS, "ZSCORE %k r" },
    { TABLE, 0, "ZMSCORE", "reading last accesses", ACCESS, "ZMSCORE %k r" },
    { TABLE, 0, "ZREVRANGE", "reading last accesses", ACCESS,
      "ZREVRANGE %k 0 0 WITHSCORES" },
    { RENEWAL, 0, "HSETNX", "giving new grants", GRANTS, "HSETNX %k r 1" },
    { RENEWAL, 1, "HSET", "changing grants", GRANTS,
      "EVAL return(redis.call('HSET',KEYS[1],'r','2')) 1 %k" },
    { RENEWAL, 1, "HGET", "changing grants", GRANTS,
      "EVAL return(redis.call('HGET',KEYS[1],'r')) 1 %k" },
    { RENEWAL, 1, "HDEL", "purging grants", GRANTS,
      "EVAL return(redis.call('HDEL',KEYS[1],'r')) 1 %k" },
    { RENEWAL, 1, "HDEL", "notices of grants that change", NOTICES,
      "EVAL return(redis.call('HDEL',KEYS[1],'r')) 1 %k" },
    { RENEWAL, 1, "XADD", "history", HISTORY,
      "EVAL return(redis.call('XADD',KEYS[1],'NOMKSTREAM','*','a','b')) 1 "
      "%k" },
    { RENEWAL, 1, "TIME", "apply", REQUESTS,
      "EVAL return(redis.call('TIME')) 1 %k" },
    { RENEWAL, 1, "HLEN", "apply", REQUESTS,
      "EVAL return(redis.call('HLEN',KEYS[1])) 1 %k" },
    { RENEWAL, 1, "HDEL", "requests", REQUESTS,
      "EVAL return(redis.call('HDEL',KEYS[1],'r')) 1 %k" },
    { RENEWAL, 1, "XTRIM", "purging histories", HISTORY,
      "EVAL return(redis.call('XTRIM',KEYS[1],'MINID','0')) 1 %k" },
    { RENEWAL, 1, "DEL", "purging histories", HISTORY,
      "EVAL return(redis.call('DEL',KEYS[1])) 1 %k" },
    { RENEWAL, 1, "HEXISTS", "purging accesses", ACCESS,
      "EVAL return(redis.call('HEXISTS',KEYS[2],'r')) 2 %k %b" },
    { RENEWAL, 1, "ZREM", "purging accesses", ACCESS,
      "EVAL return(redis.call('ZREM',KEYS[1],'r')) 1 %k" },
    { RENEWAL, 0, "HDEL", "revoking grants", GRANTS, "HDEL %k r" },
    { 0, 0, NULL, NULL, NULL, NULL }
};


void
perm_doctor_rights(perm_doctor_t *doctor)
{
    int                  again;
    unsigned             i;
    perm_str_t           user;
    perm_doctor_words_t  all, reached, role;

    all.len = 0;
    all.text[0] = '\0';
    reached = all;
    role = all;

    for (i = 0; probes[i].command != NULL; i++) {

        if (!(probes[i].users & doctor->users)) {
            continue;
        }

        perm_doctor_word(&all, "%s", probes[i].key);

        if (probe_right(doctor, &probes[i])) {
            perm_doctor_word(&reached, "%s", probes[i].key);
        }
    }

    if (doctor->acl.len == 0 && doctor->keys.len == 0) {
        return;
    }

    /*
     * A key that no command has come to: whether its right is missing too
     * cannot be seen, and adding one to "~*" is an error, which a selector is
     * not.  Nothing that the user has is taken away.
     */

    again = 0;

    if (reached.len < all.len || doctor->hidden) {
        if (has_selectors(doctor)) {
            add_role(doctor, &role);
        } else {
            again = 1;
        }
    }

    user = doctor->cli->servers.connection.user;

    perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "this gives what "
                       "is missing: ACL SETUSER %s %s%s%s%s",
                       user.len ? perm_output_safe(user) : "default",
                       role.len ? role.text : doctor->keys.text,
                       role.len == 0 && doctor->keys.len && doctor->acl.len
                       ? " " : "", role.len ? "" : doctor->acl.text,
                       again ? "; then run doctor again: whether the rights to "
                       "keys and channels are missing too cannot be seen "
                       "before" : "");
}


/* 7.0 and later: it knows EVAL_RO, whether this user may use it or not */

static int
has_selectors(const perm_doctor_t *doctor)
{
    redisReply  *reply;

    static int  known = -1;

    if (known != -1) {
        return known;
    }

    reply = perm_client_call(doctor->cli->table.client, PERM_ERRORS_TOO,
                             "EVAL_RO");
    known = (reply->type != REDIS_REPLY_ERROR
             || strstr(reply->str, "unknown command") == NULL);
    freeReplyObject(reply);

    return known;
}


/* "(PATTERNS COMMANDS)": all that the users need */

static void
add_role(const perm_doctor_t *doctor, perm_doctor_words_t *role)
{
    char      command[16], pattern[PERM_KEY_MAX + 4];
    unsigned  i;

    role->len = (size_t) sprintf(role->text, "(+ping +time +role +select");

    if (doctor->users & TABLE) {
        perm_doctor_word(role, "+info");
    }

    if (doctor->cli->servers.url->kind == PERM_REDIS_CLUSTER) {
        perm_doctor_word(role, "+cluster|slots");
        perm_doctor_word(role, "+asking");
    }

    if (doctor->users & GATEWAY) {
        perm_doctor_word(role, "+client|id");
        perm_doctor_word(role, "+client|tracking");
        perm_doctor_word(role, "+subscribe");
        perm_doctor_word(role, "%s", PERM_DOCTOR_CHANNEL);
    }

    for (i = 0; probes[i].command != NULL; i++) {
        if (probes[i].users & doctor->users) {
            pattern_of(doctor, &probes[i], pattern);
            lower(probes[i].command, command);
            perm_doctor_word(role, "%s", pattern);
            perm_doctor_word(role, "+%s", command);

            if (probes[i].script) {
                perm_doctor_word(role, "+eval");
            }
        }
    }

    if (role->len + 1 < sizeof(role->text)) {
        strcpy(role->text + role->len++, ")");
    }
}


static void
lower(const char *name, char command[16])
{
    size_t  i;

    for (i = 0; i < 15 && name[i] != '\0'; i++) {
        command[i] = (char) tolower((unsigned char) name[i]);
    }

    command[i] = '\0';
}


/*
 * %R~app_permission:grants:*, or with %W~, or ~ for both: what all commands of
 * the users do with that key.  Redis 6.2 knows "~" only.
 */

static void
pattern_of(const perm_doctor_t *doctor, const perm_doctor_probe_t *probe,
    char pattern[PERM_KEY_MAX + 4])
{
    unsigned  i, rights;

    static const char *const  signs[] = { "~", "%R~", "%W~", "~" };

    rights = 0;

    for (i = 0; has_selectors(doctor) && probes[i].command != NULL; i++) {
        if ((probes[i].users & doctor->users)
            && strcmp(probes[i].key, probe->key) == 0)
        {
            rights |= rights_of(&probes[i]);
        }
    }

    snprintf(pattern, PERM_KEY_MAX + 4, "%s%s%.*s%s", signs[rights],
             doctor->cli->table.prefix.data, (int) strcspn(probe->key, "{"),
             probe->key, strchr(probe->key, '{') ? "*" : "");
}


/* of the keys of EVAL Redis wants both */

static unsigned
rights_of(const perm_doctor_probe_t *probe)
{
    return probe->script ? READ | WRITE
           : (strcmp(probe->command, "ZADD") == 0
              || strcmp(probe->command, "HSETNX") == 0
              || strcmp(probe->command, "HDEL") == 0) ? WRITE : READ;
}


/*
 * Tries a command that one of the users needs, where it does no harm.  Returns
 * 1 when it has come as far as the key.
 */

static int
probe_right(perm_doctor_t *doctor, const perm_doctor_probe_t *probe)
{
    char           key[PERM_KEY_MAX], grants[PERM_KEY_MAX];
    char           command[16], name[32], pattern[PERM_KEY_MAX + 4];
    const char    *advice, *missing;
    redisReply    *reply;
    perm_table_t  *table;

    table = &doctor->cli->table;
    sprintf(grants, "%s" GRANTS, table->prefix.data);
    sprintf(key, "%s%s", table->prefix.data, probe->key);
    snprintf(name, sizeof(name), "%s%s", probe->command,
             probe->script ? " by EVAL" : "");

    lower(probe->command, command);

    reply = perm_client_call(table->client, PERM_ERRORS_TOO, probe->format,
                             perm_str(key), perm_str(grants));
    pattern[0] = '\0';

    if (reply->type == REDIS_REPLY_ERROR) {
        pattern_of(doctor, probe, pattern);
    }

    missing = perm_doctor_missing(doctor, reply, command,
                                  probe->script ? "eval" : NULL, pattern);

    if (missing != NULL) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "%s on \"%s\" "
                           "is refused, needed for %s: %s is missing", name,
                           strchr(pattern, '~') + 1, probe->need, missing);

    } else if (reply->type == REDIS_REPLY_ERROR) {
        advice = perm_advice_find(reply->str)->command;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights",
                           "%s fails, needed for %s: %s%s%s", name,
                           probe->need, perm_output_safe_text(reply->str),
                           *advice ? "; " : "", advice);

    } else {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "rights", "%s, for %s",
                           name, probe->need);
    }

    if (strcmp(probe->command, "SCAN") == 0) {
        doctor->cannot_scan = (reply->type == REDIS_REPLY_ERROR);
    }

    freeReplyObject(reply);

    return missing == NULL || strstr(missing, "key") != NULL;
}
