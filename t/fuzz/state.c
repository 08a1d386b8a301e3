
/*
 * A state file that nginx reads when it starts.  The first byte of the input
 * says how much of the header is made right: an input of records alone would
 * never pass the checksums.  A second reading has to refuse the same files, and
 * has to have what comes back.  That is saved, and read again.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c src/shm/recorder.c
 * sources: src/shm/trackers.c src/shm/lease.c src/shm/process.c
 * sources: src/shm/table_state.c src/shm/health.c src/state/state.c
 * sources: src/state/state_read.c src/state/state_write.c src/shm/zone.c
 * sources: src/shm/records.c src/shm/trylock.c src/shm/distinct.c
 */


#include "fuzz.h"
#include "shm_state.h"


/* a record as the second reading takes it out of the file */

typedef struct {
    uint8_t       kind;
    int64_t       time, gateway, resource, ttl;
    perm_tuple_t  tuple;
} record_t;


static void put(const uint8_t *data, size_t size);
static size_t count_records(const uint8_t *p, size_t size, int access);
static int read_records(const uint8_t *p, size_t size);
static size_t read_record(const uint8_t *p, size_t size, record_t *record);
static void check_entries(const uint8_t *p, size_t size);
static void check_accesses(const uint8_t *p, size_t size);
static int in_file(const uint8_t *p, size_t size, int access,
    perm_tuple_t *tuple, int64_t time, perm_grants_t *grants);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                 len;
    uint8_t               *file_data;
    ngx_uint_t             n, pended;
    perm_state_header_t    header;

    if (*file_name == '\0') {
        room = 128 * 1024;
        (void) start();
        atexit(clean);
    }

    if (size == 0) {
        return 0;
    }

    ngx_memzero(&header, sizeof(header));
    ngx_memcpy(header.magic, PERM_STATE_MAGIC, 8);
    header.byte_order = PERM_STATE_BYTE_ORDER;
    header.version = PERM_STATE_VERSION;
    header.generation = data[0];
    header.saved = (int64_t) now * 1000;
    header.length = sizeof(header) + size - 1;
    header.grants = count_records(data + 1, size - 1, 0);
    header.accesses = count_records(data + 1, size - 1, 1);
    header.checksum = perm_state_checksum(header.generation, data + 1,
                                          size - 1);

    if (data[0] & 1) {
        header.grants++;
    }

    header.self = perm_state_header_checksum(&header);

    len = (data[0] & 2) ? 0 : sizeof(header);
    file_data = malloc(len + size);
    memcpy(file_data, &header, len);
    memcpy(file_data + len, data + 1, size - 1);

    put(file_data, len + size - 1);
    free(file_data);

    load();

    if (data[0] & 2) {
        data += sizeof(header);
        size = (size > sizeof(header)) ? size - sizeof(header) : 1;

    } else {
        check(exists(file_name, ".bad")
              == ((data[0] & 1) || !read_records(data + 1, size - 1)));
        check(!exists(file_name, ".bad") || (!entries() && !pending()));
    }

    check_entries(data + 1, size - 1);
    check_accesses(data + 1, size - 1);

    n = entries();
    pended = pending();

    if (n || pended) {
        check(save() == NGX_OK);
        load();
        check_entries(data + 1, size - 1);
        check_accesses(data + 1, size - 1);

        /* grants whose key has ended in the meantime are left out */

        check(entries() <= n);
        check(pending() == pended);
    }

    clean();

    return 0;
}


static void
put(const uint8_t *data, size_t size)
{
    FILE  *f;

    f = fopen(file_name, "w");
    check(f != NULL && fwrite(data, 1, size, f) == size);
    fclose(f);
}


/* as far as they can be told apart */

static size_t
count_records(const uint8_t *p, size_t size, int access)
{
    size_t                n, len, left;
    perm_state_record_t   record;

    n = 0;

    for (left = size; left >= offsetof(perm_state_record_t, ttl); left -= len)
    {
        ngx_memcpy(&record, p, offsetof(perm_state_record_t, ttl));
        len = perm_state_record_size(record.kind,
                                     (size_t) record.gateway_len
                                     + record.app_len + record.resource_len);

        if (left < len) {
            break;
        }

        n += ((record.kind == PERM_STATE_ACCESS) == access);
        p += len;
    }

    return n;
}


/* 1: each of them is one that a state file has */

static int
read_records(const uint8_t *p, size_t size)
{
    size_t     len;
    record_t   r;

    while (size) {
        len = read_record(p, size, &r);

        if (len == 0 || r.kind < 1 || r.kind > 3
            || !fuzz_name(r.tuple.gateway, 64) || !fuzz_name(r.tuple.app, 128)
            || !fuzz_name(r.tuple.resource, 256)
            || perm_str_equal(r.tuple.resource, perm_str("-"))
            || r.gateway < -2 || r.gateway > INT64_C(9007199254740992)
            || r.resource < -2 || r.resource > INT64_C(9007199254740992)
            || r.ttl < 0 || r.ttl > INT64_C(4294967295)
            || r.time < 1 || r.time > INT64_C(9007199254740992)
            || (r.kind == 2 && r.time > INT64_C(4294967295)))
        {
            return 0;
        }

        p += len;
        size -= len;
    }

    return 1;
}


/* the bytes of it, or 0: they are not all there */

static size_t
read_record(const uint8_t *p, size_t size, record_t *record)
{
    size_t    len;
    uint16_t  resource_len;

    len = (*p == 3) ? 40 : 32;

    if (size < len) {
        return 0;
    }

    record->kind = *p;
    record->ttl = 0;
    memcpy(&resource_len, p + 4, 2);
    memcpy(&record->time, p + 8, 8);
    memcpy(&record->gateway, p + 16, 8);
    memcpy(&record->resource, p + 24, 8);
    memcpy(&record->ttl, p + 32, len - 32);

    record->tuple.gateway.data = (const char *) p + len;
    record->tuple.gateway.len = p[1];
    record->tuple.app.data = (const char *) p + len + p[1];
    record->tuple.app.len = p[2];
    record->tuple.resource.data = (const char *) p + len + p[1] + p[2];
    record->tuple.resource.len = resource_len;

    len += (size_t) p[1] + p[2] + resource_len;
    len += (8 - len % 8) % 8;

    return (len <= size) ? len : 0;
}


/* nothing is trusted, and everything is of the file */

static void
check_entries(const uint8_t *p, size_t size)
{
    char                 names[PERM_TUPLE_MAX];
    ngx_int_t            rc;
    ngx_uint_t           cursor;
    perm_tuple_t         tuple;
    perm_cache_entry_t   entry;

    cursor = 0;

    while ((rc = perm_cache_next(zone.cache, &cursor, &tuple, names, &entry))
           != NGX_DONE)
    {
        if (rc == NGX_OK) {
            check(!entry.trusted);
            check(fuzz_name(tuple.gateway, 64) && fuzz_name(tuple.app, 128)
                  && fuzz_name(tuple.resource, 256));
            check(entry.fetched <= (int64_t) ngx_current_msec);
            check(in_file(p, size, 0, &tuple, 0, &entry.grants));
        }
    }
}


static void
check_accesses(const uint8_t *p, size_t size)
{
    ngx_uint_t              i, n, cursor;
    perm_recorder_access_t  accesses[16];

    cursor = 0;

    do {
        n = perm_recorder_take(zone.recorder, &cursor, accesses, 16);

        for (i = 0; i < n; i++) {
            check(in_file(p, size, 1, &accesses[i].tuple, accesses[i].last,
                          NULL));
        }
    } while (cursor);
}


/*
 * 1: that tuple has such a record, no later than a day from now; an access is
 * the newest one.  The end of a key is never later than in the file.
 */

static int
in_file(const uint8_t *p, size_t size, int access, perm_tuple_t *tuple,
    int64_t time, perm_grants_t *grants)
{
    int        found;
    size_t     len;
    int64_t    tomorrow;
    record_t   r;

    found = 0;
    tomorrow = ((int64_t) now + 86400) * 1000 + 999;

    for ( /* void */ ; size; p += len, size -= len) {
        len = read_record(p, size, &r);

        if (len == 0) {
            break;
        }

        if ((r.kind == 2) != access
            || !perm_str_equal(r.tuple.gateway, tuple->gateway)
            || !perm_str_equal(r.tuple.resource, tuple->resource)
            || !perm_str_equal(r.tuple.app, tuple->app)
            || r.time * (access ? 1000 : 1) > tomorrow)
        {
            continue;
        }

        if (access) {
            check(r.time <= time);
            found |= (r.time == time);

        } else {
            found |= (r.gateway == grants->gateway
                      && r.resource == grants->resource
                      && (r.kind == 3
                          ? grants->left <= r.ttl * 1000
                          : grants->left == PERM_GRANTS_ENDLESS));
        }
    }

    return found;
}
