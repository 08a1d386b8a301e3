
/*
 * The names of the status: numbers of a snapshot as members of the JSON and
 * as metrics for Prometheus, and the decisions that are counted.
 */


#ifndef _PERM_STATUS_NUMBERS_H_INCLUDED_
#define _PERM_STATUS_NUMBERS_H_INCLUDED_


#include "status/snapshot.h"


typedef enum {
    PERM_NUMBER_PLAIN = 0,
    PERM_NUMBER_FLAG,        /* 1 or 0; JSON: true or false */
    PERM_NUMBER_LOADED,      /* a perm_table_known_t; unknown is null in JSON
                                and no sample for Prometheus */
    PERM_NUMBER_MSEC,        /* ms; Prometheus: seconds */
    PERM_NUMBER_AGE,         /* ms; JSON and Prometheus: seconds */
    PERM_NUMBER_SERVER,      /* JSON only: its address, null: not known yet */
    PERM_NUMBER_LINK_ERROR   /* unix seconds of link_error; JSON: all of that,
                                null: there was none */
} perm_number_kind_t;


typedef struct {
    perm_number_kind_t     kind;
    size_t                 offset;       /* in perm_snapshot_t, of a number as
                                            large as ngx_uint_t */
    const char            *group;        /* object of the JSON */
    const char            *member;       /* NULL: not in the JSON */
    const char            *metric;       /* after "app_permission_"; a counter
                                            ends with "_total"; NULL: not for
                                            Prometheus */
    const char            *help;         /* NULL: of the metric before, which
                                            differs only in its label */
} perm_number_t;


typedef struct {
    perm_outcome_t         outcome;
    perm_reason_t          reason;
} perm_number_decision_t;


#define PERM_NUMBERS_DECISIONS  11


extern const perm_number_t  perm_numbers[];    /* the last has no group */

/* each outcome with the reasons that it can have, by outcome */

extern const perm_number_decision_t
    perm_numbers_decisions[PERM_NUMBERS_DECISIONS];


#define perm_numbers_value(s, number)                                         \
    (*(ngx_uint_t *) ((u_char *) (s) + (number)->offset))


#endif /* _PERM_STATUS_NUMBERS_H_INCLUDED_ */
