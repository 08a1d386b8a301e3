
/*
 * Directives that ngx_conf_set_*_slot() has no function for.
 */


#ifndef _PERM_MODULE_DIRECTIVES_H_INCLUDED_
#define _PERM_MODULE_DIRECTIVES_H_INCLUDED_


#include "http/conf.h"


/* handlers for ngx_command_t; each error names the value */

char *perm_directives_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *perm_directives_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *perm_directives_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *perm_directives_cache_stale(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *perm_directives_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *perm_directives_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *perm_directives_flush(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *perm_directives_lookup_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *perm_directives_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* what perm_directives_enum() takes, for the "post" of a command */

extern ngx_conf_enum_t  perm_on_error[];
extern ngx_conf_enum_t  perm_error_formats[];
extern ngx_conf_enum_t  perm_log_levels[];


#endif /* _PERM_MODULE_DIRECTIVES_H_INCLUDED_ */
