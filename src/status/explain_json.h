
/*
 * Both sides of an explanation, and their JSON.
 */


#ifndef _PERM_STATUS_EXPLAIN_JSON_H_INCLUDED_
#define _PERM_STATUS_EXPLAIN_JSON_H_INCLUDED_


#include "http/conf.h"
#include "http/writer.h"


typedef struct {
    ngx_uint_t            found;
    perm_cache_entry_t    entry;
    perm_generation_t     generation;   /* the current one */
    int64_t               age;          /* ms */
    perm_decision_t       decision;     /* by it, now */
    ngx_uint_t            fresh;        /* it decides without a lookup */
    ngx_uint_t            stale;        /* it would if Redis were down */
} perm_explain_cache_t;


typedef struct {
    ngx_uint_t            answered;     /* both questions, with no error */
    ngx_uint_t            loaded;       /* the table */
    perm_grants_t         grants;
    ngx_msec_t            took;         /* ms */
    perm_decision_t       decision;     /* by it, now */
    perm_str_t            error;        /* len 0: none */
    char                  text[128];    /* of the error */
} perm_explain_redis_t;


void perm_explain_json(perm_writer_t *w, perm_tuple_t *tuple,
    perm_loc_conf_t *plcf, perm_explain_cache_t *cache,
    perm_explain_redis_t *redis);


#endif /* _PERM_STATUS_EXPLAIN_JSON_H_INCLUDED_ */
