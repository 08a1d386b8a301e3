
#include "cli/commands/doctor_priv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"


static void report_info(perm_doctor_t *doctor);
static void report_missing(perm_doctor_t *doctor, const unsigned char *refused,
    int unseen);
static void list_missing(const perm_doctor_t *doctor, FILE *file);
static void list_needs(const perm_doctor_t *doctor,
    const unsigned char *refused, FILE *file);
static int only_reads(const perm_doctor_t *doctor,
    const unsigned char *refused);
static void write_remedy(const perm_doctor_t *doctor, int unseen, FILE *file);
static void give(perm_doctor_t *doctor, const char *where, const char *user,
    const char *rule);
static const char *user_name(const perm_doctor_t *doctor);
static const char *name_of(perm_str_t user);
static const char *several(const perm_doctor_t *doctor);


void
perm_doctor_rights(perm_doctor_t *doctor)
{
    unsigned                    i;
    unsigned char               refused[PERM_DOCTOR_PROBES];
    perm_doctor_words_t         all, reached;
    const perm_doctor_probe_t  *probe;

    if (doctor->users & PERM_DOCTOR_COMMANDS) {
        perm_doctor_probe_user(doctor);
    }

    report_info(doctor);
    memset(refused, 0, sizeof(refused));
    memset(&all, 0, sizeof(perm_doctor_words_t));
    reached = all;

    for (i = 0; perm_doctor_probes[i].command != NULL && !doctor->stop; i++) {

        probe = &perm_doctor_probes[i];

        if (!perm_doctor_probe_needed(doctor, probe)) {
            continue;
        }

        perm_doctor_word(&all, "%s", probe->key);
        refused[i] = (unsigned char) perm_doctor_probe_try(doctor, probe);

        if (refused[i] != 1 && strstr(probe->format, "%k")) {
            perm_doctor_word(&reached, "%s", probe->key);
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
                           "command line: ask with --for gateway, or with "
                           "--for renewal for the line that adds them",
                           user_name(doctor));
    }
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
                           "refused%s", (doctor->users & PERM_DOCTOR_TABLE)
                           ? "" : ", which a gateway does not need: ask as "
                           "the user of the command line");
    }

    if (doctor->no_info && (doctor->users & PERM_DOCTOR_TABLE)) {
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
    unsigned                    i, j;
    const char                 *before;
    const perm_doctor_probe_t  *probes;

    probes = perm_doctor_probes;
    before = ", needed for ";

    if (doctor->untracked) {
        fprintf(file, "%shearing of revoked grants at once", before);
        before = ", ";
    }

    for (i = 0; probes[i].command != NULL; i++) {

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
    unsigned  i, users;

    for (i = 0; perm_doctor_probes[i].command != NULL; i++) {

        users = perm_doctor_probes[i].users;

        if ((users & PERM_DOCTOR_TABLE)
            && (users == PERM_DOCTOR_RENEWAL) != (refused[i] != 0))
        {
            return 0;
        }
    }

    return (doctor->users & PERM_DOCTOR_COMMANDS) != 0;
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

    if (unseen && perm_doctor_probe_selectors(doctor)) {
        memset(&role, 0, sizeof(perm_doctor_words_t));
        perm_doctor_probe_role(doctor, &role);
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


void
perm_doctor_rights_give(perm_doctor_t *doctor, const char *rule)
{
    give(doctor, several(doctor), user_name(doctor), rule);
}


static void
give(perm_doctor_t *doctor, const char *where, const char *user,
    const char *rule)
{
    snprintf(doctor->give, sizeof(doctor->give), "in redis-cli%s: ACL SETUSER "
             "%s %s", where, user, rule);
    doctor->remedy = doctor->give;
}


int
perm_doctor_rights_connect(perm_doctor_t *doctor, const char *error)
{
    unsigned     i;
    const char  *where, *user;

    /* as Redis names them, 6.2 without the subcommand; and their rules */

    static const char *const  commands[][2] = {
        { "'cluster", "+cluster|slots" }, { "'role'", "+role" },
        { "'select'", "+select" },
        { "'sentinel", "+sentinel|get-master-addr-by-name" }, { NULL, NULL }
    };

    if (strstr(error, "NOPERM") == NULL) {
        return 0;
    }

    where = several(doctor);
    user = user_name(doctor);

    if (strstr(error, "Redis at ") == NULL) {
        where = ", on each Sentinel";
        user = name_of(doctor->cli->servers.sentinel.user);
    }

    for (i = 0; commands[i][0] != NULL; i++) {

        if (strstr(error, commands[i][0]) == NULL) {
            continue;
        }

        give(doctor, where, user, commands[i][1]);
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "rights", "user \"%s\" "
                           "lacks the command %s, needed for connecting; the "
                           "rest was not looked at", user,
                           commands[i][1] + 1);
        return 1;
    }

    return 0;
}


static const char *
user_name(const perm_doctor_t *doctor)
{
    return name_of(doctor->cli->servers.connection.user);
}


static const char *
name_of(perm_str_t user)
{
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
