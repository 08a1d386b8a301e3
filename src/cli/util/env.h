
/*
 * The environment that the programs of --notify inherit.
 */


#ifndef _PERM_CLI_UTIL_ENV_H_INCLUDED_
#define _PERM_CLI_UTIL_ENV_H_INCLUDED_


/*
 * Removes what may hold a password of Redis: each variable whose name begins
 * with APP_PERMISSION_PASSWORD, and APP_PERMISSION_REDIS when its URL has a
 * user or a password.  What getenv() has returned before stays readable.
 */
void perm_env_drop_secrets(void);


#endif /* _PERM_CLI_UTIL_ENV_H_INCLUDED_ */
