
/*
 * State files that are damaged, foreign or somewhere else: what is not used.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c src/shm/recorder.c
 * sources: src/shm/trackers.c src/shm/lease.c src/shm/process.c
 * sources: src/shm/table_state.c src/shm/health.c src/state/state.c
 * sources: src/state/state_read.c src/state/state_write.c src/shm/zone.c
 * sources: src/shm/records.c src/shm/trylock.c
 * sources: src/shm/distinct.c
 * sources: src/shm/process.c
 */


#include "shm_state.h"


static void
put(const char *name, const void *data, size_t size)
{
    FILE  *f;

    f = fopen(name, "w");
    fwrite(data, 1, size, f);
    fclose(f);
}


static u_char *
get(const char *name, size_t *size)
{
    FILE         *f;
    u_char       *data;
    struct stat   st;

    stat(name, &st);
    data = malloc(st.st_size + 1);

    f = fopen(name, "r");
    *size = fread(data, 1, st.st_size, f);
    fclose(f);

    return data;
}


static void
test_refused(void)
{
    char         elsewhere[128];
    size_t       size;
    u_char      *data;
    ngx_pool_t  *pool;

    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", dir);

    clean();
    fresh();
    fill();

    (void) save();
    data = get(file_name, &size);

    put(file_name, "hello, this is a file of somebody else, of some size; it "
        "is long enough to have a header", 80);
    load();
    ok(test_logged("it is not a state file; it was renamed to"),
       "a foreign file is set aside");
    ok(!exists(file_name, "") && exists(file_name, ".bad"), "by another name");

    put(file_name, "x", 1);
    put(twin_name, data, size);
    load();
    ok(entries() == GRANTS && pending() == PENDING && test_lines == 2,
       "its whole twin serves");

    data[8] ^= 0xff;
    put(twin_name, data, size);
    load();
    ok(test_logged("byte order"), "another byte order");
    data[8] ^= 0xff;

    data[12]++;
    put(file_name, data, size);
    load();
    ok(test_logged("another version"), "another version");
    data[12]--;

    clean();
    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &test_log);

    put(twin_name, data, size);
    (void) symlink(twin_name, file_name);
    ok(perm_state_files_open(pool, &file, &test_log) == NULL
       && test_logged("symbolic link"), "a symbolic link is not followed");

    (void) rename(twin_name, elsewhere);
    (void) unlink(file_name);
    (void) symlink(elsewhere, file_name);
    load();
    ok(entries() == 0 && test_logged("nothing comes back from it"),
       "nor read from");
    (void) unlink(elsewhere);

    clean();
    put(twin_name, data, size);
    (void) link(twin_name, file_name);
    ok(perm_state_files_open(pool, &file, &test_log) == NULL
       && test_logged("hard link"), "nor is a hard link written to");

    clean();
    (void) mkdir(file_name, 0700);
    ok(perm_state_files_open(pool, &file, &test_log) == NULL
       && test_logged("cannot open"), "nor a directory");
    load();
    ok(test_logged("nothing comes back from it"), "nor one read");
    (void) rmdir(file_name);

    ngx_destroy_pool(pool);
    free(data);
}


/* a header that fits, so that only the records are wrong */

static void
forge(u_char *data, size_t size)
{
    perm_state_header_t  header;

    memcpy(&header, data, sizeof(header));

    header.length = size;
    header.checksum = perm_state_checksum(header.generation,
                                          data + sizeof(header),
                                          size - sizeof(header));
    header.self = perm_state_header_checksum(&header);

    memcpy(data, &header, sizeof(header));
}


static void
test_damage(void)
{
    size_t       size, i;
    u_char      *data;
    unsigned     n, wrong, logged;
    test_tuple_t  c;

    room = 160 * 1024;

    clean();
    fresh();

    for (n = 0; n < 5; n++) {
        store(test_tuple_nth(&c, n), LATER, -1, ngx_current_msec);
        (void) perm_recorder_record(zone.recorder, &c.tuple,
                                    perm_tuple_hash(&c.tuple, SEED), now);
    }

    (void) save();
    data = get(file_name, &size);

    for (i = 0, wrong = 0, logged = 0; i < size; i++) {
        put(file_name, data, i);
        load();
        wrong += (entries() != 0 || pending() != 0);
        logged += (test_lines == 1 && strstr(test_line, "is not used") != NULL);
    }

    ok(wrong == 0 && logged == size - 1, "cut short at each of %d bytes",
       (int) size);

    for (i = 0, wrong = 0, logged = 0; i < size * 8; i++) {
        data[i / 8] ^= 1 << (i % 8);
        put(file_name, data, size);
        load();
        wrong += (entries() != 0 || pending() != 0);
        logged += (test_lines == 1 && strstr(test_line, "is not used") != NULL);
        data[i / 8] ^= 1 << (i % 8);
    }

    ok(wrong == 0 && logged == size * 8, "each of its %d bits turned",
       (int) size * 8);

    /* with checksums that fit: nothing may crash, names stay valid */

    srandom(1);

    for (n = 0; n < 20000; n++) {
        i = sizeof(perm_state_header_t)
            + random() % (size - sizeof(perm_state_header_t));

        wrong = data[i];
        data[i] = (n & 1) ? (u_char) random() : wrong ^ 1 << (random() % 8);

        forge(data, size);
        put(file_name, data, size);
        load();

        data[i] = (u_char) wrong;
    }

    ok(1, "records with anything in them");

    forge(data, size);
    i = sizeof(perm_state_header_t)
        + perm_state_fixed_size(PERM_STATE_GRANT);
    data[i] = '\n';
    forge(data, size);
    put(file_name, data, size);
    load();
    ok(test_logged("a name in it is not valid"), "a name that is none");

    free(data);
}


/* what no clock can have said would be new for ever */

static void
test_future(void)
{
    int                   i, days[] = { 0, 3 };
    size_t                size;
    u_char               *data;
    test_tuple_t          c;
    perm_state_record_t   record;

    clean();
    fresh();
    store(test_tuple_nth(&c, 1), LATER, -1, ngx_current_msec);

    (void) save();
    data = get(file_name, &size);
    memcpy(&record, data + sizeof(perm_state_header_t), sizeof(record));

    for (i = 0; i < 2; i++) {
        record.time += days[i] * INT64_C(86400000);
        memcpy(data + sizeof(perm_state_header_t), &record, sizeof(record));

        forge(data, size);
        put(file_name, data, size);
        load();

        ok(entries() == (days[i] == 0), "fetched %d days ahead", days[i]);
    }

    free(data);
}


int
main(void)
{
    if (!start()) {
        return 2;
    }

    test_refused();
    test_damage();
    test_future();

    return finish();
}
