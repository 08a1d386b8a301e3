
/*
 * The plan of a history: rough times, in which everything goes wrong, and calm
 * ones, at the end of which all has to be well.
 *
 * Bytes come late, in pieces, in another order between links, or end anywhere;
 * links are stalled, end, or end while the worker does not hear of it.  Redis
 * hangs, loads, refuses commands, answers nonsense, is gone, is emptied, is
 * replaced by a server that lacks the last writes; another database is emptied,
 * and keys are written without a change.  Workers are stopped, killed, and
 * reloaded.  The clock is set.
 *
 * Not here: a former master that goes on answering, Sentinels, clusters, a zone
 * of another size, the state file: t/prove/histories.t has those.  Names that
 * lead elsewhere: t/link_names.t.
 */


#include "faults.h"


#define SIM_CALM  14000           /* ms, at least */


static ngx_uint_t  sim_rough_now;
static ngx_uint_t  sim_quiet;     /* no call */


static void sim_faults_rough(uintptr_t data);
static void sim_faults_calm(uintptr_t data);
static void sim_faults_rest(uintptr_t data);
static void sim_faults_end(uintptr_t data);
static void sim_faults_fault(uintptr_t data);
static void sim_faults_call(uintptr_t data);
static void sim_faults_change(uintptr_t data);
static void sim_faults_one(void);
static void sim_faults_latency(void);
static void sim_faults_link(void);
static void sim_faults_worker(void);
static void sim_faults_load(uintptr_t data);


void
sim_faults_start(void)
{
    sim_redis_load();

    sim_at(sim_now + 1, sim_faults_call, 0);
    sim_at(sim_now + 1, sim_faults_change, 0);
    sim_at(sim_now + 5000, sim_faults_rough, 0);
}


static void
sim_faults_rough(uintptr_t data)
{
    sim_note("rough");

    sim_rough_now = 1;
    sim_judge_rough();

    sim_at(sim_now + 1, sim_faults_fault, 0);
    sim_at(sim_now + sim_between(3000, 30000), sim_faults_calm, 0);
}


static void
sim_faults_calm(uintptr_t data)
{
    sim_note("calm");

    sim_rough_now = 0;
    sim_latency_min = 0;
    sim_latency_max = 2;
    sim_ahead = 0;

    sim_redis_calm();
    sim_judge_calm();

    sim_at(sim_now + SIM_CALM + sim_random(10000), sim_faults_rest, 0);
}


/* nobody calls, until all accesses have to be written */

static void
sim_faults_rest(uintptr_t data)
{
    sim_quiet = 1;
    sim_at(sim_now + sim_conf.flush + 1200, sim_faults_end, 0);
}


static void
sim_faults_end(uintptr_t data)
{
    sim_judge_rest();

    sim_quiet = 0;
    sim_faults_rough(0);
}


static void
sim_faults_call(uintptr_t data)
{
    ngx_uint_t     tuple;
    sim_worker_t  *worker;

    sim_at(sim_now + sim_random(20), sim_faults_call, 0);

    worker = sim_worker_any();

    if (worker == NULL || sim_quiet) {
        return;
    }

    tuple = sim_chance(500) ? sim_random(SIM_TUPLES)
                            : sim_random(SIM_RESOURCES);

    sim_worker_enter(worker);

    if (sim_rough_now && sim_chance(10)) {
        sim_call_cancel();
    }

    sim_call(tuple);

    sim_worker_leave();
    sim_worker_turn(worker);
}


static void
sim_faults_change(uintptr_t data)
{
    sim_at(sim_now + sim_between(1, 400), sim_faults_change, 0);
    sim_redis_write();
}


static void
sim_faults_fault(uintptr_t data)
{
    if (!sim_rough_now) {
        return;
    }

    sim_at(sim_now + sim_random(sim_chance(300) ? 20 : 1500), sim_faults_fault,
           0);
    sim_faults_one();
}


static void
sim_faults_one(void)
{
    switch (sim_random(21)) {

    case 0:
    case 1:
        sim_faults_latency();
        break;

    case 2:
    case 3:
    case 4:
        sim_faults_link();
        break;

    case 5:
        sim_redis_down(sim_random(sim_chance(200) ? 15000 : 1500),
                       sim_chance(200));
        break;

    case 6:
        sim_redis.hung = sim_now + sim_random(sim_chance(100) ? 5000 : 800);
        break;

    case 7:
        sim_redis.no_tracking = sim_chance(200);
        break;

    case 8:
        sim_redis.no_lookup = sim_chance(300);
        break;

    case 9:
        sim_redis.no_zadd = sim_chance(400);
        break;

    case 10:
        sim_redis.no_time = sim_chance(100);
        sim_redis.no_pttl = 0;
        break;

    case 11:
        sim_redis.garbage = 1;
        break;

    case 12:
        sim_redis_empty(0);
        sim_at(sim_now + sim_between(100, 4000), sim_faults_load, 0);
        break;

    case 13:
        sim_redis_empty(1);
        break;

    case 14:
        sim_faults_load(0);
        break;

    case 15:
    case 16:
    case 17:
        sim_faults_worker();
        break;

    case 18:
        sim_workers_reload();
        break;

    case 19:
        sim_redis_promote();
        break;

    default:
        sim_ahead = sim_chance(500) ? 0
                    : ((int64_t) sim_random(7200) - 3600) * 1000;
        sim_note("the clock is %lld ms ahead", (long long) sim_ahead);
    }
}


static void
sim_faults_load(uintptr_t data)
{
    sim_redis_load();
}


static void
sim_faults_latency(void)
{
    static const ngx_msec_t  most[] = { 1, 2, 20, 100, 300, 700 };

    sim_latency_max = most[sim_random(6)];
    sim_latency_min = sim_random(2) ? 0 : sim_latency_max / 2;

    sim_note("latency %u to %u ms", (unsigned) sim_latency_min,
             (unsigned) sim_latency_max);
}


static void
sim_faults_link(void)
{
    ngx_uint_t   i, n;
    sim_link_t  *link, *found;

    for (i = 0, n = 0, found = NULL; i < SIM_LINKS; i++) {
        link = &sim_links[i];

        if (link->server && link->client && sim_random(++n) == 0) {
            found = link;
        }
    }

    if (found == NULL) {
        return;
    }

    n = sim_random(5);

    if (n < 3) {
        found->stalled = sim_now + sim_random(sim_chance(300) ? 20000 : 1000);
        sim_note("link %u of %u is stalled for %u ms", (unsigned) found->id,
                 (unsigned) found->process,
                 (unsigned) (found->stalled - sim_now));
    }

    /* where it is stalled, too, the worker does not hear of that for a time */

    if (n > 1) {
        sim_note("link %u of %u ends", (unsigned) found->id,
                 (unsigned) found->process);
        sim_link_close(found, n > 2 && sim_chance(500));
    }
}


static void
sim_faults_worker(void)
{
    sim_worker_t  *worker;

    worker = sim_worker_any();

    if (worker == NULL) {
        return;
    }

    if (sim_chance(400)) {
        sim_worker_kill(worker);
        return;
    }

    worker->slept = sim_random(sim_chance(200) ? 5000 : 600);
    worker->stopped = sim_now + worker->slept;

    sim_note("worker %u is stopped for %u ms", (unsigned) worker->process,
             (unsigned) worker->slept);
}
