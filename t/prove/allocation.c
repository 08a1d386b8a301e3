
/*
 * One allocation of a program fails: that which turns the first number in the
 * file PERM_ALLOCATIONS from 1 to 0; others go below.  A test writes it at any
 * time, and more: 1 for those of the module alone; the process whose
 * allocations count, below 0 all but that one, -1 the one that begins next, 0
 * any; the blocks that a process has more than when the test wrote 0 there;
 * that process, 0 none; and here is 1 where one of libssl failed, which keeps
 * blocks with each error.
 *
 * Preloaded, it has the allocations of libc, or of LeakSanitizer or
 * AddressSanitizer where the program has that.  With -DMODULE it is linked into
 * the module with --wrap, and has what the module takes from pools and slabs.
 */


#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


int allocation_fails(void);


#ifndef MODULE

#define FAILS  fails(__builtin_return_address(0))

/* a sanitizer's, where there is one */

#define REAL(name)                                                            \
    (__interceptor_##name ? __interceptor_##name : __libc_##name)

#define DECLARE(type, name, parameters)                                       \
    extern type __libc_##name parameters;                                     \
    extern type __interceptor_##name parameters __attribute__((weak));

DECLARE(void *, malloc, (size_t size))
DECLARE(void *, calloc, (size_t n, size_t size))
DECLARE(void *, realloc, (void *p, size_t size))
DECLARE(void *, memalign, (size_t alignment, size_t size))
DECLARE(void, free, (void *p))


static long  *left;    /* six numbers */
static int    spared;


/* OpenSSL 3 dies where its own start gets no memory: that is not ours */

static int
fails(void *caller)
{
    Dl_info  info;

    if (left == NULL || *left <= 0 || left[1] != 0
        || !dladdr(caller, &info) || strstr(info.dli_fname, "/libcrypto.so")
        || !allocation_fails())
    {
        return 0;
    }

    left[5] |= (strstr(info.dli_fname, "/libssl.so") != NULL);

    return 1;
}


__attribute__((constructor))
static void
begin(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("PERM_ALLOCATIONS");
    fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;

    if (fd != -1) {
        p = mmap(NULL, 6 * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED,
                 fd, 0);
        left = (p == MAP_FAILED) ? NULL : p;

        if (left && left[2] == -1) {
            left[2] = getpid();
        }

        close(fd);
    }
}


int
allocation_fails(void)
{
    if (left == NULL || spared || *left <= 0
        || (left[2] > 0 && left[2] != getpid())
        || (left[2] < 0 && -left[2] == getpid())
        || __atomic_sub_fetch(left, 1, __ATOMIC_RELAXED) != 0)
    {
        return 0;
    }

    errno = ENOMEM;

    return 1;
}


static void *
counted(void *p, int n)
{
    if (p && left && left[4] != 0 && left[4] == getpid()) {
        __atomic_add_fetch(&left[3], n, __ATOMIC_RELAXED);
    }

    return p;
}


void *
malloc(size_t size)
{
    return FAILS ? NULL : counted(REAL(malloc)(size), 1);
}


void *
calloc(size_t n, size_t size)
{
    return FAILS ? NULL : counted(REAL(calloc)(n, size), 1);
}


void *
realloc(void *p, size_t size)
{
    if (p && size == 0) {
        free(p);
        return NULL;
    }

    return FAILS ? NULL : counted(REAL(realloc)(p, size), p == NULL);
}


void *
reallocarray(void *p, size_t n, size_t size)
{
    if (size && n > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }

    return FAILS ? NULL : counted(REAL(realloc)(p, n * size), p == NULL);
}


void *
memalign(size_t alignment, size_t size)
{
    return FAILS ? NULL : counted(REAL(memalign)(alignment, size), 1);
}


void *
aligned_alloc(size_t alignment, size_t size)
{
    return FAILS ? NULL : counted(REAL(memalign)(alignment, size), 1);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    *p = FAILS ? NULL : counted(REAL(memalign)(alignment, size), 1);

    return *p ? 0 : ENOMEM;
}


void
free(void *p)
{
    REAL(free)(counted(p, -1));
}


/*
 * glibc's reading of nsswitch.conf dies where it gets no memory, and loads
 * another library where that of /etc/passwd gets none
 */

#define SPARED(result, name, type)                                            \
    struct result *                                                           \
    name(type who)                                                            \
    {                                                                         \
        struct result  *found, *(*next)(type);                                \
                                                                              \
        spared = 1;                                                           \
        *(void **) &next = dlsym(RTLD_NEXT, #name);                           \
        found = next(who);                                                    \
        spared = 0;                                                           \
                                                                              \
        return found;                                                         \
    }

SPARED(passwd, getpwuid, uid_t)
SPARED(passwd, getpwnam, const char *)
SPARED(group, getgrnam, const char *)

#else

/* nginx says so as well where a pool gets no memory */

#define WRAP(name, parameters, arguments)                                     \
    void *__real_##name parameters;                                           \
    void *__wrap_##name parameters;                                           \
    void *__wrap_##name parameters                                            \
    {                                                                         \
        if (allocation_fails()) {                                             \
            fputs("[emerg] malloc() failed in " #name "\n", stderr);          \
            errno = ENOMEM;                                                   \
            return NULL;                                                      \
        }                                                                     \
                                                                              \
        return __real_##name arguments;                                       \
    }

WRAP(ngx_palloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_pnalloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_pcalloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_create_pool, (size_t size, void *log), (size, log))
WRAP(ngx_pool_cleanup_add, (void *pool, size_t size), (pool, size))
WRAP(ngx_http_cleanup_add, (void *r, size_t size), (r, size))
WRAP(ngx_alloc_chain_link, (void *pool), (pool))
WRAP(ngx_create_temp_buf, (void *pool, size_t size), (pool, size))
WRAP(ngx_array_create, (void *pool, size_t n, size_t size), (pool, n, size))
WRAP(ngx_array_push, (void *array), (array))
WRAP(ngx_array_push_n, (void *array, size_t n), (array, n))
WRAP(ngx_list_push, (void *list), (list))
WRAP(ngx_slab_alloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_slab_calloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_slab_alloc_locked, (void *pool, size_t size), (pool, size))
WRAP(ngx_slab_calloc_locked, (void *pool, size_t size), (pool, size))

#endif
