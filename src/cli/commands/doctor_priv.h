
/*
 * What the files of doctor share: the servers, replies, the rights, the table.
 */


#ifndef _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_
#define _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_


#include "cli/commands/command.h"


/* users; SELF and APPLY: what else a gateway needs for app_permission_self */

#define PERM_DOCTOR_GATEWAY   1
#define PERM_DOCTOR_RENEWAL   2
#define PERM_DOCTOR_AUDITOR   4
#define PERM_DOCTOR_SELF      8
#define PERM_DOCTOR_APPLY    16
#define PERM_DOCTOR_COMMANDS 32   /* tracking is a gateway's business */
#define PERM_DOCTOR_TABLE    (PERM_DOCTOR_RENEWAL | PERM_DOCTOR_AUDITOR)
#define PERM_DOCTOR_ALL      (PERM_DOCTOR_GATEWAY | PERM_DOCTOR_TABLE         \
                              | PERM_DOCTOR_SELF | PERM_DOCTOR_APPLY)


#define PERM_DOCTOR_CHANNEL  "&__redis__:invalidate"

#define PERM_DOCTOR_TEXT     4096   /* of a line: with the longest prefix what
                                       all users need has 2 KiB */
#define PERM_DOCTOR_CHECKS   24
#define PERM_DOCTOR_PROBES   48


typedef enum {
    PERM_DOCTOR_OK = 0,
    PERM_DOCTOR_SKIPPED,         /* it could not be looked at, and need not */
    PERM_DOCTOR_WARNING,
    PERM_DOCTOR_ERROR
} perm_doctor_level_t;


typedef enum {
    PERM_LACKS_COMMAND = 0,
    PERM_LACKS_KEY,
    PERM_LACKS_CHANNEL,
    PERM_LACKS
} perm_lacks_t;


/* words, each once, with blanks between them */

typedef struct {
    size_t               len;
    char                 text[PERM_DOCTOR_TEXT];
} perm_doctor_words_t;


typedef struct {
    const char          *name;
    perm_doctor_level_t  worst;        /* of what was said of it */
} perm_doctor_check_t;


typedef struct {
    perm_cli_t          *cli;
    unsigned             users;        /* whose rights are looked at */
    unsigned             counts[PERM_DOCTOR_ERROR + 1];   /* of each level */
    perm_connection_t   *server;       /* that is looked at, or NULL */
    redisReply          *info;         /* its INFO, lines that end with NULs */
    int                  stop;         /* the rest would fail for one reason,
                                          which was said ... */
    int                  down;         /* ... that Redis does not serve */
    int                  no_writes;    /* that it refuses writes was said */
    int                  no_info;      /* INFO is refused */
    int                  supposed;     /* without a role: a gateway's user */
    int                  untracked;    /* changes may not be pushed to him */
    int                  hidden;       /* whether the user may use the channel
                                          cannot be seen */
    const char          *remedy;       /* of the next line, or NULL */
    char                 give[768];    /* for a remedy of one rule */
    perm_doctor_words_t  lacks[PERM_LACKS];   /* what is missing */
    perm_doctor_words_t  keys;         /* patterns of keys that give it ... */
    perm_doctor_words_t  acl;          /* ... and the other rules */
    perm_doctor_words_t  unknown;      /* commands that Redis does not know */
    unsigned             nchecks;
    perm_doctor_check_t  checks[PERM_DOCTOR_CHECKS];
} perm_doctor_t;


/*
 * A command that does no harm: HSET has a word too much.
 */

typedef struct {
    unsigned             users;
    int                  script;   /* the command is run by EVAL */
    const char          *command;
    const char          *need;
    const char          *key;
    const char          *format;   /* of the command itself, with the key */
} perm_doctor_probe_t;


/* One result: what was looked at, what was found and what to do */

void perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...) PERM_PRINTF(4);

/* Adds the word unless it is there */

void perm_doctor_word(perm_doctor_words_t *words, const char *fmt, ...)
    PERM_PRINTF(2);


/*
 * Returns 1 when the reply is an error that each command would get, or each
 * that writes: LOADING, OOM.  It is said once.  After one of the former nothing
 * more is looked at.
 */
int perm_doctor_reply_general(perm_doctor_t *doctor, const redisReply *reply);

/* 1: the user may not use the command, whatever the key */

int perm_doctor_reply_command_missing(const redisReply *reply);

/*
 * Returns 0 unless the reply is the error of a missing right.  Then it keeps
 * the rule that would give it, and returns 2 when the command has come as far
 * as the key or the channel, else 1.  command: the rule, as "hget" or
 * "client|id"; outer: the command whose script runs it, or NULL; pattern: of
 * the key or the channel, with its "~" or "&".
 */
int perm_doctor_reply_missing(perm_doctor_t *doctor, const redisReply *reply,
    const char *command, const char *outer, const char *pattern);


/* Looks at a server, on a connection of its own */

void perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node);

/* a NULL for the command ends them */

extern const perm_doctor_probe_t  perm_doctor_probes[PERM_DOCTOR_PROBES];

/* 1: one of the users needs it, with these servers */

int perm_doctor_probe_needed(const perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe);

/*
 * Tries it, in a cluster at each node.  Returns 0, or the bits that
 * perm_doctor_reply_missing() returns; other errors are reported.
 */
int perm_doctor_probe_try(perm_doctor_t *doctor,
    const perm_doctor_probe_t *probe);

/*
 * Without a role.  A user who may write accesses and remove no grant is a
 * gateway's: no rights of the command line are looked for, and advised.
 */
void perm_doctor_probe_user(perm_doctor_t *doctor);

/* "(COMMANDS PATTERNS)": a selector with all that the users need */

void perm_doctor_probe_role(const perm_doctor_t *doctor,
    perm_doctor_words_t *role);

/* 1: Redis 7.0 or later, which knows selectors, and rights to read or write */

int perm_doctor_probe_selectors(const perm_doctor_t *doctor);


/* Tries what the users need, and says which rights are missing */

void perm_doctor_rights(perm_doctor_t *doctor);

/* The next line has a remedy: the ACL SETUSER line with this rule */

void perm_doctor_rights_give(perm_doctor_t *doctor, const char *rule);

/* 1: the error of connecting is that of a missing right, which it reports */

int perm_doctor_rights_connect(perm_doctor_t *doctor, const char *error);

/* The mark, and what the keys hold */

void perm_doctor_meta(perm_doctor_t *doctor);
void perm_doctor_table(perm_doctor_t *doctor);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_ */
