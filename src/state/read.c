
#include "state/read.h"

#include "state/format.h"

#include "core/grant.h"


#define PERM_STATE_DAY  (86400 * INT64_C(1000))   /* ms: clocks may differ */


/* one of the two files, in memory */

typedef struct {
    ngx_str_t             name;
    perm_state_header_t   header;
    u_char               *records;
    size_t                size;      /* of the records */
    ngx_uint_t            whole;
} perm_state_file_t;


typedef struct {
    perm_cache_t         *cache;
    perm_recorder_t      *recorder;
    uint64_t              seed;
    int64_t               now;       /* unix ms */
    int64_t               latest;    /* unix ms: no time is later */
    ngx_uint_t            grants;
    ngx_uint_t            accesses;
} perm_state_loader_t;


static char *perm_state_load_file(perm_state_file_t *file, ngx_str_t *name,
    char *suffix, ngx_log_t *log);
static char *perm_state_examine(perm_state_file_t *file, ngx_fd_t fd,
    ngx_log_t *log);
static ngx_int_t perm_state_read_data(perm_state_file_t *file, ngx_fd_t fd,
    void *data, size_t size, ngx_log_t *log);
static char *perm_state_check_header(perm_state_header_t *header, size_t size);
static char *perm_state_check_records(perm_state_file_t *file);
static char *perm_state_parse(u_char *p, size_t left,
    perm_state_record_t *record, perm_tuple_t *tuple);
static void perm_state_set_aside(perm_state_file_t *file, char *reason,
    ngx_log_t *log);
static void perm_state_apply(perm_state_file_t *file,
    perm_state_loader_t *loader);
static void perm_state_apply_grant(perm_state_loader_t *loader,
    perm_state_record_t *record, perm_tuple_t *tuple);


void
perm_state_read(ngx_str_t *name, perm_cache_t *cache,
    perm_recorder_t *recorder, uint64_t seed, ngx_log_t *log)
{
    char                 *reason;
    ngx_uint_t            i;
    perm_state_file_t     files[2], *newest;
    perm_state_loader_t   loader;

    ngx_memzero(files, sizeof(files));

    newest = NULL;

    for (i = 0; i < 2; i++) {

        reason = perm_state_load_file(&files[i], name, i ? "~" : "", log);

        if (reason) {
            perm_state_set_aside(&files[i], reason, log);

        } else if (files[i].whole
                   && (newest == NULL
                       || files[i].header.generation
                          > newest->header.generation))
        {
            newest = &files[i];
        }
    }

    if (newest) {
        ngx_memzero(&loader, sizeof(perm_state_loader_t));
        loader.cache = cache;
        loader.recorder = recorder;
        loader.seed = seed;

        perm_state_apply(newest, &loader);

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "app_permission: %ui grants and %ui accesses came back "
                      "from \"%V\"",
                      loader.grants, loader.accesses, &newest->name);
    }

    for (i = 0; i < 2; i++) {
        if (files[i].records) {
            ngx_free(files[i].records);
        }

        if (files[i].name.data) {
            ngx_free(files[i].name.data);
        }
    }
}


/*
 * What is wrong with what it has, or NULL; an unfinished snapshot is nothing
 * wrong, and what cannot be read was told to the log.
 */

static char *
perm_state_load_file(perm_state_file_t *file, ngx_str_t *name, char *suffix,
    ngx_log_t *log)
{
    char       *reason;
    ngx_fd_t    fd;
    ngx_err_t   err;

    file->name.data = ngx_alloc(name->len + 2, log);
    if (file->name.data == NULL) {
        return NULL;
    }

    file->name.len = ngx_sprintf(file->name.data, "%V%s%Z", name, suffix)
                     - file->name.data - 1;

    fd = open((const char *) file->name.data,
              O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_NONBLOCK);

    if (fd == NGX_INVALID_FILE) {
        err = ngx_errno;

        if (err != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, err,
                          "app_permission: cannot open the state file \"%V\", "
                          "nothing comes back from it", &file->name);
        }

        return NULL;
    }

    reason = perm_state_examine(file, fd, log);

    (void) ngx_close_file(fd);

    return reason;
}


/* the header comes first: what is foreign may be of any size */

static char *
perm_state_examine(perm_state_file_t *file, ngx_fd_t fd, ngx_log_t *log)
{
    char             *reason;
    size_t            size;
    ngx_file_info_t   info;

    if (ngx_fd_info(fd, &info) == NGX_FILE_ERROR
        || !ngx_is_file(&info)
        || (info.st_uid != geteuid() && info.st_uid != 0))
    {
        ngx_log_error(NGX_LOG_ERR, log, 0,
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

    if (perm_state_read_data(file, fd, &file->header, sizeof(perm_state_header_t),
                        log)
        != NGX_OK)
    {
        return NULL;
    }

    if (ngx_memcmp(file->header.magic, PERM_STATE_UNFINISHED, 8) == 0) {
        return NULL;
    }

    reason = perm_state_check_header(&file->header, size);
    if (reason) {
        return reason;
    }

    file->records = ngx_alloc(size, log);
    file->size = size - sizeof(perm_state_header_t);

    if (file->records == NULL
        || perm_state_read_data(file, fd, file->records, file->size, log)
           != NGX_OK)
    {
        return NULL;
    }

    return perm_state_check_records(file);
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


static char *
perm_state_check_header(perm_state_header_t *header, size_t size)
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

    if (header->self != perm_state_header_checksum(header)) {
        return "the checksum of its header is wrong";
    }

    return (header->length != size) ? "its length is wrong" : NULL;
}


static char *
perm_state_check_records(perm_state_file_t *file)
{
    char                 *reason;
    size_t                left;
    u_char               *p;
    uint64_t              grants, accesses;
    perm_tuple_t          tuple;
    perm_state_record_t   record;

    if (perm_state_checksum(file->header.generation, file->records, file->size)
        != file->header.checksum)
    {
        return "its checksum is wrong";
    }

    p = file->records;
    left = file->size;
    grants = 0;
    accesses = 0;

    while (left) {
        reason = perm_state_parse(p, left, &record, &tuple);
        if (reason) {
            return reason;
        }

        if (record.kind == PERM_STATE_GRANT) {
            grants++;

        } else {
            accesses++;
        }

        p += perm_state_padded(sizeof(record) + perm_tuple_len(&tuple));
        left -= perm_state_padded(sizeof(record) + perm_tuple_len(&tuple));
    }

    if (grants != file->header.grants || accesses != file->header.accesses) {
        return "the number of its records is wrong";
    }

    file->whole = 1;

    return NULL;
}


static char *
perm_state_parse(u_char *p, size_t left, perm_state_record_t *record,
    perm_tuple_t *tuple)
{
    if (left < sizeof(perm_state_record_t)) {
        return "a record is cut short";
    }

    ngx_memcpy(record, p, sizeof(perm_state_record_t));

    if (record->kind != PERM_STATE_GRANT
        && record->kind != PERM_STATE_ACCESS)
    {
        return "a record is of an unknown kind";
    }

    tuple->gateway.len = record->gateway_len;
    tuple->app.len = record->app_len;
    tuple->resource.len = record->resource_len;

    if (left < perm_state_padded(sizeof(perm_state_record_t)
                                 + perm_tuple_len(tuple)))
    {
        return "a record is cut short";
    }

    perm_tuple_point(tuple, (char *) p + sizeof(perm_state_record_t));

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

    if (record->time <= 0
        || record->time > PERM_STATE_EXPIRES_MAX
        || (record->kind == PERM_STATE_ACCESS && record->time > UINT32_MAX))
    {
        return "a time in it is out of range";
    }

    return NULL;
}


static void
perm_state_set_aside(perm_state_file_t *file, char *reason, ngx_log_t *log)
{
    u_char  *bad;

    bad = ngx_alloc(file->name.len + sizeof(".bad"), log);
    if (bad == NULL) {
        return;
    }

    (void) ngx_sprintf(bad, "%V.bad%Z", &file->name);

    if (ngx_rename_file(file->name.data, bad) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "app_permission: the state file \"%V\" is not used, "
                      "%s; it could not be renamed to \"%s\"",
                      &file->name, reason, bad);

    } else {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: the state file \"%V\" is not used, "
                      "%s; it was renamed to \"%s\"",
                      &file->name, reason, bad);
    }

    ngx_free(bad);
}


/* the file has been checked */

static void
perm_state_apply(perm_state_file_t *file, perm_state_loader_t *loader)
{
    size_t                left;
    u_char               *p;
    uint64_t              hash;
    perm_tuple_t          tuple;
    perm_state_record_t   record;

    loader->now = perm_state_now();

    /* the clock may not be set yet: then that of the last run counts */

    loader->latest = ngx_max(loader->now, file->header.saved)
                     + PERM_STATE_DAY;

    p = file->records;
    left = file->size;

    while (left) {
        (void) perm_state_parse(p, left, &record, &tuple);

        if (record.kind == PERM_STATE_GRANT) {
            perm_state_apply_grant(loader, &record, &tuple);

        } else if (record.time * 1000 <= loader->latest) {
            hash = perm_tuple_hash(&tuple, loader->seed);

            if (perm_recorder_record(loader->recorder, &tuple, hash,
                                     (time_t) record.time)
                == NGX_OK)
            {
                loader->accesses++;
            }
        }

        p += perm_state_padded(sizeof(record) + perm_tuple_len(&tuple));
        left -= perm_state_padded(sizeof(record) + perm_tuple_len(&tuple));
    }
}


static void
perm_state_apply_grant(perm_state_loader_t *loader,
    perm_state_record_t *record, perm_tuple_t *tuple)
{
    int64_t            age;
    ngx_uint_t         live;
    perm_grants_t      grants;
    perm_generation_t  generation;

    if (record->time > loader->latest) {
        return;
    }

    age = loader->now - record->time;
    age = ngx_max(age, 0);

    grants.gateway = record->gateway;
    grants.resource = record->resource;

    live = perm_decision_allows(grants, loader->now / 1000);

    /* of the epoch before: fit as stale, until Redis says more */

    generation = perm_cache_generation(loader->cache, tuple->gateway,
                                       tuple->app);
    generation.epoch--;

    perm_cache_store(loader->cache, tuple, perm_tuple_hash(tuple, loader->seed),
                     grants, live, (int64_t) ngx_current_msec - age,
                     generation);

    loader->grants++;
}
