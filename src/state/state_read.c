
#include "state/state_priv.h"


#define PERM_STATE_DAY  (86400 * INT64_C(1000))   /* ms: clocks may differ */


/* one of the two files, in memory */

typedef struct {
    ngx_str_t             name;      /* NUL-terminated */
    perm_state_header_t   header;
    u_char               *records;
    size_t                size;      /* of the records */
    ngx_uint_t            whole;
} perm_state_file_t;


typedef struct {
    perm_zone_t          *zone;
    int64_t               now;       /* unix ms */
    int64_t               latest;    /* unix ms: no time is later */
    ngx_uint_t            grants;
    ngx_uint_t            accesses;
} perm_state_loader_t;


static ngx_int_t perm_state_load(perm_state_file_t *file, ngx_pool_t *pool);
static char *perm_state_examine(perm_state_file_t *file, ngx_fd_t fd,
    ngx_pool_t *pool);
static ngx_int_t perm_state_read_data(perm_state_file_t *file, ngx_fd_t fd,
    void *data, size_t size, ngx_log_t *log);
static char *perm_state_walk(perm_state_file_t *file,
    perm_state_loader_t *loader);
static char *perm_state_parse(u_char *p, size_t left,
    perm_state_record_t *record, perm_tuple_t *tuple);
static void perm_state_apply(perm_state_loader_t *loader,
    perm_state_record_t *record, perm_tuple_t *tuple);
static ngx_int_t perm_state_set_aside(perm_state_file_t *file, char *reason,
    ngx_pool_t *pool);


static char  perm_state_no_memory[] = "memory is out";


ngx_int_t
perm_state_read(ngx_str_t *file, perm_zone_t *zone, ngx_log_t *log)
{
    ngx_int_t             rc;
    ngx_str_t             names[PERM_STATE_NAMES];
    ngx_uint_t            i;
    ngx_pool_t           *pool;
    perm_state_file_t     files[2], *newest;
    perm_state_loader_t   loader;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    newest = NULL;

    rc = perm_state_names(pool, file, names);

    for (i = PERM_STATE_FILE; i <= PERM_STATE_TWIN && rc != NGX_ERROR; i++) {
        files[i].name = names[i];

        rc = perm_state_load(&files[i], pool);

        if (rc == NGX_OK
            && (newest == NULL
                || files[i].header.generation > newest->header.generation))
        {
            newest = &files[i];
        }
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "app_permission: memory is out, the state file \"%V\" "
                      "was not read", file);

    } else if (newest) {
        loader.zone = zone;
        loader.grants = 0;
        loader.accesses = 0;
        loader.now = perm_state_now();

        /* the clock may not be set yet: then that of the last run counts */

        loader.latest = ngx_max(loader.now, newest->header.saved)
                        + PERM_STATE_DAY;

        (void) perm_state_walk(newest, &loader);

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: %ui grants and %ui accesses came back "
                      "from \"%V\"",
                      loader.grants, loader.accesses, &newest->name);
    }

    ngx_destroy_pool(pool);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/*
 * NGX_OK: it is whole; NGX_DECLINED: it is empty, or the reason is logged;
 * NGX_ERROR: memory is out
 */

static ngx_int_t
perm_state_load(perm_state_file_t *file, ngx_pool_t *pool)
{
    char      *reason;
    ngx_fd_t   fd;

    file->whole = 0;

    fd = open((const char *) file->name.data,
              O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_NONBLOCK);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, pool->log, ngx_errno,
                          "app_permission: cannot open the state file \"%V\", "
                          "nothing comes back from it", &file->name);
        }

        return NGX_DECLINED;
    }

    reason = perm_state_examine(file, fd, pool);

    (void) ngx_close_file(fd);

    if (reason == perm_state_no_memory) {
        return NGX_ERROR;
    }

    if (reason) {
        return perm_state_set_aside(file, reason, pool);
    }

    return file->whole ? NGX_OK : NGX_DECLINED;
}


/*
 * Returns what is wrong with the contents, or NULL.  An unfinished snapshot is
 * not wrong, and a file that cannot be read is logged here.  The header is
 * checked before the rest is read, since a foreign file may be of any size.
 */

static char *
perm_state_examine(perm_state_file_t *file, ngx_fd_t fd, ngx_pool_t *pool)
{
    char             *reason;
    size_t            size;
    ngx_file_info_t   info;

    if (ngx_fd_info(fd, &info) == NGX_FILE_ERROR
        || !ngx_is_file(&info)
        || (info.st_uid != geteuid() && info.st_uid != 0))
    {
        ngx_log_error(NGX_LOG_ERR, pool->log, 0,
                      "app_permission: the state file \"%V\" is not a regular "
                      "file of this user, nothing comes back from it",
                      &file->name);
        return NULL;
    }

    size = (size_t) ngx_file_size(&info);

    if (size == 0) {
        return NULL;
    }

    if (size < sizeof(perm_state_header_t)) {
        return "it is too short";
    }

    if (perm_state_read_data(file, fd, &file->header,
                             sizeof(perm_state_header_t), pool->log)
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_memcmp(file->header.magic, PERM_STATE_UNFINISHED, 8) == 0) {
        return NULL;
    }

    reason = perm_state_read_check(&file->header);
    if (reason) {
        return reason;
    }

    if (file->header.length != size) {
        return "its length is wrong";
    }

    file->size = size - sizeof(perm_state_header_t);
    file->records = ngx_palloc(pool, file->size);

    if (file->records == NULL) {
        return perm_state_no_memory;
    }

    if (perm_state_read_data(file, fd, file->records, file->size, pool->log)
        != NGX_OK)
    {
        return NULL;
    }

    if (perm_state_checksum(file->header.generation, file->records, file->size)
        != file->header.checksum)
    {
        return "its checksum is wrong";
    }

    reason = perm_state_walk(file, NULL);

    file->whole = (reason == NULL);

    return reason;
}


static ngx_int_t
perm_state_read_data(perm_state_file_t *file, ngx_fd_t fd, void *data,
    size_t size, ngx_log_t *log)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < size; done += (size_t) n) {
        n = read(fd, (u_char *) data + done, size - done);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            n = 0;
            continue;
        }

        if (n <= 0) {
            ngx_log_error(NGX_LOG_ERR, log, n ? ngx_errno : 0,
                          "app_permission: cannot read the state file \"%V\", "
                          "nothing comes back from it", &file->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


char *
perm_state_read_check(perm_state_header_t *header)
{
    if (ngx_memcmp(header->magic, PERM_STATE_MAGIC, 8) != 0) {
        return "it is not a state file";
    }

    if (header->byte_order != PERM_STATE_BYTE_ORDER) {
        return "it is of a machine with another byte order";
    }

    if (header->version != PERM_STATE_VERSION) {
        return "it is of another version of the module";
    }

    return (header->self != perm_state_header_checksum(header))
           ? "the checksum of its header is wrong" : NULL;
}


/* checks all records, and applies them if there is a loader */

static char *
perm_state_walk(perm_state_file_t *file, perm_state_loader_t *loader)
{
    char                 *reason;
    size_t                left, size;
    u_char               *p;
    uint64_t              grants, accesses;
    perm_tuple_t          tuple;
    perm_state_record_t   record;

    p = file->records;
    grants = 0;
    accesses = 0;

    for (left = file->size; left; left -= size) {

        reason = perm_state_parse(p, left, &record, &tuple);
        if (reason) {
            return reason;
        }

        grants += (record.kind != PERM_STATE_ACCESS);
        accesses += (record.kind == PERM_STATE_ACCESS);

        if (loader) {
            perm_state_apply(loader, &record, &tuple);
        }

        size = perm_state_record_size(record.kind, perm_tuple_len(&tuple));
        p += size;
    }

    if (grants != file->header.grants || accesses != file->header.accesses) {
        return "the number of its records is wrong";
    }

    return NULL;
}


static char *
perm_state_parse(u_char *p, size_t left, perm_state_record_t *record,
    perm_tuple_t *tuple)
{
    size_t  size;

    size = perm_state_fixed_size(*p);

    if (left < size) {
        return "a record is cut short";
    }

    ngx_memzero(record, sizeof(perm_state_record_t));
    ngx_memcpy(record, p, size);

    if (record->kind < PERM_STATE_GRANT
        || record->kind > PERM_STATE_BOUNDED)
    {
        return "a record is of an unknown kind";
    }

    tuple->gateway.len = record->gateway_len;
    tuple->app.len = record->app_len;
    tuple->resource.len = record->resource_len;

    if (left < perm_state_record_size(record->kind, perm_tuple_len(tuple))) {
        return "a record is cut short";
    }

    perm_tuple_point(tuple, (char *) p + size);

    if (!perm_name_gateway_valid(tuple->gateway)
        || !perm_name_app_valid(tuple->app)
        || !perm_name_resource_valid(tuple->resource))
    {
        return "a name in it is not valid";
    }

    if (record->gateway < PERM_GRANT_UNREADABLE
        || record->gateway > PERM_STATE_EXPIRES_MAX
        || record->resource < PERM_GRANT_UNREADABLE
        || record->resource > PERM_STATE_EXPIRES_MAX)
    {
        return "an expiry in it is out of range";
    }

    if (record->ttl < 0 || record->ttl > UINT32_MAX) {
        return "a time to live in it is out of range";
    }

    if (record->time <= 0
        || record->time > PERM_STATE_EXPIRES_MAX
        || (record->kind == PERM_STATE_ACCESS && record->time > UINT32_MAX))
    {
        return "a time in it is out of range";
    }

    return NULL;
}


/* leaves out a time that is too late: it would be the newest for ever */

static void
perm_state_apply(perm_state_loader_t *loader, perm_state_record_t *record,
    perm_tuple_t *tuple)
{
    int64_t         age;
    perm_zone_t    *zone;
    perm_grants_t   grants;

    zone = loader->zone;

    if (record->kind == PERM_STATE_ACCESS) {

        if (record->time * 1000 <= loader->latest
            && perm_recorder_record(zone->recorder, tuple,
                                    perm_tuple_hash(tuple, zone->seed),
                                    (time_t) record->time)
               == NGX_OK)
        {
            loader->accesses++;
        }

        return;
    }

    if (record->time > loader->latest) {
        return;
    }

    age = loader->now - record->time;

    grants.gateway = record->gateway;
    grants.resource = record->resource;
    grants.left = PERM_GRANTS_ENDLESS;

    if (record->kind == PERM_STATE_BOUNDED) {
        grants.left = record->ttl * 1000 - ngx_max(age, 0);
    }

    perm_cache_restore(zone->cache, tuple, grants,
                       (int64_t) ngx_current_msec - ngx_max(age, 0));

    loader->grants++;
}


static ngx_int_t
perm_state_set_aside(perm_state_file_t *file, char *reason, ngx_pool_t *pool)
{
    u_char     *bad;
    ngx_err_t   err;

    bad = ngx_pnalloc(pool, file->name.len + sizeof(".bad"));
    if (bad == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(bad, "%V.bad%Z", &file->name);

    err = (ngx_rename_file(file->name.data, bad) == NGX_FILE_ERROR) ? ngx_errno
                                                                    : 0;

    ngx_log_error(NGX_LOG_ERR, pool->log, err,
                  "app_permission: the state file \"%V\" is not used, %s; it "
                  "%s renamed to \"%s\"", &file->name, reason,
                  err ? "could not be" : "was", bad);

    return NGX_DECLINED;
}
