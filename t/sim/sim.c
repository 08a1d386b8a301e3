
/*
 * SEED=n STEPS=n sim: the clock, the queue of events, and what of nginx and
 * libc they stand for.
 */


#include "sim.h"

#include "faults.h"

#include <stdarg.h>
#include <time.h>
#include <sys/time.h>


#define SIM_EVENTS  8192


typedef struct {
    ngx_msec_t       at;
    uint32_t         order;      /* random, among those of the same time */
    uint32_t         serial;
    sim_handler_pt   handler;
    uintptr_t        data;
} sim_event_t;


sim_conf_t   sim_conf;
ngx_msec_t   sim_now = SIM_START;
ngx_uint_t   sim_steps;
int64_t      sim_ahead;
ngx_uint_t   sim_verbose;

static uint64_t     sim_state;
static sim_event_t  sim_events[SIM_EVENTS];    /* a heap */
static ngx_uint_t   sim_nevents;
static uint32_t     sim_serial;

static ngx_log_t    sim_log;
static ngx_cycle_t  sim_cycle;
static ngx_core_conf_t  sim_core_conf;
static void        *sim_core_confs[1] = { &sim_core_conf };


/* ---- nginx and libc ------------------------------------------------------ */

ngx_module_t           ngx_core_module;
volatile ngx_cycle_t  *ngx_cycle;
ngx_int_t              ngx_ncpu = 1;
volatile ngx_msec_t    ngx_current_msec;
volatile ngx_time_t   *ngx_cached_time;
volatile ngx_str_t     ngx_cached_err_log_time = ngx_string("sim");

static ngx_time_t      sim_time;


void
ngx_time_update(void)
{
    ngx_current_msec = sim_now;
    sim_time.sec = (time_t) sim_gateway_time();
}


ngx_tid_t
ngx_thread_tid(void)
{
    return 0;
}


void
ngx_debug_point(void)
{
    sim_failed("ngx_debug_point()");
}


/* of ngx_random(), and of the meter of commands */

long
random(void)
{
    return (long) sim_random(0x7fffffff);
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    ts->tv_sec = sim_now / 1000;
    ts->tv_nsec = sim_now % 1000 * 1000000;

    return 0;
}


int64_t
sim_redis_time(void)
{
    return sim_redis_time_at(sim_now);
}


int64_t
sim_redis_time_at(ngx_msec_t at)
{
    return (int64_t) (SIM_EPOCH + at / 1000);
}


int64_t
sim_gateway_time(void)
{
    return ((int64_t) (SIM_EPOCH * 1000 + sim_now) + sim_ahead) / 1000;
}


static void
sim_writer(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    if (level <= NGX_LOG_ALERT) {
        sim_failed("logged: %.*s", (int) len, buf);
    }

    if (sim_verbose) {
        sim_note("  %u: %.*s", sim_worker ? (unsigned) sim_worker->process : 0,
                 (int) len - 1, buf);
    }
}


/* ---- random numbers: splitmix64 ------------------------------------------ */

static uint64_t
sim_next(void)
{
    uint64_t  z;

    z = (sim_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);

    return z ^ (z >> 31);
}


ngx_uint_t
sim_random(ngx_uint_t n)
{
    return (ngx_uint_t) (sim_next() % n);
}


ngx_uint_t
sim_chance(ngx_uint_t permille)
{
    return sim_random(1000) < permille;
}


ngx_msec_t
sim_between(ngx_msec_t min, ngx_msec_t max)
{
    return min + sim_random(max - min + 1);
}


/* ---- events -------------------------------------------------------------- */

static ngx_uint_t
sim_before(sim_event_t *a, sim_event_t *b)
{
    if (a->at != b->at) {
        return a->at < b->at;
    }

    return (a->order != b->order) ? a->order < b->order
                                  : a->serial < b->serial;
}


void
sim_at(ngx_msec_t at, sim_handler_pt handler, uintptr_t data)
{
    ngx_uint_t   i, up;
    sim_event_t  event;

    if (sim_nevents == SIM_EVENTS) {
        sim_failed("too many events");
    }

    event.at = ngx_max(at, sim_now);
    event.order = (uint32_t) sim_next();
    event.serial = sim_serial++;
    event.handler = handler;
    event.data = data;

    for (i = sim_nevents++; i > 0; i = up) {
        up = (i - 1) / 2;

        if (!sim_before(&event, &sim_events[up])) {
            break;
        }

        sim_events[i] = sim_events[up];
    }

    sim_events[i] = event;
}


void
sim_step(void)
{
    ngx_uint_t   i, down;
    sim_event_t  event, last;

    event = sim_events[0];
    last = sim_events[--sim_nevents];

    for (i = 0; (down = 2 * i + 1) < sim_nevents; i = down) {

        if (down + 1 < sim_nevents
            && sim_before(&sim_events[down + 1], &sim_events[down]))
        {
            down++;
        }

        if (!sim_before(&sim_events[down], &last)) {
            break;
        }

        sim_events[i] = sim_events[down];
    }

    sim_events[i] = last;

    sim_now = event.at;
    sim_steps++;

    event.handler(event.data);
}


/* ---- the program --------------------------------------------------------- */

void
sim_note(const char *fmt, ...)
{
    va_list  args;

    if (!sim_verbose) {
        return;
    }

    printf("# %u %u.%03u ", (unsigned) sim_steps,
           (unsigned) (sim_now - SIM_START) / 1000,
           (unsigned) (sim_now - SIM_START) % 1000);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n");
}


void
sim_failed(const char *fmt, ...)
{
    va_list  args;

    printf("not ok - ");

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    printf("\n# SEED=%llu, step %u, at %u ms; SIM_VERBOSE=1 shows the "
           "history\n", (unsigned long long) sim_conf.seed,
           (unsigned) sim_steps, (unsigned) (sim_now - SIM_START));
    fflush(stdout);

    exit(1);
}


static void
sim_nginx_init(void)
{
    ngx_uint_t  n;

    sim_log.log_level = sim_verbose ? NGX_LOG_DEBUG_ALL | NGX_LOG_DEBUG
                                    : NGX_LOG_ALERT;
    sim_log.writer = sim_writer;

    sim_core_conf.worker_processes = sim_conf.workers;
    sim_cycle.log = &sim_log;
    sim_cycle.conf_ctx = (void ****) sim_core_confs;

    ngx_cycle = &sim_cycle;
    ngx_use_stderr = 0;
    ngx_pagesize = getpagesize();
    ngx_cacheline_size = 64;

    for (n = ngx_pagesize; n >>= 1; ngx_pagesize_shift++) { /* void */ }

    (void) ngx_strerror_init();
    ngx_slab_sizes_init();
    ngx_queue_init(&ngx_posted_events);
    ngx_queue_init(&ngx_posted_next_events);

    ngx_cached_time = &sim_time;
    ngx_time_update();

    (void) ngx_event_timer_init(&sim_log);
}


static void
sim_configure(void)
{
    static const ngx_msec_t  valid[] = { 0, 1000, 5000, 60000 };
    static const ngx_msec_t  denied[] = { 0, 500, 2000, 10000 };
    static const ngx_msec_t  stale[] = { 0, 2000, 10000, 86400000 };
    static const ngx_msec_t  flush[] = { 1000, 2000, 5000 };

    sim_conf.workers = 1 + sim_random(3);
    sim_conf.valid = valid[sim_random(10) ? 1 + sim_random(3) : 0];
    sim_conf.valid_denied = denied[sim_random(10) ? 1 + sim_random(3) : 0];
    sim_conf.stale = stale[sim_random(6) ? 1 + sim_random(3) : 0];
    sim_conf.flush = flush[sim_random(3)];
    sim_conf.timeout = sim_random(4) ? 500 : 200;
}


static uint64_t
sim_env(const char *name, uint64_t otherwise)
{
    char  *value;

    value = getenv(name);

    return (value && *value) ? strtoull(value, NULL, 0) : otherwise;
}


int
main(void)
{
    uint64_t  steps;

    sim_conf.seed = sim_env("SEED", 1);
    steps = sim_env("STEPS", 100000);
    sim_verbose = sim_env("SIM_VERBOSE", 0);
    sim_state = sim_conf.seed;

    sim_configure();
    sim_nginx_init();

    sim_note("workers %u, valid %u, denied %u, stale %u, flush %u, timeout %u",
             (unsigned) sim_conf.workers, (unsigned) sim_conf.valid,
             (unsigned) sim_conf.valid_denied, (unsigned) sim_conf.stale,
             (unsigned) sim_conf.flush, (unsigned) sim_conf.timeout);

    sim_workers_start();
    sim_faults_start();

    while (sim_steps < steps) {
        sim_step();
    }

    sim_judge_report();

    return 0;
}
