
#include "state/state_priv.h"


#define PERM_STATE_PAUSE  1000   /* ms: a snapshot that lay still is old */


struct perm_state_files_s {
    ngx_str_t            names[PERM_STATE_NAMES];   /* NUL-terminated */
    ngx_fd_t             fds[2];
    ngx_uint_t           current;                   /* is written */
    ngx_msec_t           last;                      /* ms, monotonic: step */

    unsigned             writing:1;

    perm_state_write_t   writer;
};


static char *perm_state_refused(ngx_file_info_t *info, uid_t uid);
static void perm_state_log_refused(ngx_str_t *name, char *reason,
    ngx_log_t *log);
static ngx_fd_t perm_state_open_file(ngx_str_t *name, int flags,
    ngx_log_t *log);
static ngx_int_t perm_state_begin(perm_state_files_t *state);
static ngx_uint_t perm_state_older(perm_state_files_t *state,
    uint64_t *generation);
static uint64_t perm_state_generation(ngx_fd_t fd);
static void perm_state_unsaved(perm_state_files_t *state, perm_zone_t *zone,
    ngx_err_t err, ngx_log_t *log);
static void perm_state_saved(perm_state_files_t *state, perm_zone_t *zone,
    ngx_log_t *log);
static ngx_int_t perm_state_save_temp(perm_state_files_t *state,
    perm_zone_t *zone, ngx_log_t *log);


ngx_int_t
perm_state_files_test(ngx_pool_t *pool, ngx_str_t *file, ngx_log_t *log)
{
    char             *slash, *reason;
    ngx_uint_t        i;
    ngx_str_t         names[PERM_STATE_NAMES];
    ngx_file_info_t   info;

    if (perm_state_names(pool, file, names) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = PERM_STATE_FILE; i <= PERM_STATE_TWIN; i++) {

        if (ngx_link_info(names[i].data, &info) == NGX_FILE_ERROR) {
            continue;
        }

        /* the owner matters when root asks: as root nginx is started */

        reason = perm_state_refused(&info, geteuid() ? info.st_uid : 0);

        if (reason) {
            perm_state_log_refused(&names[i], reason, log);
            return NGX_ERROR;
        }
    }

    slash = strrchr((char *) names[PERM_STATE_FILE].data, '/');

    if (slash == NULL) {
        return NGX_OK;
    }

    slash[1] = '\0';

    /* other errors: this user may have no right to look */

    if (ngx_file_info(names[PERM_STATE_FILE].data, &info) == NGX_FILE_ERROR
        && (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR))
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "the state file \"%V\" of \"app_permission_zone\" has "
                      "no directory \"%s\"", file,
                      names[PERM_STATE_FILE].data);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a file of another user, or a link, must not be written to */

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
perm_state_log_refused(ngx_str_t *name, char *reason, ngx_log_t *log)
{
    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "the state file \"%V\" of \"app_permission_zone\" %s: "
                  "remove it or name another one", name, reason);
}


ngx_int_t
perm_state_names(ngx_pool_t *pool, ngx_str_t *file, ngx_str_t *names)
{
    u_char        *p;
    ngx_uint_t     i;
    static char   *suffixes[] = { "", "~", ".tmp" };

    for (i = 0; i < PERM_STATE_NAMES; i++) {

        p = ngx_pnalloc(pool, file->len + sizeof(".tmp"));
        if (p == NULL) {
            return NGX_ERROR;
        }

        names[i].data = p;
        names[i].len = ngx_sprintf(p, "%V%s%Z", file, suffixes[i]) - p - 1;
    }

    return NGX_OK;
}


perm_state_files_t *
perm_state_files_open(ngx_pool_t *pool, ngx_str_t *file, ngx_log_t *log)
{
    ngx_uint_t                i;
    perm_state_files_t       *state;
    ngx_pool_cleanup_t       *cln;
    ngx_pool_cleanup_file_t  *clnf;

    state = ngx_pcalloc(pool, sizeof(perm_state_files_t));

    if (state == NULL || perm_state_names(pool, file, state->names) != NGX_OK)
    {
        return NULL;
    }

    for (i = 0; i < 2; i++) {

        cln = ngx_pool_cleanup_add(pool, sizeof(ngx_pool_cleanup_file_t));
        if (cln == NULL) {
            return NULL;
        }

        state->fds[i] = perm_state_open_file(&state->names[i], O_CREAT, log);

        if (state->fds[i] == NGX_INVALID_FILE) {
            return NULL;
        }

        clnf = cln->data;
        clnf->fd = state->fds[i];
        clnf->name = state->names[i].data;
        clnf->log = pool->log;

        cln->handler = ngx_pool_cleanup_file;
    }

    return state;
}


static ngx_fd_t
perm_state_open_file(ngx_str_t *name, int flags, ngx_log_t *log)
{
    char             *reason;
    ngx_fd_t          fd;
    ngx_file_info_t   info;

    fd = open((const char *) name->data,
              O_RDWR|O_NOFOLLOW|O_CLOEXEC|O_NONBLOCK|flags, 0600);

    if (fd == NGX_INVALID_FILE && ngx_errno == NGX_ELOOP) {
        perm_state_log_refused(name, "is a symbolic link", log);
        return NGX_INVALID_FILE;
    }

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "cannot open the state file \"%V\" of "
                      "\"app_permission_zone\"", name);
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
        perm_state_log_refused(name, reason, log);
        (void) ngx_close_file(fd);
        return NGX_INVALID_FILE;
    }

    return fd;
}


ngx_int_t
perm_state_files_write(perm_state_files_t *state, perm_zone_t *zone,
    ngx_log_t *log)
{
    ngx_int_t  rc;
    ngx_err_t  err;

    if (ngx_current_msec - state->last > PERM_STATE_PAUSE) {
        perm_state_files_abandon(state);
    }

    state->last = ngx_current_msec;

    rc = state->writing ? perm_state_write_step(&state->writer, zone)
                        : perm_state_begin(state);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    err = ngx_errno;

    perm_state_files_abandon(state);

    if (rc == NGX_ERROR) {
        perm_state_unsaved(state, zone, err, log);

    } else if (rc == NGX_OK) {
        perm_state_saved(state, zone, log);
    }

    return rc;
}


/* a change is one line for all workers */

static void
perm_state_unsaved(perm_state_files_t *state, perm_zone_t *zone, ngx_err_t err,
    ngx_log_t *log)
{
    /* orders: only this word */
    if (!ngx_atomic_cmp_set(&zone->health.unsaved, 0, ngx_time())) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, log, err,
                  "app_permission: cannot write the state file \"%V\", "
                  "the one before is kept and writing is tried again: make "
                  "room on its disk, or mend its rights",
                  &state->names[state->current]);
}


static void
perm_state_saved(perm_state_files_t *state, perm_zone_t *zone, ngx_log_t *log)
{
    ngx_atomic_uint_t  since;

    since = zone->health.unsaved;

    /* orders: only this word */
    if (since && ngx_atomic_cmp_set(&zone->health.unsaved, since, 0)) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: the state file \"%V\" is written "
                      "again after %T s", &state->names[PERM_STATE_FILE],
                      ngx_max(ngx_time() - (time_t) since, 0));
    }
}


/*
 * NGX_OK: a worker of another configuration or, after an upgrade, of another
 * nginx is writing just now.
 */

static ngx_int_t
perm_state_begin(perm_state_files_t *state)
{
    uint64_t   generation;
    ngx_err_t  err;

    err = ngx_trylock_fd(state->fds[0]);

    if (err) {
        ngx_set_errno(err);
        return (err == NGX_EAGAIN || err == NGX_EACCES) ? NGX_OK : NGX_ERROR;
    }

    state->writing = 1;
    state->current = perm_state_older(state, &generation);

    return perm_state_write_start(&state->writer, state->fds[state->current],
                                  generation);
}


/* which of the two files is the older one, and the generation of the next */

static ngx_uint_t
perm_state_older(perm_state_files_t *state, uint64_t *generation)
{
    uint64_t  first, second;

    first = perm_state_generation(state->fds[0]);
    second = perm_state_generation(state->fds[1]);

    *generation = ngx_max(first, second) + 1;

    return first > second;
}


/* 0: the file is not whole, as far as its header tells */

static uint64_t
perm_state_generation(ngx_fd_t fd)
{
    perm_state_header_t  header;

    if (pread(fd, &header, sizeof(perm_state_header_t), 0)
        != (ssize_t) sizeof(perm_state_header_t)
        || perm_state_read_check(&header))
    {
        return 0;
    }

    return header.generation;
}


void
perm_state_files_abandon(perm_state_files_t *state)
{
    if (state->writing) {
        state->writing = 0;
        (void) ngx_unlock_fd(state->fds[0]);
    }
}


ngx_int_t
perm_state_files_save(perm_state_files_t *state, perm_zone_t *zone,
    ngx_log_t *log)
{
    ngx_int_t   rc;
    ngx_str_t  *names;

    if (ngx_new_binary > 0
        || (ngx_inherited && getppid() == ngx_parent))
    {
        /* an upgrade, or one taken back: another master goes on with it */
        return NGX_OK;
    }

    names = state->names;

    rc = perm_state_save_temp(state, zone, log);

    if (rc == NGX_OK
        && ngx_rename_file(names[PERM_STATE_TEMP].data,
                           names[PERM_STATE_FILE].data)
           == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "app_permission: cannot rename \"%V\" to \"%V\"",
                      &names[PERM_STATE_TEMP], &names[PERM_STATE_FILE]);
        rc = NGX_ERROR;
    }

    (void) ngx_delete_file(names[rc == NGX_OK ? PERM_STATE_TWIN
                                              : PERM_STATE_TEMP].data);

    return rc;
}


static ngx_int_t
perm_state_save_temp(perm_state_files_t *state, perm_zone_t *zone,
    ngx_log_t *log)
{
    uint64_t    generation;
    ngx_fd_t    fd;
    ngx_int_t   rc;
    ngx_str_t  *temp;

    temp = &state->names[PERM_STATE_TEMP];

    (void) ngx_delete_file(temp->data);

    fd = perm_state_open_file(temp, O_CREAT|O_EXCL, log);
    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    (void) perm_state_older(state, &generation);

    rc = perm_state_write_start(&state->writer, fd, generation);

    while (rc == NGX_AGAIN) {
        rc = perm_state_write_step(&state->writer, zone);
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
