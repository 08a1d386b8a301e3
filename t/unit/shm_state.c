
/*
 * The state file: what comes back from it, and what does not.
 * sources: src/http/call.c src/http/cache.c src/http/cache_store.c src/http/recorder.c
 * sources: src/http/recorder_take.c src/http/state.c src/http/state_load.c
 * sources: src/http/state_writer.c
 */


#include "shm_stub_os.h"

#include <sys/stat.h>
#include <time.h>

#include "http/state_format.h"


#define SEED     UINT64_C(0x5555aaaa3333cccc)
#define LATER    INT64_C(4000000000)
#define GRANTS   700
#define PENDING  300


static ngx_slab_pool_t  *shpool;
static perm_cache_t     *cache;
static perm_recorder_t  *recorder;
static time_t            now;

static char              dir[] = "/tmp/perm-state-XXXXXX";
static char              file_name[64];
static char              twin_name[64];
static ngx_str_t         file;


static ngx_err_t  lock_error;


ngx_err_t
ngx_trylock_fd(ngx_fd_t fd)
{
    return lock_error;
}


ngx_err_t
ngx_unlock_fd(ngx_fd_t fd)
{
    return 0;
}


static void
fresh(void)
{
    if (shpool) {
        munmap(shpool, stub_end - (u_char *) shpool);
    }

    shpool = stub_pool(2 * 1024 * 1024);
    cache = perm_cache_create(shpool, 400 * 1024, SEED);
    recorder = perm_recorder_create(shpool, 200 * 1024);
}


static void
store(perm_call_t *call, int64_t gateway, int64_t resource, int64_t fetched)
{
    perm_grants_t  grants;

    grants.gateway = gateway;
    grants.resource = resource;

    perm_cache_store(cache, call, perm_call_hash(call, SEED), grants,
                     gateway > now || resource > now, fetched,
                     perm_cache_generation(cache, call->gateway, call->app));
}


static int
lookup(perm_call_t *call, perm_cache_entry_t *entry)
{
    return perm_cache_lookup(cache, call, perm_call_hash(call, SEED),
                             ngx_current_msec, entry)
           == NGX_OK;
}


static void
fill(void)
{
    unsigned     n;
    stub_call_t  c;

    for (n = 0; n < GRANTS; n++) {
        store(stub_nth(&c, n), LATER + n, -1, ngx_current_msec - 5000);
    }

    for (n = 0; n < PENDING; n++) {
        stub_nth(&c, n);
        (void) perm_recorder_record(recorder, &c.call,
                                    perm_call_hash(&c.call, SEED), now - n);
    }
}


static void
load(void)
{
    fresh();
    stub_lines = 0;
    perm_state_load(&file, cache, recorder, SEED, &stub_log);
}


static ngx_uint_t
entries(void)
{
    perm_cache_stat_t  stat;

    perm_cache_stat(cache, &stat);

    return stat.entries;
}


static ngx_uint_t
pending(void)
{
    perm_recorder_stat_t  stat;

    perm_recorder_stat(recorder, &stat);

    return stat.pending;
}


static int
exists(const char *name, const char *suffix)
{
    char         path[128];
    struct stat  st;

    snprintf(path, sizeof(path), "%s%s", name, suffix);

    return lstat(path, &st) == 0;
}


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
clean(void)
{
    char                path[128];
    unsigned            i;
    static const char  *suffixes[] = { "", "~", ".bad", "~.bad", ".tmp" };

    for (i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s%s", file_name, suffixes[i]);
        (void) unlink(path);
    }
}


static void
test_save(void)
{
    unsigned             n;
    ngx_uint_t           good;
    struct stat          st;
    stub_call_t          c;
    perm_cache_entry_t   entry;
    ngx_uint_t           cursor, taken;

    static perm_recorder_access_t  accesses[PENDING];

    load();
    ok(stub_lines == 0 && entries() == 0, "without a file nothing is said");

    fill();

    store(stub_call(&c, "gw", "res", "denied"), -1, -1, ngx_current_msec);
    store(stub_call(&c, "gw", "res", "revoked"), LATER, -1, ngx_current_msec);
    perm_cache_invalidate(cache, c.call.gateway, c.call.app);
    store(stub_call(&c, "gw", "res", "ended"), 5, -2, ngx_current_msec);

    (void) umask(0777);
    ok(perm_state_save(&file, cache, recorder, &stub_log) == NGX_OK, "saved");
    (void) umask(022);

    ok(stat(file_name, &st) == 0 && (st.st_mode & 0777) == 0600,
       "for its owner alone, whatever the umask");
    ok(!exists(file_name, "~") && !exists(file_name, ".tmp"),
       "with nothing left beside it");

    /* another boot, another monotonic clock */

    ngx_current_msec = 77000;
    load();
    ok(stub_logged("701 grants and 300 accesses came back"), "loaded");
    ok(entries() == GRANTS + 1 && pending() == PENDING, "all of it");

    for (n = 0, good = 1; n < GRANTS; n++) {
        good &= lookup(stub_nth(&c, n), &entry)
                && entry.grants.gateway == LATER + n
                && entry.grants.resource == -1
                && !entry.trusted && entry.unchanged
                && entry.fetched >= 77000 - 5000 - 60000
                && entry.fetched <= 77000 - 5000;
    }

    ok(good, "untrusted, fit as stale, as old as they were");

    ok(!lookup(stub_call(&c, "gw", "res", "denied"), &entry),
       "a denial does not come back");
    ok(!lookup(stub_call(&c, "gw", "res", "revoked"), &entry),
       "nor what was reported as changed");
    ok(lookup(stub_call(&c, "gw", "res", "ended"), &entry)
       && entry.grants.gateway == 5 && entry.grants.resource == -2,
       "an ended grant does, for its reason");

    cursor = 0;
    taken = perm_recorder_take(recorder, &cursor, accesses, PENDING);

    for (n = 0, good = 0; n < taken; n++) {
        stub_nth(&c, (unsigned) (now - accesses[n].last));
        good += (memcmp(c.resource, accesses[n].call.resource.data, 24) == 0);
    }

    ok(good == PENDING, "accesses with their seconds");
}


static void
test_write(void)
{
    unsigned       n;
    ngx_int_t      rc;
    ngx_pool_t    *pool;
    perm_state_t  *state;

    clean();
    fresh();
    fill();

    pool = ngx_create_pool(0, &stub_log);
    state = perm_state_open(pool, &file, &stub_log);
    ok(state != NULL && exists(file_name, "") && exists(file_name, "~"),
       "both files are opened");

    load();
    ok(stub_lines == 0, "empty ones are not worth a word");

    fill();

    for (n = 1; (rc = perm_state_write(state, cache, recorder, &stub_log))
                == NGX_AGAIN; n++)
    {
        ngx_current_msec += 5;
    }

    ok(rc == NGX_OK && n > 5, "a snapshot, in %u steps", n);

    load();
    ok(entries() == GRANTS && pending() == PENDING, "comes back");

    /* the next one goes into the other file, and is cut short */

    fresh();

    for (n = 0; n < 3; n++) {
        (void) perm_state_write(state, cache, recorder, &stub_log);
    }

    load();
    ok(entries() == GRANTS && stub_logged("came back from"),
       "an unfinished one does not hide the one before, nor is it damage");

    /* another worker goes on after a while, from the start */

    fresh();
    ngx_current_msec += 5000;

    while ((rc = perm_state_write(state, cache, recorder, &stub_log))
           == NGX_AGAIN)
    {
        ngx_current_msec += 5;
    }

    load();
    ok(rc == NGX_OK && entries() == 0 && stub_logged("0 grants"),
       "the newer of two whole ones counts");

    lock_error = NGX_EBUSY;
    ok(perm_state_write(state, cache, recorder, &stub_log) == NGX_OK,
       "while another nginx writes, this one does not");
    lock_error = 0;

    fill();
    ok(perm_state_save(&file, cache, recorder, &stub_log) == NGX_OK
       && !exists(file_name, "~"), "the last one replaces both");

    load();
    ok(entries() == GRANTS, "and comes back");

    ngx_destroy_pool(pool);
}


static void
test_refused(void)
{
    size_t       size;
    u_char      *data;
    ngx_pool_t  *pool;

    clean();
    fresh();
    fill();

    (void) perm_state_save(&file, cache, recorder, &stub_log);
    data = get(file_name, &size);

    put(file_name, "hello, this is a file of somebody else, of some size; it "
        "is long enough to have a header", 80);
    load();
    ok(stub_logged("it is not a state file; it was renamed to"),
       "a foreign file is set aside");
    ok(!exists(file_name, "") && exists(file_name, ".bad"), "by another name");

    put(file_name, "x", 1);
    put(twin_name, data, size);
    load();
    ok(entries() == GRANTS && pending() == PENDING && stub_lines == 2,
       "its whole twin serves");

    data[8] ^= 0xff;
    put(twin_name, data, size);
    load();
    ok(stub_logged("byte order"), "another byte order");
    data[8] ^= 0xff;

    data[12]++;
    put(file_name, data, size);
    load();
    ok(stub_logged("another version"), "another version");
    data[12]--;

    clean();
    pool = ngx_create_pool(0, &stub_log);

    put(twin_name, data, size);
    (void) symlink(twin_name, file_name);
    ok(perm_state_open(pool, &file, &stub_log) == NULL
       && stub_logged("symbolic link"), "a symbolic link is not followed");

    clean();
    put(twin_name, data, size);
    (void) link(twin_name, file_name);
    ok(perm_state_open(pool, &file, &stub_log) == NULL
       && stub_logged("hard link"), "nor is a hard link written to");

    clean();
    (void) mkdir(file_name, 0700);
    ok(perm_state_open(pool, &file, &stub_log) == NULL
       && stub_logged("cannot open"), "nor a directory");
    load();
    ok(stub_logged("nginx starts without it"), "nor read");
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
    unsigned     n, wrong, told;
    stub_call_t  c;

    clean();
    fresh();

    for (n = 0; n < 5; n++) {
        store(stub_nth(&c, n), LATER, -1, ngx_current_msec);
        (void) perm_recorder_record(recorder, &c.call,
                                    perm_call_hash(&c.call, SEED), now);
    }

    (void) perm_state_save(&file, cache, recorder, &stub_log);
    data = get(file_name, &size);

    for (i = 0, wrong = 0, told = 0; i < size; i++) {
        put(file_name, data, i);
        load();
        wrong += (entries() != 0 || pending() != 0);
        told += (stub_lines == 1 && strstr(stub_line, "is not used") != NULL);
    }

    ok(wrong == 0 && told == size - 1, "cut short at each of %d bytes",
       (int) size);

    for (i = 0, wrong = 0, told = 0; i < size * 8; i++) {
        data[i / 8] ^= 1 << (i % 8);
        put(file_name, data, size);
        load();
        wrong += (entries() != 0 || pending() != 0);
        told += (stub_lines == 1 && strstr(stub_line, "is not used") != NULL);
        data[i / 8] ^= 1 << (i % 8);
    }

    ok(wrong == 0 && told == size * 8, "each of its %d bits turned",
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
    i = sizeof(perm_state_header_t) + sizeof(perm_state_record_t);
    data[i] = '\n';
    forge(data, size);
    put(file_name, data, size);
    load();
    ok(stub_logged("a name in it is not valid"), "a name that is none");

    free(data);
}


int
main(void)
{
    ngx_time_t  cached;

    if (mkdtemp(dir) == NULL) {
        printf("Bail out! no directory\n");
        return 2;
    }

    snprintf(file_name, sizeof(file_name), "%s/state", dir);
    snprintf(twin_name, sizeof(twin_name), "%s/state~", dir);

    file.data = (u_char *) file_name;
    file.len = strlen(file_name);

    now = time(NULL);
    cached.sec = now;
    ngx_cached_time = &cached;

    test_save();
    test_write();
    test_refused();
    test_damage();

    clean();
    (void) rmdir(dir);

    return done();
}
