
/*
 * The directives of the module.
 */


#ifndef _PERM_MODULE_DIRECTIVES_H_INCLUDED_
#define _PERM_MODULE_DIRECTIVES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* for ngx_module_t; an error names the value, and the values that are valid */

extern ngx_command_t  perm_directives[];


#endif /* _PERM_MODULE_DIRECTIVES_H_INCLUDED_ */
