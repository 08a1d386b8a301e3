
#include "state/files.h"

#include "state/write.h"

#define PERM_STATE_PAUSE  1000   /* ms: a snapshot that lay still is old */


struct perm_state_s {
    ngx_str_t              names[2];
    ngx_fd_t               fds[2];
    ngx_uint_t             current;    /* the one that is written */
    ngx_msec_t             last;       /* ms, monotonic: of the last step */

    unsigned               writing:1;
    unsigned               failing:1;

    perm_state_write_t     writer;
};


static ngx_int_t perm_state_name(ngx_pool_t *pool, ngx_str_t *file,
    char *suffix, ngx_str_t *name);
static ngx_int_t perm_state_test_file(ngx_str_t *name, ngx_log_t *log);
static char *perm_state_refused(ngx_file_info_t *info, uid_t uid);
static void perm_state_complain(ngx_str_t *name, char *reason,
    ngx_log_t *log);
static ngx_fd_t perm_state_open_file(ngx_str_t *name, int flags,
    ngx_log_t *log);
static void perm_state_close(void *data);
static ngx_int_t perm_state_begin(perm_state_files_t *state);
static ngx_int_t perm_state_failed(perm_state_files_t *state, ngx_log_t *log);
static ngx_int_t perm_state_save_as(ngx_str_t *temp, uint64_t generation,
    perm_cache_t *cache, perm_recorder_t *recorder, perm_table_state_t *table,
    ngx_log_t *log);
static uint64_t perm_state_last_generation(ngx_str_t *name);


perm_state_files_t *
perm_state_files_open(ngx_pool_t *pool, ngx_str_t *file, ngx_log_t *log)
{
    ngx_uint_t           i;
    perm_state_files_t  *state;
    ngx_pool_cleanup_t  *cln;

    state = ngx_pcalloc(pool, sizeof(perm_state_files_t));
    cln = ngx_pool_cleanup_add(pool, 0);

    if (state == NULL || cln == NULL
        || perm_state_name(pool, file, "", &state->names[0]) != NGX_OK
        || perm_state_name(pool, file, "~", &state->names[1]) != NGX_OK)
    {
        return NULL;
    }

    state->fds[0] = NGX_INVALID_FILE;
    state->fds[1] = NGX_INVALID_FILE;

    cln->handler = perm_state_close;
    cln->data = state;

    for (i = 0; i < 2; i++) {
        state->fds[i] = perm_state_open_file(&state->names[i], O_CREAT, log);

        if (state->fds[i] == NGX_INVALID_FILE) {
            return NULL;
        }
    }

    return state;
}


ngx_int_t
perm_state_files_test(ngx_pool_t *pool, ngx_str_t *file, ngx_log_t *log)
{
    char             *slash;
    ngx_str_t         name;
    ngx_file_info_t   info;

    if (perm_state_name(pool, file, "~", &name) != NGX_OK
        || perm_state_test_file(&name, log) != NGX_OK
        || perm_state_name(pool, file, "", &name) != NGX_OK
        || perm_state_test_file(&name, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    slash = strrchr((char *) name.data, '/');

    if (slash == NULL) {
        return NGX_OK;
    }

    slash[1] = '\0';   /* whoever has no right to look may still start it */

    if (ngx_file_info(name.data, &info) == NGX_FILE_ERROR
        && (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR))
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "the state file \"%V\" of \"app_permission_zone\" has "
                      "no directory \"%s\"", file, name.data);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* whose it is says nothing unless root asks, as whom nginx is started */

static ngx_int_t
perm_state_test_file(ngx_str_t *name, ngx_log_t *log)
{
    char             *reason;
    ngx_file_info_t   info;

    if (ngx_link_info(name->data, &info) == NGX_FILE_ERROR) {
        return NGX_OK;
    }

    reason = perm_state_refused(&info, geteuid() ? info.st_uid : 0);

    if (reason == NULL) {
        return NGX_OK;
    }

    perm_state_complain(name, reason, log);

    return NGX_ERROR;
}


/* what another user put there, or points elsewhere, is not ours to write */

static char *
perm_state_refused(ngx_file_info_t *info, uid_t uid)
{
    if (ngx_is_link(info)) {
        return "is a symbolic link";
    }

    if (!ngx_is_file(info)) {
        return "is not a regular file";
    }

    if (info->st_uid != uid) {
        return "belongs to another user";
    }

    return (info->st_nlink > 1) ? "has another hard link" : NULL;
}


static void
perm_state_complain(ngx_str_t *name, char *reason, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "the state file \"%V\" of \"app_permission_zone\" %s: "
                  "remove it or name another one", name, reason);
}


/* NUL-terminated */

static ngx_int_t
perm_state_name(ngx_pool_t *pool, ngx_str_t *file, char *suffix,
    ngx_str_t *name)
{
    name->len = file->len + ngx_strlen(suffix);

    name->data = ngx_pnalloc(pool, name->len + 1);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(name->data, "%V%s%Z", file, suffix);

    return NGX_OK;
}


static ngx_fd_t
perm_state_open_file(ngx_str_t *name, int flags, ngx_log_t *log)
{
    char             *reason;
    ngx_fd_t          fd;
    ngx_file_info_t   info;

    fd = open((const char *) name->data,
              O_RDWR|O_NOFOLLOW|O_CLOEXEC|O_NONBLOCK|flags, 0600);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno == NGX_ELOOP) {
            perm_state_complain(name, "is a symbolic link", log);

        } else {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "cannot open the state file \"%V\" of "
                          "\"app_permission_zone\"", name);
        }

        return NGX_INVALID_FILE;
    }

    if (ngx_fd_info(fd, &info) == NGX_FILE_ERROR) {
        reason = "cannot be examined";

    } else {
        reason = perm_state_refused(&info, geteuid());

        if (reason == NULL && fchmod(fd, 0600) == -1) {
            reason = "cannot be made readable by its owner only";
        }
    }

    if (reason) {
        perm_state_complain(name, reason, log);
        (void) ngx_close_file(fd);
        return NGX_INVALID_FILE;
    }

    return fd;
}


static void
perm_state_close(void *data)
{
    ngx_uint_t           i;
    perm_state_files_t  *state;

    state = data;

    for (i = 0; i < 2; i++) {
        if (state->fds[i] != NGX_INVALID_FILE) {
            (void) ngx_close_file(state->fds[i]);
        }
    }
}


ngx_int_t
perm_state_files_write(perm_state_files_t *state, perm_cache_t *cache,
    perm_recorder_t *recorder, perm_table_state_t *table, ngx_log_t *log)
{
    ngx_int_t  rc;

    if (ngx_current_msec - state->last > PERM_STATE_PAUSE) {
        perm_state_files_abandon(state);
    }

    state->last = ngx_current_msec;

    if (!state->writing) {
        rc = perm_state_begin(state);

    } else {
        rc = perm_state_write_step(&state->writer, cache, recorder, table);
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        return perm_state_failed(state, log);
    }

    perm_state_files_abandon(state);

    if (state->failing) {
        state->failing = 0;
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: the state file \"%V\" is written "
                      "again", &state->names[0]);
    }

    return NGX_OK;
}


/*
 * NGX_OK: a worker of another configuration or, after an upgrade, of another
 * nginx is writing just now.
 */

static ngx_int_t
perm_state_begin(perm_state_files_t *state)
{
    uint64_t   generations[2];
    ngx_err_t  err;

    err = ngx_trylock_fd(state->fds[0]);

    if (err) {
        ngx_set_errno(err);
        return (err == NGX_EAGAIN || err == NGX_EACCES) ? NGX_OK : NGX_ERROR;
    }

    generations[0] = perm_state_write_generation(state->fds[0]);
    generations[1] = perm_state_write_generation(state->fds[1]);

    state->current = (generations[0] > generations[1]);
    state->writing = 1;

    if (perm_state_write_start(&state->writer, state->fds[state->current],
                               ngx_max(generations[0], generations[1]) + 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


void
perm_state_files_abandon(perm_state_files_t *state)
{
    if (state->writing) {
        state->writing = 0;
        (void) ngx_unlock_fd(state->fds[0]);
    }
}


static ngx_int_t
perm_state_failed(perm_state_files_t *state, ngx_log_t *log)
{
    ngx_err_t  err;

    err = ngx_errno;

    perm_state_files_abandon(state);

    if (!state->failing) {
        state->failing = 1;
        ngx_log_error(NGX_LOG_ERR, log, err,
                      "app_permission: cannot write the state file \"%V\", "
                      "the one before is kept and writing is tried again",
                      &state->names[state->current]);
    }

    return NGX_ERROR;
}


ngx_int_t
perm_state_files_save(ngx_str_t *file, perm_cache_t *cache,
    perm_recorder_t *recorder, perm_table_state_t *table, ngx_log_t *log)
{
    uint64_t     generation, twin_generation;
    ngx_int_t    rc;
    ngx_str_t    temp, twin;
    ngx_pool_t  *pool;

    if (ngx_new_binary > 0
        || (ngx_inherited && getppid() == ngx_parent))
    {
        /* an upgrade, or one taken back: another master goes on with it */
        return NGX_OK;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);

    if (pool == NULL
        || perm_state_name(pool, file, ".tmp", &temp) != NGX_OK
        || perm_state_name(pool, file, "~", &twin) != NGX_OK)
    {
        return NGX_ERROR;
    }

    generation = perm_state_last_generation(file);
    twin_generation = perm_state_last_generation(&twin);

    rc = perm_state_save_as(&temp, ngx_max(generation, twin_generation) + 1,
                            cache, recorder, table, log);

    if (rc == NGX_OK
        && ngx_rename_file(temp.data, file->data) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "app_permission: cannot rename \"%V\" to \"%V\"",
                      &temp, file);
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        /* the older half of the pair */
        (void) ngx_delete_file(twin.data);

    } else {
        (void) ngx_delete_file(temp.data);
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
perm_state_save_as(ngx_str_t *temp, uint64_t generation, perm_cache_t *cache,
    perm_recorder_t *recorder, perm_table_state_t *table, ngx_log_t *log)
{
    ngx_fd_t             fd;
    ngx_int_t            rc;
    perm_state_write_t  *writer;

    (void) ngx_delete_file(temp->data);

    fd = perm_state_open_file(temp, O_CREAT|O_EXCL, log);
    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    writer = ngx_alloc(sizeof(perm_state_write_t), log);

    if (writer) {
        rc = perm_state_write_start(writer, fd, generation);

        if (rc == NGX_OK) {
            do {
                rc = perm_state_write_step(writer, cache, recorder,
                                           table);
            } while (rc == NGX_AGAIN);
        }

        ngx_free(writer);
    }

    if (rc != NGX_OK || fsync(fd) == -1) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "app_permission: cannot write the state file \"%V\", "
                      "the one before is kept", temp);
        rc = NGX_ERROR;
    }

    (void) ngx_close_file(fd);

    return rc;
}


static uint64_t
perm_state_last_generation(ngx_str_t *name)
{
    ngx_fd_t  fd;
    uint64_t  generation;

    fd = open((const char *) name->data,
              O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_NONBLOCK);

    if (fd == NGX_INVALID_FILE) {
        return 0;
    }

    generation = perm_state_write_generation(fd);

    (void) ngx_close_file(fd);

    return generation;
}
