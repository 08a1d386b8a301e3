
/*
 * What the files of doctor share: the servers, the rights, the table.
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


typedef enum {
    PERM_DOCTOR_OK = 0,
    PERM_DOCTOR_WARNING,
    PERM_DOCTOR_ERROR
} perm_doctor_level_t;


/* words, each once, with blanks between them */

typedef struct {
    size_t               len;
    char                 text[1024];
} perm_doctor_words_t;


typedef struct {
    perm_cli_t          *cli;
    unsigned             users;        /* whose rights are looked at */
    unsigned             counts[PERM_DOCTOR_ERROR + 1];   /* of each level */
    perm_connection_t   *server;       /* that is looked at, or NULL */
    redisReply          *info;         /* its INFO, lines that end with NULs */
    int                  replica;      /* the only server is one */
    int                  cannot_scan;  /* SCAN is refused */
    int                  hidden;       /* whether the user may use the channel
                                          cannot be seen */
    perm_doctor_words_t  well;         /* checks with nothing to say */
    perm_doctor_words_t  acl;          /* rules that are missing ... */
    perm_doctor_words_t  keys;         /* ... and patterns of keys */
} perm_doctor_t;


/* One result: what was looked at, what was found and what to do */

void perm_doctor_report(perm_doctor_t *doctor, perm_doctor_level_t level,
    const char *check, const char *fmt, ...) PERM_PRINTF(4);

/* Adds the word unless it is there, or there is no room */

void perm_doctor_word(perm_doctor_words_t *words, const char *fmt, ...)
    PERM_PRINTF(2);

/*
 * Returns 0 unless the reply is the error of a missing right.  Then it keeps
 * the rule that would give it, and returns what is missing: "the command",
 * "the right to the key" or "the right to the channel".  command: the rule, as
 * "hget" or "client|id"; outer: the command whose script runs it, or NULL;
 * pattern: of the key or the channel, with its "~" or "&".
 */
const char *perm_doctor_missing(perm_doctor_t *doctor, const redisReply *reply,
    const char *command, const char *outer, const char *pattern);


/* Looks at a server, on a connection of its own */

void perm_doctor_server(perm_doctor_t *doctor, const perm_node_t *node);

/* Tries what the users need, and says which rights are missing */

void perm_doctor_rights(perm_doctor_t *doctor);

/* The mark, and what the keys hold */

void perm_doctor_meta(perm_doctor_t *doctor);
void perm_doctor_table(perm_doctor_t *doctor);


#endif /* _PERM_CLI_COMMANDS_DOCTOR_PRIV_H_INCLUDED_ */
