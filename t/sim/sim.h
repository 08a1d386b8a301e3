
/*
 * A world in one process, driven by one seed: workers that share a zone, a
 * network, a Redis, and apps that call.  The module's own code runs in it, from
 * the handler of requests down to the bytes on the socket.  Clock, sockets and
 * processes are simulated; nothing is decided by real time or by addresses.
 */


#ifndef _SIM_H_INCLUDED_
#define _SIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>

#include "http/ctx.h"


#define SIM_GATEWAYS   3
#define SIM_APPS       4
#define SIM_KEYS       (SIM_GATEWAYS * SIM_APPS)
#define SIM_RESOURCES  3
#define SIM_FIELDS     (SIM_RESOURCES + 1)     /* the first one: "-" */
#define SIM_TUPLES     (SIM_KEYS * SIM_RESOURCES)
#define SIM_WORKERS    8                       /* exiting ones, too */

#define SIM_START      UINT64_C(1000000000)    /* ms: sim_now, to begin with */
#define SIM_EPOCH      UINT64_C(1700000000)    /* unix seconds when that is 0 */


/* ---- sim.c: the seed, the clock, events, options ------------------------ */

typedef struct {
    uint64_t     seed;
    ngx_uint_t   workers;
    ngx_msec_t   valid;           /* app_permission_cache_valid, ms */
    ngx_msec_t   valid_denied;
    ngx_msec_t   stale;           /* 0: off */
    ngx_msec_t   flush;
    ngx_msec_t   timeout;         /* app_permission_redis_timeout */
} sim_conf_t;

extern sim_conf_t   sim_conf;
extern ngx_msec_t   sim_now;      /* ms, monotonic */
extern ngx_uint_t   sim_steps;
extern int64_t      sim_ahead;    /* ms: the gateway's clock before Redis's */
extern ngx_uint_t   sim_verbose;

typedef void (*sim_handler_pt)(uintptr_t data);

/* 0 to n - 1 */
ngx_uint_t sim_random(ngx_uint_t n);
/* 1: in so many cases of 1,000 */
ngx_uint_t sim_chance(ngx_uint_t permille);
ngx_msec_t sim_between(ngx_msec_t min, ngx_msec_t max);

/* events of the same time come in any order */
void sim_at(ngx_msec_t at, sim_handler_pt handler, uintptr_t data);

/* runs the next event */
void sim_step(void);

/* unix seconds */
int64_t sim_gateway_time(void);
int64_t sim_redis_time(void);
int64_t sim_redis_time_at(ngx_msec_t at);

/* ends the program, with the seed and the step */
void sim_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)))
    __attribute__((noreturn));

/* a line of the history, with SIM_VERBOSE */
void sim_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));


/* ---- worker.c: processes of nginx --------------------------------------- */

typedef struct {
    ngx_uint_t         process;   /* of no other, ever; 0: there is none */
    ngx_uint_t         number;    /* ngx_worker */
    ngx_msec_t         stopped;   /* until then it does not run */
    ngx_msec_t         slept;     /* ms, for that long */
    ngx_msec_t         next;      /* its next turn; 0: none */
    ngx_rbtree_node_t *timers;
    ngx_queue_t        posted;
    ngx_cycle_t        cycle;
    perm_main_conf_t   main;
    unsigned           exiting:1;
    unsigned           leaving:1; /* in its exit_process */
} sim_worker_t;

extern sim_worker_t   sim_workers[SIM_WORKERS];
extern sim_worker_t  *sim_worker;           /* that runs now, or NULL */
extern perm_zone_t    sim_zone;

void sim_workers_start(void);

/* another worker's globals of nginx, in place of those of "sim_worker" */
void sim_worker_enter(sim_worker_t *worker);
void sim_worker_leave(void);

/* it runs now, as others may have on its behalf */
void sim_worker_turn(sim_worker_t *worker);
/* ... at "at", unless sooner */
void sim_worker_wake(sim_worker_t *worker, ngx_msec_t at);

void sim_workers_reload(void);
void sim_worker_kill(sim_worker_t *worker);
/* 1: it is in its exit_process, or has ended */
ngx_uint_t sim_worker_leaving(ngx_uint_t process);
/* any that lives and takes requests, or NULL */
sim_worker_t *sim_worker_any(void);


/* ---- net.c: connections ------------------------------------------------- */

typedef struct {
    u_char      *data;
    size_t       pos;
    size_t       len;             /* from "pos" */
    size_t       size;
} sim_buf_t;

typedef struct {
    ngx_connection_t   c;         /* of the worker */
    ngx_event_t        read;
    ngx_event_t        write;

    ngx_uint_t         id;        /* of no other, ever; 0: free */
    sim_worker_t      *worker;
    ngx_uint_t         process;
    unsigned           client:1;  /* the worker has it open */
    unsigned           server:1;  /* Redis has it open */
    unsigned           failed:1;  /* reset, or refused */
    unsigned           eof:1;     /* Redis closed it, which has arrived */
    unsigned           readable:1;
    unsigned           writable:1;
    ngx_msec_t         stalled;   /* nothing arrives before */

    struct {
        sim_buf_t      flight;
        sim_buf_t      arrived;
        ngx_msec_t     last;      /* its last bytes arrive then */
    } up, down;                   /* to Redis, to the worker */

    uint64_t           pushed;    /* bytes that Redis has sent ... */
    uint64_t           taken;     /* ... and that the worker has read */

    /* of Redis */
    ngx_uint_t         source;    /* id of the tracked one, of a listener */
    ngx_uint_t         listener;  /* id, of a tracked one */
    unsigned           subscribed:1;
    unsigned           tracking:1;
    unsigned           old:1;     /* at the former master, which is dead */
} sim_link_t;

#define SIM_LINKS  256

extern sim_link_t  sim_links[SIM_LINKS];

/* ms on the way: of what is sent from now on */
extern ngx_msec_t  sim_latency_min;
extern ngx_msec_t  sim_latency_max;

void sim_link_reply(sim_link_t *link, const char *data, size_t len);
/* the server closes, or resets */
void sim_link_close(sim_link_t *link, ngx_uint_t reset);
void sim_link_killed(sim_worker_t *worker);
/* calls the handlers of what has happened to links of this worker */
void sim_links_events(sim_worker_t *worker);
sim_link_t *sim_link_find(ngx_uint_t id);

void sim_buf_add(sim_buf_t *buf, const void *data, size_t len);


/* ---- redis.c: the server ------------------------------------------------ */

/* an expiry of a grant, PERM_GRANT_ABSENT or PERM_GRANT_UNREADABLE */

typedef struct {
    ngx_msec_t   since;
    int64_t      fields[SIM_FIELDS];
    ngx_msec_t   end;             /* of the key; 0: none */
} sim_version_t;

typedef enum {
    SIM_REDIS_UP = 0,
    SIM_REDIS_LOADING,
    SIM_REDIS_GONE                /* refuses connections */
} sim_redis_state_t;

typedef struct {
    sim_redis_state_t  state;
    ngx_msec_t         hung;      /* until then it does nothing */
    unsigned           no_tracking:1;   /* NOPERM */
    unsigned           no_lookup:1;
    unsigned           no_pttl:1;
    unsigned           no_zadd:1;       /* OOM */
    unsigned           no_time:1;
    unsigned           garbage:1;       /* the next reply is none */
} sim_redis_t;

extern sim_redis_t  sim_redis;

/* bytes have arrived */
void sim_redis_wake(void);

/* changes, within the next turn of the server */
void sim_redis_write(void);              /* of any key */
void sim_redis_load(void);               /* "meta", and keys, if it is empty */
void sim_redis_empty(ngx_uint_t other);  /* FLUSHALL, or of another database */
void sim_redis_down(ngx_msec_t msec, ngx_uint_t empty);
void sim_redis_promote(void);
void sim_redis_calm(void);
ngx_uint_t sim_redis_loaded(void);
/* processes that are tracked; the same process counts once */
ngx_uint_t sim_redis_trackers(void);


/* ---- caller.c: requests ------------------------------------------------- */

typedef struct {
    ngx_http_request_t   r;
    ngx_connection_t     c;
    ngx_event_t          read;
    ngx_http_log_ctx_t   log_ctx;
    ngx_log_t            log;
    void                *ctx[1];
    void                *loc_conf[1];

    sim_worker_t        *worker;
    ngx_uint_t           process;
    ngx_uint_t           tuple;
    ngx_msec_t           began;
    ngx_msec_t           told;    /* of the judge: changes up to then had been
                                     pushed when it began */
    unsigned             done:1;
} sim_call_t;

/* a request of a tuple, in the worker that runs now */
void sim_call(ngx_uint_t tuple);
/* clients leave */
void sim_call_cancel(void);
void sim_calls_killed(sim_worker_t *worker);
/* a tuple of the numbers */
perm_tuple_t *sim_tuple(ngx_uint_t tuple);


/* ---- judge.c: what may be answered -------------------------------------- */

#define sim_tuple_key(tuple)    ((tuple) / SIM_RESOURCES)
#define sim_tuple_field(tuple)  ((tuple) % SIM_RESOURCES + 1)

/* at Redis, in this order */
void sim_judge_version(ngx_uint_t key, sim_version_t *version);
void sim_judge_loaded(ngx_uint_t loaded);
void sim_judge_access(ngx_uint_t tuple, int64_t second, ngx_uint_t process);
void sim_judge_sent(sim_link_t *listener, ngx_int_t key);   /* -1: all */

/* in workers */
void sim_judge_read(sim_link_t *link);      /* the pushes up to "taken" */
void sim_judge_gone(sim_link_t *link);
void sim_judge_begun(sim_call_t *call);
void sim_judge_decided(sim_call_t *call, perm_ctx_t *ctx);

/* faults are in the world from now on, or not any more */
void sim_judge_rough(void);
void sim_judge_refused(ngx_uint_t refused); /* tracking is, or is not */
void sim_judge_moved(void);                 /* another server is the master */
void sim_judge_calm(void);
/* the end of a calm time: what has to be so by then */
void sim_judge_rest(void);
void sim_judge_report(void);


#endif /* _SIM_H_INCLUDED_ */
