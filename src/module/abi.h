
#ifndef NGX_HTTP_APP_PERMISSION_ABI_H
#define NGX_HTTP_APP_PERMISSION_ABI_H


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * nginx's signature tells which options it was configured with, and not which
 * patches its structures have.  A module for another layout loads, works, and
 * then sets a bit that means something else: with the "cancelable" of plain
 * nginx, the old workers of OpenResty never end after a reload.
 *
 * This compares the layout that the module was compiled with and that of the
 * nginx that loads it.  Belongs into the preconfiguration.  NGX_ERROR: another
 * one, and the log says what to do.
 */

ngx_int_t perm_abi_check(ngx_conf_t *cf);


#endif
