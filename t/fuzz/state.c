
/*
 * A state file that nginx reads when it starts.  The first byte of the input
 * says how much of the header is made right: an input of records alone would
 * never pass the checksums.  What is read is saved, and read again.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c src/shm/recorder.c
 * sources: src/shm/trackers.c src/shm/lease.c src/shm/process.c
 * sources: src/shm/table_state.c src/shm/health.c src/state/state.c
 * sources: src/state/state_read.c src/state/state_write.c src/shm/zone.c
 * sources: src/shm/records.c src/shm/trylock.c src/shm/distinct.c
 */


#include "fuzz.h"
#include "shm_state.h"


static void put(const uint8_t *data, size_t size);
static size_t count_records(const uint8_t *p, size_t size, int access);
static void check_entries(void);


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
    check_entries();

    n = entries();
    pended = pending();

    if (n || pended) {
        check(save() == NGX_OK);
        load();
        check_entries();

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


/* nothing is trusted, and no name or time is one that Redis could not give */

static void
check_entries(void)
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
            check(entry.grants.gateway >= PERM_GRANT_UNREADABLE
                  && entry.grants.resource >= PERM_GRANT_UNREADABLE);
        }
    }
}
