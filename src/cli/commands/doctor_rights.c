
#include "cli/commands/doctor_priv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"
#include "resp/advice.h"
#include "resp/reply.h"


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
#define CLUSTER_ONLY  "slots of the cluster that move"


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


static void look_at_user(perm_doctor_t *doctor);
static void report_info(perm_doctor_t *doctor);
static void report_missing(perm_doctor_t *doctor, const unsigned char *refused,
    int unseen);
static void write_remedy(const perm_doctor_t *doctor, int unseen, FILE *file);
static const char *user_name(const perm_doctor_t *doctor);
static const char *several(const perm_doctor_t *doctor);
static int needed(const perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe);
static void list_missing(const perm_doctor_t *doctor, FILE *file);
static void list_needs(const perm_doctor_t *doctor,
    const unsigned char *refused, FILE *file);
static int only_reads(const perm_doctor_t *doctor,
    const unsigned char *refused);
static int probe_right(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe);
static void report_error(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe, const char *name, const char *error);
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
    { ALL, 0, "ASKING", CLUSTER_ONLY, GRANTS, "ASKING" },
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
    { RENEWAL, 0, "HDEL", "revoking grants", GRANTS, "HDEL %k r" }
};

#define PROBES  (sizeof(probes) / sizeof(probes[0]))


void
perm_doctor_rights_give(perm_doctor_t *doctor, const char *rule)
{
    snprintf(doctor->give, sizeof(doctor->give), "in redis-cli%s: ACL SETUSER "
             "%s %s", several(doctor), user_name(doctor), rule);
    doctor->remedy = doctor->give;
}


int
perm_doctor_rights_connect(perm_doctor_t *doctor, const char *error)
{
    unsigned  i;

    /* as Redis names them, 6.2 without the subcommand; and their rules */

    static const char *const  commands[][2] = {
        { "'cluster", "+cluster|slots" }, { "'role'", "+role" },
        { "'select'", "+select" }, { NULL, NULL }
    };

    if (strstr(error, "NOPERM") == NULL || strstr(error, "Redis at ") == NULL)
    {
        return 0;
    }

    for (i = 0; commands[i][0] != NULL; i++) {

        if (strstr(error, commands[i][0]) == NULL) {
            continue;
        }

        perm_doctor_rights_give(doctor, commands[i][1]);
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "user \"%s\" "
                           "lacks the command %s, needed for connecting; the "
                           "rest was not looked at", user_name(doctor),
                           commands[i][1] + 1);
        return 1;
    }

    return 0;
}


void
perm_doctor_rights(perm_doctor_t *doctor)
{
    unsigned             i;
    unsigned char        refused[PROBES];
    perm_doctor_words_t  all, reached;

    if (doctor->users & PERM_DOCTOR_COMMANDS) {
        look_at_user(doctor);
    }

    report_info(doctor);
    memset(refused, 0, sizeof(refused));
    memset(&all, 0, sizeof(perm_doctor_words_t));
    reached = all;

    for (i = 0; i < PROBES && !doctor->stop; i++) {

        if (!needed(doctor, &probes[i])) {
            continue;
        }

        perm_doctor_word(&all, "%s", probes[i].key);
        refused[i] = probe_right(doctor, &probes[i]);

        if (refused[i] != 1 && strstr(probes[i].format, "%k")) {
            perm_doctor_word(&reached, "%s", probes[i].key);
        }
    }

    if (doctor->stop) {
        return;
    }

    if (doctor->acl.len || doctor->keys.len) {
        report_missing(doctor, refused, reached.len < all.len);

    } else if (doctor->supposed) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "user \"%s\" "
                           "has enough rights for a gateway, not for the "
                           "command line: ask with --for gateway",
                           user_name(doctor));
    }
}


static int
needed(const perm_doctor_t *doctor, const perm_doctor_probe_t *probe)
{
    return (probe->users & doctor->users)
           && (strcmp(probe->need, CLUSTER_ONLY) != 0
               || doctor->cli->servers.url->kind == PERM_REDIS_CLUSTER);
}


/*
 * Without a role.  A user who may write accesses and remove no grant is a
 * gateway's: no rights of the command line are looked for, and advised.
 */

static void
look_at_user(perm_doctor_t *doctor)
{
    char                 key[PERM_KEY_MAX];
    redisReply          *revoke, *record;
    perm_table_t        *table;

    table = &doctor->cli->table;
    sprintf(key, "%s" GRANTS, table->prefix.data);
    revoke = perm_client_call(table->client, PERM_ERRORS_TOO, "HDEL %k r",
                              perm_str(key));
    sprintf(key, "%s" ACCESS, table->prefix.data);
    record = perm_client_call(table->client, PERM_ERRORS_TOO,
                              "ZADD %k XX GT 0 r", perm_str(key));

    if (perm_doctor_reply_command_missing(revoke)
        && !perm_doctor_reply_command_missing(record))
    {
        doctor->users = GATEWAY;
        doctor->supposed = 1;

    } else {
        memset(&doctor->acl, 0, sizeof(perm_doctor_words_t));
        memset(doctor->lacks, 0, sizeof(doctor->lacks));
        doctor->untracked = 0;
        doctor->hidden = 0;
    }

    freeReplyObject(revoke);
    freeReplyObject(record);
}


static void
report_info(perm_doctor_t *doctor)
{
    unsigned  i;

    static const char *const  checks[] = {
        "version", "eviction", "memory", "disk"
    };

    for (i = 0; doctor->no_info && i < sizeof(checks) / sizeof(checks[0]); i++)
    {
        perm_doctor_report(doctor, PERM_DOCTOR_SKIPPED, checks[i], "INFO is "
                           "refused%s", (doctor->users & TABLE) ? "" : ", "
                           "which a gateway does not need: ask as the user "
                           "of the command line");
    }

    if (doctor->no_info && (doctor->users & TABLE)) {
        perm_doctor_rights_give(doctor, "+info");
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "info", "INFO is "
                           "refused: version, eviction, memory and disk were "
                           "not looked at");
    }
}


/* one error, and the line that mends it */

static void
report_missing(perm_doctor_t *doctor, const unsigned char *refused,
    int unseen)
{
    char                *lacks, *remedy;
    size_t               len;
    FILE                *file;

    lacks = NULL;
    file = perm_alloc_check(open_memstream(&lacks, &len));
    list_missing(doctor, file);
    list_needs(doctor, refused, file);
    perm_alloc_close(file, &lacks);

    remedy = NULL;
    file = perm_alloc_check(open_memstream(&remedy, &len));
    write_remedy(doctor, unseen || doctor->hidden, file);
    perm_alloc_close(file, &remedy);

    doctor->remedy = remedy;
    perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "user \"%s\" %s"
                       "lacks %s%s", user_name(doctor), doctor->supposed
                       ? "looks like that of a gateway (--for gateway), and "
                       : "", lacks, only_reads(doctor, refused)
                       ? "; an auditor needs no more: ask with --for auditor"
                       : "");
    free(lacks);
    free(remedy);
}


/*
 * unseen: a key or the channel that no command has come to.  Whether its right
 * is missing too cannot be seen, and adding one to "~*" is an error, which a
 * selector is not.  Nothing that the user has is taken away.
 */

static void
write_remedy(const perm_doctor_t *doctor, int unseen, FILE *file)
{
    perm_doctor_words_t  role;

    fprintf(file, "in redis-cli%s: ACL SETUSER %s ", several(doctor),
            user_name(doctor));

    if (unseen && has_selectors(doctor)) {
        memset(&role, 0, sizeof(perm_doctor_words_t));
        add_role(doctor, &role);
        fputs(role.text, file);
        return;
    }

    fprintf(file, "%s%s%s", doctor->keys.text,
            doctor->keys.len && doctor->acl.len ? " " : "", doctor->acl.text);

    if (unseen) {
        fputs("; then run doctor again: whether the rights to keys and "
              "channels are missing too cannot be seen before", file);
    }
}


static const char *
user_name(const perm_doctor_t *doctor)
{
    perm_str_t  user;

    user = doctor->cli->servers.connection.user;

    return user.len ? perm_output_safe(user) : "default";
}


/* no server gets the users of another one */

static const char *
several(const perm_doctor_t *doctor)
{
    perm_redis_kind_t  kind;

    kind = doctor->cli->servers.url->kind;

    return (kind == PERM_REDIS_CLUSTER || kind == PERM_REDIS_SENTINEL)
           ? ", on each server, replicas too" : "";
}


/* "the commands HSET, HDEL and the key app_permission:meta" */

static void
list_missing(const perm_doctor_t *doctor, FILE *file)
{
    unsigned     i;
    const char  *p, *and, *words;

    static const char *const  nouns[] = { "command", "key", "channel" };

    and = "";

    for (i = 0; i < PERM_LACKS; i++) {

        words = doctor->lacks[i].text;

        if (*words == '\0') {
            continue;
        }

        fprintf(file, "%sthe %s%s ", and, nouns[i],
                strchr(words, ' ') ? "s" : "");
        and = " and ";

        for (p = words; *p != '\0'; p++) {
            if (*p == ' ') {
                fputs(", ", file);
            } else {
                fputc(i == PERM_LACKS_COMMAND ? toupper((unsigned char) *p)
                                               : *p, file);
            }
        }
    }
}


static void
list_needs(const perm_doctor_t *doctor, const unsigned char *refused,
    FILE *file)
{
    unsigned     i, j;
    const char  *before;

    before = ", needed for ";

    if (doctor->untracked) {
        fprintf(file, "%shearing of revoked grants at once", before);
        before = ", ";
    }

    for (i = 0; i < PROBES; i++) {

        for (j = 0; j < i; j++) {
            if (refused[j] && strcmp(probes[i].need, probes[j].need) == 0) {
                break;
            }
        }

        if (refused[i] && j == i) {
            fprintf(file, "%s%s", before, probes[i].need);
            before = ", ";
        }
    }
}


/* the user of the command line has all that an auditor has, and nothing else */

static int
only_reads(const perm_doctor_t *doctor, const unsigned char *refused)
{
    unsigned  i;

    for (i = 0; i < PROBES; i++) {
        if ((probes[i].users & TABLE) && (probes[i].users == RENEWAL)
                                         != (refused[i] != 0))
        {
            return 0;
        }
    }

    return (doctor->users & PERM_DOCTOR_COMMANDS) != 0;
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
    }

    if (doctor->users & GATEWAY) {
        perm_doctor_word(role, "+client|id");
        perm_doctor_word(role, "+client|tracking");
        perm_doctor_word(role, "+subscribe");
        perm_doctor_word(role, "%s", PERM_DOCTOR_CHANNEL);
    }

    for (i = 0; i < PROBES; i++) {
        if (needed(doctor, &probes[i])) {
            pattern_of(doctor, &probes[i], pattern);
            lower(probes[i].command, command);
            perm_doctor_word(role, "%s", pattern);
            perm_doctor_word(role, "+%s", command);

            if (probes[i].script) {
                perm_doctor_word(role, "+eval");
            }
        }
    }

    strcpy(role->text + role->len++, ")");
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

    for (i = 0; has_selectors(doctor) && i < PROBES; i++) {
        if (needed(doctor, &probes[i])
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
 * what perm_doctor_reply_missing() does.
 */

static int
probe_right(perm_doctor_t *doctor, const perm_doctor_probe_t *probe)
{
    int            missing;
    char           key[PERM_KEY_MAX], grants[PERM_KEY_MAX];
    char           command[16], name[32], pattern[PERM_KEY_MAX + 4];
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

    if (perm_doctor_reply_general(doctor, reply)) {
        freeReplyObject(reply);
        return 0;
    }

    pattern[0] = '\0';

    if (reply->type == REDIS_REPLY_ERROR) {
        pattern_of(doctor, probe, pattern);
    }

    missing = perm_doctor_reply_missing(doctor, reply, command,
                                        probe->script ? "eval" : NULL,
                                        pattern);

    /* a key of another type, which others tell of, has come after the rights */

    if (reply->type != REDIS_REPLY_ERROR
        || perm_reply_error(reply, "WRONGTYPE"))
    {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "rights", "%s, for %s",
                           name, probe->need);

    } else if (!missing) {
        report_error(doctor, probe, name, reply->str);
    }

    freeReplyObject(reply);

    return missing;
}


static void
report_error(perm_doctor_t *doctor, const perm_doctor_probe_t *probe,
    const char *name, const char *error)
{
    size_t       before;
    const char  *advice, *command;

    if (strncmp(error, "ERR unknown command", 19) != 0) {
        advice = perm_advice_find(error)->command;
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights",
                           "%s fails, needed for %s: %s%s%s", name,
                           probe->need, perm_output_safe_text(error),
                           *advice ? "; " : "", advice);
        return;
    }

    before = doctor->unknown.len;
    command = probe->script ? "EVAL" : probe->command;
    perm_doctor_word(&doctor->unknown, "%s", command);

    if (doctor->unknown.len > before) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "this server "
                           "knows no %s, needed for %s: is it renamed, or is "
                           "this a proxy?", command, probe->need);
    }
}
