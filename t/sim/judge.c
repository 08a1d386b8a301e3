
/*
 * The judge knows the table at each time, when a change was made, and when a
 * worker has read the push of it.  What may be answered comes from what is
 * promised, not from how the module does it:
 *
 *   an answer      is that of a table which was true at some time within a
 *                  window, and never of before a change that had been pushed
 *                  when the call began; expired grants allow at no time
 *   the window     of HIT and MISS is 600 ms, a second in a long gap, more when
 *                  another server was promoted,
 *                  "cache_valid" where Redis refuses to track, and some ms
 *                  while nothing is wrong; of STALE "cache_valid" and
 *                  "cache_stale"
 *   not loaded     there is no answer out of such a table
 *   unavailable    is no call that Redis has allowed before, within that time
 *   accesses       reach Redis, are of calls that were allowed, and are written
 *                  once where nothing is wrong
 */


#include "sim.h"


#define SIM_TOLD  64              /* pushes on their way, of a listener */

#define SIM_WINDOW       600      /* ms */
#define SIM_WINDOW_LONG  1000     /* ms, in a gap of SIM_LONG */
#define SIM_WINDOW_CALM  25       /* ms */
#define SIM_LONG         9000     /* ms */
#define SIM_WINDOW_MOVE  2500     /* ms, after a move: a server is demoted, and
                                     asked for its role every 0.9 s */
#define SIM_SETTLE       6000     /* ms until all is as it should be */
#define SIM_SETTLE_REFUSED  17000 /* ms: tracking is tried every 10 s, by a
                                     worker that may be stopped for 5 s */


typedef struct {
    ngx_msec_t      since;
    ngx_uint_t      loaded;
} sim_load_t;

typedef struct {
    uint64_t        bytes;        /* of the link, up to its end */
    ngx_msec_t      made;
    ngx_int_t       key;
    ngx_uint_t      loaded;       /* then */
} sim_sent_t;


static sim_version_t  *sim_versions[SIM_KEYS];
static ngx_uint_t      sim_nversions[SIM_KEYS];
static sim_load_t     *sim_loads;
static ngx_uint_t      sim_nloads;

static sim_sent_t      sim_sent[SIM_LINKS][SIM_TOLD];
static ngx_uint_t      sim_nsent[SIM_LINKS];

/* changes up to then are known to workers: of a key, and of all */

static ngx_msec_t      sim_told[SIM_KEYS];
static ngx_msec_t      sim_told_stale[SIM_KEYS];
static ngx_msec_t      sim_told_all;
static ngx_msec_t      sim_told_at[SIM_KEYS];    /* ... when that was read */
static ngx_msec_t      sim_heard;          /* a listener has read something */

static ngx_uint_t      sim_rough = 1;
static ngx_msec_t      sim_calm_since;
static ngx_msec_t      sim_refused;        /* tracking, last */
static ngx_uint_t      sim_refusing;
static ngx_msec_t      sim_moved;          /* the master, last */
static ngx_msec_t      sim_moving;         /* ... first of several in a row */

static ngx_msec_t      sim_known[SIM_TUPLES];    /* allowed by a lookup */
static int64_t         sim_allowed[SIM_TUPLES];  /* newest second */
static int64_t         sim_due[SIM_TUPLES];      /* ... that Redis will have */
static int64_t         sim_scores[SIM_TUPLES];
static ngx_uint_t      sim_writer_process;

static ngx_uint_t      sim_answers[4][3];
static ngx_uint_t      sim_rests;


static ngx_uint_t sim_judge_steady(void);
static ngx_msec_t sim_judge_lag(void);
static ngx_msec_t sim_judge_window(sim_call_t *call, perm_ctx_t *ctx);
static ngx_msec_t sim_judge_former(ngx_msec_t valid);
static ngx_uint_t sim_judge_true(ngx_uint_t tuple, ngx_msec_t from,
    perm_decision_t *decision, ngx_msec_t slept);
static ngx_uint_t sim_judge_loaded_in(ngx_msec_t from, ngx_msec_t to);
static ngx_uint_t sim_judge_fits(sim_version_t *version, ngx_uint_t field,
    perm_decision_t *decision, ngx_msec_t slept);
static void sim_judge_fail(sim_call_t *call, perm_ctx_t *ctx);
static void sim_judge_asked_again(sim_call_t *call, perm_ctx_t *ctx);
static void sim_judge_wrong(sim_call_t *call, perm_ctx_t *ctx,
    ngx_msec_t from, const char *what) __attribute__((noreturn));


/* ---- what is true -------------------------------------------------------- */

void
sim_judge_version(ngx_uint_t key, sim_version_t *version)
{
    ngx_uint_t  n;

    n = sim_nversions[key]++;

    if ((n & (n - 1)) == 0) {
        sim_versions[key] = realloc(sim_versions[key],
                                    2 * (n + 1) * sizeof(sim_version_t));
    }

    sim_versions[key][n] = *version;
}


void
sim_judge_loaded(ngx_uint_t loaded)
{
    ngx_uint_t  n;

    n = sim_nloads++;

    if ((n & (n - 1)) == 0) {
        sim_loads = realloc(sim_loads, 2 * (n + 1) * sizeof(sim_load_t));
    }

    sim_loads[n].since = sim_now;
    sim_loads[n].loaded = loaded;
}


void
sim_judge_sent(sim_link_t *listener, ngx_int_t key)
{
    ngx_uint_t   i;
    sim_sent_t  *sent;

    i = listener - sim_links;

    if (sim_nsent[i] == SIM_TOLD) {
        return;                   /* less is known to have been told */
    }

    sent = &sim_sent[i][sim_nsent[i]++];
    sent->bytes = listener->pushed;
    sent->made = sim_now;
    sent->key = key;
    sent->loaded = (sim_nloads && sim_loads[sim_nloads - 1].loaded
                    && sim_loads[sim_nloads - 1].since < sim_now);
}


void
sim_judge_read(sim_link_t *link)
{
    ngx_uint_t   i, n;
    ngx_msec_t   made;
    sim_link_t  *source;
    sim_sent_t  *sent;

    if (!link->source) {
        return;
    }

    /* the worker knows that it tracks; after a move that counts later */

    source = sim_link_find(link->source);

    if (source && source->taken == source->pushed
        && sim_now - sim_moved >= SIM_SETTLE)
    {
        sim_heard = sim_now;
    }

    i = link - sim_links;

    for (n = 0; n < sim_nsent[i]; n++) {
        sent = &sim_sent[i][n];

        if (sent->bytes > link->taken) {
            break;
        }

        made = sent->made;

        /* a worker that asks the former master does not hear of that */

        if (made - sim_moved < SIM_WINDOW_MOVE) {
            made = sim_moved - 1;
        }

        if (sent->key < 0) {
            sim_told_all = ngx_max(sim_told_all, made);

        } else {
            sim_told[sent->key] = ngx_max(sim_told[sent->key], made);
            sim_told_at[sent->key] = sim_now;

            /* a load tells nothing of what was revoked */

            if (sent->loaded) {
                sim_told_stale[sent->key] = ngx_max(sim_told_stale[sent->key],
                                                    made);
            }
        }
    }

    sim_nsent[i] -= n;
    memmove(sim_sent[i], sim_sent[i] + n, sim_nsent[i] * sizeof(sim_sent_t));
}


void
sim_judge_gone(sim_link_t *link)
{
    sim_nsent[link - sim_links] = 0;
}


void
sim_judge_rough(void)
{
    sim_rough = 1;
}


void
sim_judge_calm(void)
{
    sim_rough = 0;
    sim_calm_since = sim_now;
    sim_writer_process = 0;
}


void
sim_judge_moved(void)
{
    if (sim_now - sim_moved >= SIM_WINDOW_MOVE) {
        sim_moving = sim_now;
    }

    sim_moved = sim_now;
}


/* that lasts until a worker may track */

void
sim_judge_refused(ngx_uint_t refused)
{
    if (refused || sim_refusing) {
        sim_refused = sim_now;
    }

    sim_refusing = refused;
}


/* everything has had its time to be well again */

static ngx_uint_t
sim_judge_steady(void)
{
    ngx_msec_t  settle;

    settle = (sim_refused + SIM_SETTLE_REFUSED > sim_calm_since + SIM_SETTLE)
             ? sim_refused + SIM_SETTLE_REFUSED : sim_calm_since + SIM_SETTLE;

    return !sim_rough && sim_now >= settle;
}


/* ---- answers ------------------------------------------------------------- */

void
sim_judge_begun(sim_call_t *call)
{
    call->told = ngx_max(sim_told[sim_tuple_key(call->tuple)], sim_told_all);
}


void
sim_judge_decided(sim_call_t *call, perm_ctx_t *ctx)
{
    int64_t           second;
    ngx_uint_t        tuple, steady;
    ngx_msec_t        from;
    perm_decision_t  *decision;

    tuple = call->tuple;
    decision = &ctx->decision;
    steady = sim_judge_steady();

    call->done = 1;
    sim_answers[ctx->cache][decision->outcome]++;

    sim_note("worker %u: %.*s %.*s %.*s: %s %s, cache %d",
             (unsigned) call->process, (int) ctx->tuple.gateway.len,
             ctx->tuple.gateway.data, (int) ctx->tuple.app.len,
             ctx->tuple.app.data, (int) ctx->tuple.resource.len,
             ctx->tuple.resource.data,
             perm_decision_outcome_name(decision->outcome),
             perm_decision_reason_name(decision->reason), (int) ctx->cache);

    if (decision->outcome == PERM_FAIL) {
        sim_judge_fail(call, ctx);
        return;
    }

    from = sim_now - sim_judge_window(call, ctx);

    if (ctx->cache == PERM_CACHE_STALE) {

        if (sim_conf.stale == 0 || steady) {
            sim_judge_wrong(call, ctx, from, "no stale answer is needed");
        }

        from = ngx_max(from, sim_told_stale[sim_tuple_key(tuple)]);

    } else {
        from = ngx_max(from, call->told);
    }

    if (!sim_judge_true(tuple, from, decision, call->worker->slept)) {
        sim_judge_wrong(call, ctx, from, "no table says so");
    }

    if (decision->outcome != PERM_ALLOW) {
        return;
    }

    if (ctx->cache == PERM_CACHE_MISS) {
        sim_judge_asked_again(call, ctx);
        sim_known[tuple] = call->began;
    }

    second = sim_gateway_time();
    sim_allowed[tuple] = ngx_max(sim_allowed[tuple], second);

    /*
     * In the place of a second that is ahead, also of an earlier call, Redis's
     * time is written, which is known as of some moments ago.
     */

    if (second > sim_redis_time()
        || (sim_allowed[tuple] > second && !steady))
    {
        second = ngx_min(second, sim_redis_time_at(sim_now
                                                   - sim_judge_lag()));
    }

    sim_due[tuple] = ngx_max(sim_due[tuple], second);
}


/* how long ago Redis may have given an answer that a worker reads now */

static ngx_msec_t
sim_judge_lag(void)
{
    ngx_uint_t   i;
    ngx_msec_t   slept;

    for (i = 0, slept = 0; i < SIM_WORKERS; i++) {
        if (sim_workers[i].stopped + SIM_WINDOW > sim_now) {
            slept = ngx_max(slept, sim_workers[i].slept);
        }
    }

    return slept + sim_latency_max + SIM_WINDOW;
}


static ngx_msec_t
sim_judge_window(sim_call_t *call, perm_ctx_t *ctx)
{
    ngx_msec_t  valid, window;

    valid = (ctx->decision.outcome == PERM_ALLOW) ? sim_conf.valid
                                                  : sim_conf.valid_denied;

    if (ctx->cache == PERM_CACHE_STALE) {
        return sim_judge_former(valid + sim_conf.stale);
    }

    if (sim_judge_steady()) {
        return SIM_WINDOW_CALM;
    }

    window = (sim_now - sim_heard > SIM_LONG) ? SIM_WINDOW_LONG : SIM_WINDOW;

    if (sim_refusing
        || (sim_refused && sim_now - sim_refused < SIM_SETTLE_REFUSED))
    {
        window = ngx_max(window, sim_judge_former(valid));
    }

    if (sim_now - sim_moved < SIM_WINDOW_MOVE) {
        window = ngx_max(window, sim_now - sim_moving + SIM_WINDOW);
    }

    /* an answer waits for a worker that is stopped */

    if (ctx->cache == PERM_CACHE_MISS
        && sim_now - call->worker->stopped <= SIM_WINDOW)
    {
        window += call->worker->slept;
    }

    return window;
}


/* an entry may be as old as "valid", and the former master's answer then */

static ngx_msec_t
sim_judge_former(ngx_msec_t valid)
{
    return (sim_now - sim_moved < valid + SIM_WINDOW_MOVE)
           ? valid + SIM_WINDOW_MOVE : valid;
}


/* 1: a table that was loaded and true since "from" answers so */

static ngx_uint_t
sim_judge_true(ngx_uint_t tuple, ngx_msec_t from, perm_decision_t *decision,
    ngx_msec_t slept)
{
    ngx_uint_t      n, key;
    ngx_msec_t      until;
    sim_version_t  *version;

    key = sim_tuple_key(tuple);
    until = sim_now;

    for (n = sim_nversions[key]; n-- > 0; /* void */ ) {
        version = &sim_versions[key][n];

        if (sim_judge_loaded_in(ngx_max(from, version->since), until)
            && sim_judge_fits(version, sim_tuple_field(tuple), decision,
                              slept))
        {
            return 1;
        }

        if (version->since <= from) {
            break;
        }

        until = version->since;
    }

    return 0;
}


static ngx_uint_t
sim_judge_loaded_in(ngx_msec_t from, ngx_msec_t to)
{
    ngx_uint_t  n;

    for (n = sim_nloads; n-- > 0; /* void */ ) {

        if (sim_loads[n].since <= to && sim_loads[n].loaded) {
            return 1;
        }

        if (sim_loads[n].since < from) {
            return 0;
        }
    }

    return 0;
}


/* section 3 of the contract, once more */

static ngx_uint_t
sim_judge_fits(sim_version_t *version, ngx_uint_t field,
    perm_decision_t *decision, ngx_msec_t slept)
{
    int64_t        gateway, resource, now, expires;
    perm_reason_t  reason;

    now = sim_gateway_time();
    gateway = version->fields[0];
    resource = version->fields[field];
    expires = PERM_GRANT_ABSENT;

    if (version->end && sim_now >= version->end) {
        reason = PERM_NO_GRANT;

    } else if (gateway > now) {
        reason = PERM_GATEWAY_GRANT;
        expires = gateway;

    } else if (resource > now) {
        reason = PERM_RESOURCE_GRANT;
        expires = resource;

    } else if (resource >= 0) {
        reason = PERM_RESOURCE_GRANT_EXPIRED;

    } else if (gateway >= 0) {
        reason = PERM_GATEWAY_GRANT_EXPIRED;

    } else {
        reason = PERM_NO_GRANT;
    }

    if (decision->reason == reason) {
        return decision->expires <= expires
               && (decision->expires == expires || version->end);
    }

    /* a key ends a little early */

    return version->end && decision->reason == PERM_NO_GRANT
           && sim_now + SIM_WINDOW + slept >= version->end;
}


/* what was known before is not lost */

static void
sim_judge_fail(sim_call_t *call, perm_ctx_t *ctx)
{
    ngx_uint_t       tuple, key;
    ngx_msec_t       known;
    sim_load_t      *load;
    sim_version_t   *version;
    perm_decision_t  allow;

    tuple = call->tuple;
    key = sim_tuple_key(tuple);
    load = sim_nloads ? &sim_loads[sim_nloads - 1] : NULL;

    if (ctx->decision.reason != PERM_UNAVAILABLE) {
        sim_judge_wrong(call, ctx, 0, "it is no failure of that kind");
    }

    if (sim_judge_steady() && load && load->loaded
        && sim_now - load->since > 3000)
    {
        sim_judge_wrong(call, ctx, 0, "Redis can be asked");
    }

    known = sim_known[tuple];

    if (sim_nversions[key] == 0 || known == 0 || sim_conf.stale == 0
        || sim_now - known + 1500 > sim_conf.valid + sim_conf.stale)
    {
        return;
    }

    version = &sim_versions[key][sim_nversions[key] - 1];

    /* the second tracker may have read a change late: that is one once more */

    if (version->since + 1000 > known || version->end
        || sim_told_at[key] >= known)
    {
        return;
    }

    allow.reason = (version->fields[0] > sim_gateway_time())
                   ? PERM_GATEWAY_GRANT : PERM_RESOURCE_GRANT;
    allow.expires = (allow.reason == PERM_GATEWAY_GRANT)
                    ? version->fields[0]
                    : version->fields[sim_tuple_field(tuple)];

    if (sim_judge_fits(version, sim_tuple_field(tuple), &allow, 0)) {
        sim_judge_wrong(call, ctx, known, "it was known to be allowed");
    }
}


/* what is cached is used */

static void
sim_judge_asked_again(sim_call_t *call, perm_ctx_t *ctx)
{
    ngx_uint_t      key;
    ngx_msec_t      known;
    sim_version_t  *version;

    key = sim_tuple_key(call->tuple);
    known = sim_known[call->tuple];
    version = &sim_versions[key][sim_nversions[key] - 1];

    if (sim_judge_steady()
        && known > sim_calm_since + SIM_SETTLE
        && known > sim_refused + SIM_SETTLE_REFUSED
        && call->began > known + 20
        && sim_now + 100 < known + sim_conf.valid
        && version->since + 50 < known && version->end == 0
        && sim_told_at[key] < known)
    {
        sim_judge_wrong(call, ctx, known, "the answer is in the cache");
    }
}


static void
sim_judge_wrong(sim_call_t *call, perm_ctx_t *ctx, ngx_msec_t from,
    const char *what)
{
    ngx_uint_t      n, key, shown;
    sim_version_t  *version;

    key = sim_tuple_key(call->tuple);

    printf("# worker %u, cache %d, began %d ms ago, %s until %lld: since %d "
           "ms ago it may\n", (unsigned) call->process, (int) ctx->cache,
           (int) (sim_now - call->began),
           perm_decision_reason_name(ctx->decision.reason),
           (long long) ctx->decision.expires,
           (int) (sim_now - from));

    for (n = sim_nversions[key], shown = 0; n-- > 0 && shown++ < 4; ) {
        version = &sim_versions[key][n];

        printf("#   %d ms ago: %lld, %lld; ends in %d ms\n",
               (int) (sim_now - version->since),
               (long long) version->fields[0],
               (long long) version->fields[sim_tuple_field(call->tuple)],
               version->end ? (int) (version->end - sim_now) : 0);
    }

    printf("#   loaded: %u, %d ms ago; told %d ms ago; moved %d ms ago; time "
           "%lld, %s\n",
           (unsigned) sim_loads[sim_nloads - 1].loaded,
           (int) (sim_now - sim_loads[sim_nloads - 1].since),
           (int) (sim_now - call->told), (int) (sim_now - sim_moved),
           (long long) sim_gateway_time(),
           sim_judge_steady() ? "steady" : "rough");

    sim_failed("%s %s: %s", perm_decision_outcome_name(ctx->decision.outcome),
               perm_decision_reason_name(ctx->decision.reason), what);
}


/* ---- accesses ------------------------------------------------------------ */

void
sim_judge_access(ngx_uint_t tuple, int64_t second, ngx_uint_t process)
{
    if (second > sim_allowed[tuple]) {
        sim_failed("an access of tuple %u that was never allowed",
                   (unsigned) tuple);
    }

    /* a worker that exits writes what is pending, whoever else does */

    if (sim_judge_steady() && !sim_worker_leaving(process)) {

        /* a second ahead of Redis is written in two steps */

        if (second <= sim_scores[tuple]
            && sim_scores[tuple] >= sim_allowed[tuple]
            && sim_scores[tuple] <= sim_redis_time())
        {
            sim_failed("an access of tuple %u is written twice",
                       (unsigned) tuple);
        }

        if (sim_writer_process && sim_writer_process != process) {
            sim_failed("workers %u and %u write accesses",
                       (unsigned) sim_writer_process, (unsigned) process);
        }

        sim_writer_process = process;
    }

    sim_scores[tuple] = ngx_max(sim_scores[tuple], second);
}


/* no call for as long as accesses may take */

void
sim_judge_rest(void)
{
    ngx_uint_t  i, trackers;

    if (!sim_judge_steady()) {
        return;
    }

    sim_rests++;

    for (i = 0; i < SIM_TUPLES; i++) {
        if (sim_scores[i] < sim_due[i]) {
            sim_failed("an access of tuple %u is lost: %lld, not %lld",
                       (unsigned) i, (long long) sim_scores[i],
                       (long long) sim_due[i]);
        }
    }

    trackers = sim_redis_trackers();

    if (trackers != ngx_min(sim_conf.workers, 2)) {
        sim_failed("%u workers track", (unsigned) trackers);
    }
}


void
sim_judge_report(void)
{
    printf("ok - seed %llu: %u steps, %u s; HIT %u and %u denied, MISS %u and "
           "%u, STALE %u and %u, unavailable %u; %u rests\n",
           (unsigned long long) sim_conf.seed, (unsigned) sim_steps,
           (unsigned) (sim_now - SIM_START) / 1000,
           (unsigned) sim_answers[PERM_CACHE_HIT][PERM_ALLOW],
           (unsigned) sim_answers[PERM_CACHE_HIT][PERM_DENY],
           (unsigned) sim_answers[PERM_CACHE_MISS][PERM_ALLOW],
           (unsigned) sim_answers[PERM_CACHE_MISS][PERM_DENY],
           (unsigned) sim_answers[PERM_CACHE_STALE][PERM_ALLOW],
           (unsigned) sim_answers[PERM_CACHE_STALE][PERM_DENY],
           (unsigned) sim_answers[PERM_CACHE_MISS][PERM_FAIL],
           (unsigned) sim_rests);
}
