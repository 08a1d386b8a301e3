
/*
 * Workers of nginx in one process: each has its own timers, posted events, pid
 * and configuration, which are put in place while it runs.
 */


#include "sim.h"

#include "redis/connection.h"
#include "shm/process.h"


#define SIM_ZONE_SIZE  (1024 * 1024)


sim_worker_t   sim_workers[SIM_WORKERS];
sim_worker_t  *sim_worker;
perm_zone_t    sim_zone;

ngx_module_t   ngx_http_app_permission_module;
ngx_uint_t     ngx_worker;
ngx_pid_t      ngx_pid;
ngx_uint_t     ngx_exiting;

static ngx_uint_t         sim_processes;
static perm_redis_url_t   sim_url;
static perm_redis_node_t  sim_node;
static perm_sync_conf_t   sim_sync;


static void sim_worker_start(ngx_uint_t number);
static void sim_worker_event(uintptr_t data);
static void sim_worker_exit(sim_worker_t *worker);
static void sim_worker_plan(sim_worker_t *worker);


/* ---- what of the module it stands for ------------------------------------ */

perm_process_t
perm_process_self(void)
{
    return sim_worker ? sim_worker->process : 1;
}


ngx_uint_t
perm_process_dead(perm_process_t process)
{
    ngx_uint_t  i;

    for (i = 0; i < SIM_WORKERS; i++) {
        if (sim_workers[i].process == process) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
perm_state_files_write(perm_state_files_t *files, perm_zone_t *zone,
    ngx_log_t *log)
{
    return NGX_OK;
}


void
perm_state_files_abandon(perm_state_files_t *files)
{
}


ngx_int_t
perm_redis_connection_tls_start(perm_redis_connection_t *connection)
{
    return NGX_ERROR;
}


ngx_int_t
ngx_ssl_shutdown(ngx_connection_t *c)
{
    return NGX_OK;
}


/* ---- the zone and the configuration -------------------------------------- */

static void
sim_zone_create(void)
{
    uint64_t          seed;
    ngx_slab_pool_t  *shpool;

    shpool = aligned_alloc(ngx_pagesize, SIM_ZONE_SIZE);
    memset(shpool, 0, SIM_ZONE_SIZE);

    shpool->end = (u_char *) shpool + SIM_ZONE_SIZE;
    shpool->min_shift = 3;
    shpool->addr = shpool;

    (void) ngx_shmtx_create(&shpool->mutex, &shpool->lock, NULL);
    ngx_slab_init(shpool);

    seed = ((uint64_t) sim_random(UINT32_MAX) << 32) | sim_random(UINT32_MAX);

    sim_zone.layout = PERM_ZONE_LAYOUT;
    sim_zone.seed = seed;
    sim_zone.cache = perm_cache_create(shpool, 512 * 1024, seed);
    sim_zone.recorder = perm_recorder_create(shpool, 256 * 1024);

    if (sim_zone.cache == NULL || sim_zone.recorder == NULL) {
        sim_failed("the zone is too small");
    }

    perm_table_state_init(&sim_zone.table, sim_zone.cache);
    perm_trackers_init(&sim_zone.trackers, sim_zone.cache);
}


void
sim_workers_start(void)
{
    ngx_uint_t  i;

    sim_zone_create();

    (void) perm_redis_url_parse(perm_str("redis://10.0.0.1:6379"), &sim_url);
    perm_redis_conf_node(&sim_node, "10.0.0.1", 8, 6379);

    sim_sync.redis.url = &sim_url;
    ngx_str_set(&sim_sync.redis.prefix, "p:");
    sim_sync.redis.connect_timeout = 1000;
    sim_sync.redis.timeout = sim_conf.timeout;
    sim_sync.redis.hosts = &sim_node;
    sim_sync.redis.nhosts = 1;
    sim_sync.zone.zone = &sim_zone;
    sim_sync.flush = sim_conf.flush;
    sim_sync.stale = (sim_conf.stale != 0);

    perm_sync_configured(&sim_sync);

    for (i = 0; i < sim_conf.workers; i++) {
        sim_worker_start(i);
    }
}


/* ---- their lives --------------------------------------------------------- */

void
sim_worker_enter(sim_worker_t *worker)
{
    sim_worker = worker;

    ngx_worker = worker->number;
    ngx_pid = (ngx_pid_t) worker->process;
    ngx_exiting = worker->exiting;
    ngx_event_timer_rbtree.root = worker->timers;

    if (!ngx_queue_empty(&worker->posted)) {
        ngx_queue_add(&ngx_posted_events, &worker->posted);
        ngx_queue_init(&worker->posted);
    }

    ngx_time_update();
}


void
sim_worker_leave(void)
{
    sim_worker_t  *worker = sim_worker;

    worker->timers = ngx_event_timer_rbtree.root;

    if (!ngx_queue_empty(&ngx_posted_events)) {
        ngx_queue_add(&worker->posted, &ngx_posted_events);
        ngx_queue_init(&ngx_posted_events);
    }

    sim_worker = NULL;
}


static void
sim_worker_start(ngx_uint_t number)
{
    ngx_uint_t     i;
    sim_worker_t  *worker;

    for (i = 0; i < SIM_WORKERS && sim_workers[i].process; i++) { /* void */ }

    if (i == SIM_WORKERS) {
        return;
    }

    worker = &sim_workers[i];
    memset(worker, 0, sizeof(sim_worker_t));

    worker->process = ++sim_processes + 1;
    worker->number = number;
    worker->timers = ngx_event_timer_rbtree.sentinel;
    ngx_queue_init(&worker->posted);

    worker->cycle = *ngx_cycle;
    worker->cycle.pool = ngx_create_pool(4096, ngx_cycle->log);

    worker->main.sync = sim_sync;
    worker->main.stats = perm_stats_cell(&sim_zone.stats, number);
    worker->main.serving = 1;

    sim_note("worker %u starts", (unsigned) worker->process);

    sim_worker_enter(worker);

    worker->main.worker = perm_sync_start(&worker->main.sync, &worker->cycle);

    sim_worker_leave();
    sim_worker_wake(worker, sim_now);
}


static void
sim_worker_again(uintptr_t data)
{
    sim_worker_start(data);
}


void
sim_worker_wake(sim_worker_t *worker, ngx_msec_t at)
{
    at = ngx_max(at, worker->stopped);

    if (worker->leaving || (worker->next && worker->next <= at)) {
        return;
    }

    worker->next = at;
    sim_at(at, sim_worker_event, (uintptr_t) (worker - sim_workers)
                                 | worker->process << 8);
}


static void
sim_worker_event(uintptr_t data)
{
    sim_worker_t  *worker;

    worker = &sim_workers[data & 0xff];

    if (worker->process != data >> 8 || worker->leaving
        || worker->next > sim_now)
    {
        return;
    }

    worker->next = 0;

    if (worker->stopped > sim_now) {
        sim_worker_wake(worker, worker->stopped);
        return;
    }

    sim_worker_turn(worker);
}


void
sim_worker_turn(sim_worker_t *worker)
{
    ngx_uint_t  left;

    sim_worker_enter(worker);

    sim_links_events(worker);
    ngx_event_expire_timers();
    ngx_event_process_posted(&worker->cycle, &ngx_posted_events);

    left = (worker->exiting && ngx_event_no_timers_left() == NGX_OK);

    sim_worker_leave();

    if (left) {
        sim_worker_exit(worker);

    } else {
        sim_worker_plan(worker);
    }
}


static void
sim_worker_plan(sim_worker_t *worker)
{
    ngx_msec_t  timer;

    sim_worker_enter(worker);
    timer = ngx_event_find_timer();
    sim_worker_leave();

    if (timer != NGX_TIMER_INFINITE) {
        sim_worker_wake(worker, sim_now + timer);
    }
}


static void
sim_worker_exit(sim_worker_t *worker)
{
    sim_note("worker %u exits", (unsigned) worker->process);

    worker->leaving = 1;

    sim_worker_enter(worker);
    perm_sync_stop(worker->main.worker);
    sim_worker_leave();

    sim_note("worker %u has exited", (unsigned) worker->process);

    sim_calls_killed(worker);
    sim_link_killed(worker);
    ngx_destroy_pool(worker->cycle.pool);
    worker->process = 0;
}


/* what it had in its memory is left behind */

void
sim_worker_kill(sim_worker_t *worker)
{
    if (worker->process == 0 || worker->leaving) {
        return;
    }

    sim_note("worker %u is killed", (unsigned) worker->process);

    sim_calls_killed(worker);
    sim_link_killed(worker);

    worker->process = 0;

    if (!worker->exiting) {
        sim_at(sim_now + sim_random(300), sim_worker_again, worker->number);
    }
}


void
sim_workers_reload(void)
{
    ngx_uint_t     i, n;
    sim_worker_t  *worker, *former[SIM_WORKERS];

    for (i = 0, n = 0; i < SIM_WORKERS; i++) {
        worker = &sim_workers[i];

        if (worker->process == 0) {
            continue;
        }

        if (worker->exiting) {
            return;
        }

        former[n++] = worker;
    }

    if (n != sim_conf.workers) {
        return;
    }

    sim_note("reload");

    perm_sync_configured(&sim_sync);

    for (i = 0; i < sim_conf.workers; i++) {
        sim_worker_start(i);
    }

    for (i = 0; i < n; i++) {
        former[i]->exiting = 1;
        sim_worker_wake(former[i], sim_now + 100);
    }
}


ngx_uint_t
sim_worker_leaving(ngx_uint_t process)
{
    ngx_uint_t  i;

    for (i = 0; i < SIM_WORKERS; i++) {
        if (process && sim_workers[i].process == process) {
            return sim_workers[i].leaving;
        }
    }

    return 1;
}


sim_worker_t *
sim_worker_any(void)
{
    ngx_uint_t     i, n;
    sim_worker_t  *worker, *found;

    for (i = 0, n = 0, found = NULL; i < SIM_WORKERS; i++) {
        worker = &sim_workers[i];

        if (worker->process && !worker->exiting && worker->stopped <= sim_now
            && sim_random(++n) == 0)
        {
            found = worker;
        }
    }

    return found;
}
