
/*
 * A Redis: one table, commands in turns of its event loop, and what it pushes
 * to connections that track.  As in Redis, the keys that were changed in a turn
 * are pushed at its end, behind the replies; FLUSHALL is pushed at once.
 */


#include "sim.h"


#define SIM_ARGS  8


sim_redis_t  sim_redis;

typedef struct {
    sim_version_t  keys[SIM_KEYS];
    ngx_uint_t     there[SIM_KEYS];      /* 1: the key exists */
    ngx_uint_t     loaded;
    ngx_uint_t     load;                 /* of "id" */
} sim_table_t;


static sim_table_t  sim_table;                   /* as it is */
static sim_table_t  sim_before;                  /* a key: its last change */
static sim_table_t  sim_former;                  /* of the former master */
static ngx_uint_t   sim_former_hangs;
static ngx_msec_t   sim_demoted;                 /* it knows from then on */

static ngx_uint_t     sim_changed[SIM_KEYS + 1]; /* the last: "meta" */
static ngx_uint_t     sim_nwrites;               /* of this turn */
static ngx_msec_t     sim_no_time;               /* it was not told */
static ngx_uint_t     sim_planned;               /* a turn is */

static void sim_redis_turn(uintptr_t data);
static ngx_uint_t sim_redis_commands(sim_link_t *link);
static void sim_redis_command(sim_link_t *link, ngx_uint_t argc,
    ngx_str_t *argv);
static void sim_redis_lookup(sim_link_t *link, ngx_uint_t argc,
    ngx_str_t *argv);
static void sim_redis_track(sim_link_t *link, ngx_str_t *id);
static void sim_redis_zadd(sim_link_t *link, ngx_str_t *argv);
static ngx_int_t sim_redis_key(ngx_str_t *key, const char *kind);
static void sim_redis_expire(void);
static void sim_redis_push(void);
static void sim_redis_push_all(ngx_uint_t other);
static void sim_redis_change(ngx_uint_t key, ngx_uint_t load);


/* ---- turns --------------------------------------------------------------- */

void
sim_redis_wake(void)
{
    if (!sim_planned) {
        sim_planned = 1;
        sim_at(ngx_max(sim_now, sim_redis.hung), sim_redis_turn, 0);
    }
}


static void
sim_redis_turn(uintptr_t data)
{
    ngx_uint_t   i, first;
    sim_link_t  *link;

    sim_planned = 0;

    if (sim_redis.hung > sim_now) {
        sim_redis_wake();
        return;
    }

    if (sim_redis.state == SIM_REDIS_GONE) {
        sim_nwrites = 0;
        return;
    }

    sim_redis_expire();

    first = sim_random(SIM_LINKS);

    for (i = 0; i < SIM_LINKS; i++) {
        link = &sim_links[(first + i) % SIM_LINKS];

        if (link->server && !(link->old && sim_former_hangs)
            && link->up.arrived.len)
        {

            if (sim_nwrites && sim_chance(300)) {
                sim_nwrites--;
                sim_redis_change(sim_random(SIM_KEYS), 0);
            }

            (void) sim_redis_commands(link);
        }
    }

    for ( /* void */ ; sim_nwrites; sim_nwrites--) {
        sim_redis_change(sim_random(SIM_KEYS), 0);
    }

    sim_redis_push();
}


static ngx_uint_t
sim_redis_commands(sim_link_t *link)
{
    u_char      *p, *end;
    ngx_uint_t   argc, i;
    ngx_str_t    argv[SIM_ARGS * 2];
    sim_buf_t   *in;

    in = &link->up.arrived;

    while (link->server && in->len) {
        p = in->data + in->pos;
        end = p + in->len;

        if (memchr(p, '\n', end - p) == NULL) {
            return 0;
        }

        argc = (ngx_uint_t) strtoul((char *) p + 1, (char **) &p, 10);
        p += 2;

        for (i = 0; i < argc && i < SIM_ARGS * 2; i++) {

            if (p >= end || memchr(p, '\n', end - p) == NULL) {
                return 0;
            }

            argv[i].len = strtoul((char *) p + 1, (char **) &p, 10);
            argv[i].data = p + 2;
            p += 2 + argv[i].len + 2;

            if (p > end) {
                return 0;
            }
        }

        in->len -= p - (in->data + in->pos);
        in->pos = p - in->data;

        sim_redis_command(link, argc, argv);
    }

    return 1;
}


#define sim_is(arg, text)                                                     \
    ((arg).len == sizeof(text) - 1                                            \
     && memcmp((arg).data, text, sizeof(text) - 1) == 0)

#define sim_say(link, text)  sim_link_reply(link, text, sizeof(text) - 1)


static void
sim_redis_command(sim_link_t *link, ngx_uint_t argc, ngx_str_t *argv)
{
    int         len;
    char        text[128];
    ngx_uint_t  demoted;

    demoted = (link->old && sim_demoted <= sim_now);

    if (sim_redis.garbage) {
        sim_redis.garbage = 0;
        sim_say(link, "?what\r\n");
        sim_link_close(link, 0);
        return;
    }

    if (sim_is(argv[0], "PING")) {

        if (sim_redis.state == SIM_REDIS_LOADING) {
            sim_say(link, "-LOADING Redis is loading\r\n");

        } else if (link->subscribed) {
            sim_say(link, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");

        } else {
            sim_say(link, "+PONG\r\n");
        }

    } else if (sim_is(argv[0], "ROLE") && demoted) {
        sim_say(link, "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.1\r\n:6379\r\n"
                      "$9\r\nconnected\r\n:1\r\n");

    } else if (sim_is(argv[0], "ROLE")) {
        sim_say(link, "*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n");

    } else if (sim_redis.state == SIM_REDIS_LOADING) {
        sim_say(link, "-LOADING Redis is loading\r\n");

    } else if (sim_is(argv[0], "CLIENT") && sim_is(argv[1], "ID")) {
        len = sprintf(text, ":%u\r\n", (unsigned) link->id);
        sim_link_reply(link, text, len);

    } else if (sim_is(argv[0], "SUBSCRIBE")) {
        link->subscribed = 1;
        sim_say(link, "*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate"
                      "\r\n:1\r\n");

    } else if (sim_is(argv[0], "CLIENT")) {
        sim_redis_track(link, &argv[4]);

    } else if (sim_is(argv[0], "TIME")) {

        if (sim_redis.no_time) {
            sim_no_time = sim_now;
            sim_say(link, "-NOPERM no time\r\n");
            return;
        }

        len = sprintf(text, "*2\r\n$10\r\n%010lld\r\n$6\r\n%03u000\r\n",
                      (long long) sim_redis_time(),
                      (unsigned) (sim_now % 1000));
        sim_link_reply(link, text, len);

    } else if (sim_is(argv[0], "ZADD") && demoted) {
        sim_say(link, "-READONLY You can't write against a read only replica."
                      "\r\n");

    } else if (sim_is(argv[0], "ZADD")) {
        sim_redis_zadd(link, argv);

    } else {
        sim_redis_lookup(link, argc, argv);
    }
}


/* ---- lookups ------------------------------------------------------------- */

static ngx_uint_t
sim_redis_field(char *text, int64_t value, ngx_uint_t shape)
{
    char  json[64];

    if (value == PERM_GRANT_ABSENT) {
        return sprintf(text, "$-1\r\n");
    }

    if (value == PERM_GRANT_UNREADABLE) {
        sprintf(json, "soon");

    } else if (shape % 2) {
        sprintf(json, "{\"expires\":%lld,\"type\":\"renew\"}",
                (long long) value);

    } else {
        sprintf(json, "%lld", (long long) value);
    }

    return sprintf(text, "$%u\r\n%s\r\n", (unsigned) strlen(json), json);
}


static void
sim_redis_lookup(sim_link_t *link, ngx_uint_t argc, ngx_str_t *argv)
{
    int           len;
    char          text[256], id[16];
    int64_t       absent, *fields;
    ngx_int_t     key;
    ngx_uint_t    field, there;
    sim_table_t  *table;

    absent = PERM_GRANT_ABSENT;
    table = link->old ? &sim_former : &sim_table;

    if (sim_redis.no_lookup) {
        sim_say(link, "-NOPERM no lookups\r\n");
        return;
    }

    if (sim_is(argv[1], "p:meta")) {

        if (argc == 3) {
            if (table->loaded) {
                sim_say(link, "$1\r\n1\r\n");
            } else {
                sim_say(link, "$-1\r\n");
            }

        } else if (table->loaded) {
            sprintf(id, "id%05u", (unsigned) (table->load % 100000));
            len = sprintf(text, "*2\r\n$1\r\n1\r\n$7\r\n%s\r\n", id);
            sim_link_reply(link, text, len);

        } else {
            sim_say(link, "*2\r\n$-1\r\n$-1\r\n");
        }

        return;
    }

    key = sim_redis_key(&argv[1], "p:grants:");

    if (key == NGX_ERROR) {
        sim_failed("a lookup of \"%.*s\"", (int) argv[1].len, argv[1].data);
    }

    there = table->there[key] && (table->keys[key].end == 0
                                  || table->keys[key].end > sim_now);

    if (sim_is(argv[0], "PTTL")) {

        if (sim_redis.no_pttl) {
            sim_say(link, "-NOPERM no pttl\r\n");
            return;
        }

        len = sprintf(text, ":%lld\r\n",
                      !there ? -2LL
                      : table->keys[key].end == 0 ? -1LL
                      : (long long) (table->keys[key].end - sim_now));
        sim_link_reply(link, text, len);
        return;
    }

    /* HMGET key - resource */

    field = argv[3].data[1] - '0';
    fields = table->keys[key].fields;

    len = sprintf(text, "*2\r\n");
    len += sim_redis_field(text + len, there ? fields[0] : absent, key);
    len += sim_redis_field(text + len, there ? fields[field] : absent, field);
    sim_link_reply(link, text, len);
}


/* "<kind>{g1:a2}" */

static ngx_int_t
sim_redis_key(ngx_str_t *key, const char *kind)
{
    u_char      *p;
    ngx_uint_t   gateway, app;

    if (key->len != strlen(kind) + 7
        || memcmp(key->data, kind, strlen(kind)) != 0)
    {
        return NGX_ERROR;
    }

    p = key->data + strlen(kind);
    gateway = p[2] - '0';
    app = p[5] - '0';

    return (gateway < SIM_GATEWAYS && app < SIM_APPS)
           ? (ngx_int_t) (gateway * SIM_APPS + app) : NGX_ERROR;
}


/* ZADD key GT second resource */

static void
sim_redis_zadd(sim_link_t *link, ngx_str_t *argv)
{
    int64_t     second;
    ngx_int_t   key;
    ngx_uint_t  tuple;

    if (sim_redis.no_zadd) {
        sim_say(link, "-OOM command not allowed\r\n");
        return;
    }

    key = sim_redis_key(&argv[1], "p:access:");
    second = ngx_atoi(argv[3].data, argv[3].len);
    tuple = key * SIM_RESOURCES + argv[4].data[1] - '1';

    if (key == NGX_ERROR || second <= 0 || !sim_is(argv[2], "GT")) {
        sim_failed("an access of \"%.*s\"", (int) argv[1].len, argv[1].data);
    }

    /* a worker that was stopped learnt late that it is not told the time */

    if (link->client && second > sim_redis_time()
        && sim_now - sim_no_time > 3000 + link->worker->slept)
    {
        sim_failed("an access %lld s in the future of Redis",
                   (long long) (second - sim_redis_time()));
    }

    /* a link that its worker has given up may have been stalled for long */

    sim_judge_access(tuple, second, link->client ? link->process : 0);

    sim_say(link, ":0\r\n");
}


/* ---- tracking ------------------------------------------------------------ */

static void
sim_redis_track(sim_link_t *link, ngx_str_t *id)
{
    sim_link_t  *listener;

    if (sim_redis.no_tracking) {
        sim_judge_refused(1);
        sim_say(link, "-NOPERM no tracking\r\n");
        return;
    }

    listener = sim_link_find(ngx_atoi(id->data, id->len));

    if (listener == NULL || !listener->subscribed
        || listener->old != link->old)
    {
        sim_say(link, "-ERR The client ID you want redirect to does not exist"
                      "\r\n");
        return;
    }

    sim_judge_refused(0);
    link->tracking = 1;
    link->listener = listener->id;
    listener->source = link->id;
    sim_say(link, "+OK\r\n");
}


ngx_uint_t
sim_redis_trackers(void)
{
    ngx_uint_t   i, n;
    sim_link_t  *listener;

    for (i = 0, n = 0; i < SIM_LINKS; i++) {

        if (sim_links[i].server && sim_links[i].tracking
            && !sim_links[i].old)
        {
            listener = sim_link_find(sim_links[i].listener);
            n += (listener && listener->server && listener->client);
        }
    }

    return n;
}


static void
sim_redis_message(sim_link_t *listener, const char *keys, size_t len)
{
    sim_say(listener, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate"
                      "\r\n");
    sim_link_reply(listener, keys, len);
}


static void
sim_redis_push(void)
{
    int          len, meta;
    char         keys[SIM_KEYS * 32];
    ngx_uint_t   i, k, n;
    sim_link_t  *listener;

    for (k = 0, n = 0; k < SIM_KEYS; k++) {
        n += sim_changed[k];
    }

    meta = sim_changed[SIM_KEYS];

    if (n == 0 && !meta) {
        return;
    }

    len = sprintf(keys, "*%u\r\n", (unsigned) n);

    for (k = 0; k < SIM_KEYS; k++) {
        if (sim_changed[k]) {
            len += sprintf(keys + len, "$16\r\np:grants:{g%u:a%u}\r\n",
                           (unsigned) (k / SIM_APPS),
                           (unsigned) (k % SIM_APPS));
        }
    }

    for (i = 0; i < SIM_LINKS; i++) {

        if (!sim_links[i].server || !sim_links[i].tracking
            || sim_links[i].old)
        {
            continue;
        }

        listener = sim_link_find(sim_links[i].listener);

        if (listener == NULL || !listener->server) {
            continue;
        }

        if (n) {
            sim_redis_message(listener, keys, len);
        }

        for (k = 0; k < SIM_KEYS; k++) {
            if (sim_changed[k]) {
                sim_judge_sent(listener, k);
            }
        }

        if (meta) {
            sim_redis_message(listener, "*1\r\n$6\r\np:meta\r\n", 16);
        }
    }

    memset(sim_changed, 0, sizeof(sim_changed));
}


static void
sim_redis_push_all(ngx_uint_t other)
{
    ngx_uint_t   i;
    sim_link_t  *listener;

    for (i = 0; i < SIM_LINKS; i++) {

        if (sim_links[i].server && sim_links[i].tracking && !sim_links[i].old
            && (listener = sim_link_find(sim_links[i].listener)) != NULL
            && listener->server)
        {
            sim_redis_message(listener, "$-1\r\n", 5);

            if (!other) {
                sim_judge_sent(listener, -1);
            }
        }
    }
}


/* ---- changes ------------------------------------------------------------- */

/* an end near now, far, or not at all */

static int64_t
sim_redis_grant(void)
{
    int64_t  now;

    now = sim_gateway_time();

    switch (sim_random(8)) {
    case 0:
    case 1:
        return PERM_GRANT_ABSENT;
    case 2:
        return now + sim_random(10);
    case 3:
        return now - 5 + sim_random(10);
    case 4:
        return sim_random(4) ? now + (int64_t) sim_random(60)
                             : PERM_GRANT_UNREADABLE;
    case 5:
        return PERM_GRANT_PERMANENT;
    default:
        return now + 100000 + sim_random(1000);
    }
}


static void
sim_redis_change(ngx_uint_t key, ngx_uint_t load)
{
    ngx_uint_t      i;
    sim_version_t  *version;

    version = &sim_table.keys[key];

    /* a write that changes nothing is pushed, too */

    if (!load && sim_table.there[key] && sim_chance(50)) {
        sim_changed[key] = 1;
        return;
    }

    sim_before.keys[key] = *version;
    sim_before.there[key] = sim_table.there[key];

    if (!load && sim_chance(150)) {

        /* EXPIRE, or PERSIST */

        if (!sim_table.there[key]) {
            return;
        }

        version->end = sim_random(3) ? sim_now + 1 + sim_random(20000) : 0;

    } else if (!load && sim_chance(100)) {
        sim_table.there[key] = 0;

    } else {

        for (i = 0; i < SIM_FIELDS; i++) {
            if (!sim_table.there[key]) {
                version->fields[i] = PERM_GRANT_ABSENT;
            }

            if (load || sim_chance(300)) {
                version->fields[i] = (i == 0 && sim_chance(500))
                                     ? PERM_GRANT_ABSENT : sim_redis_grant();
            }
        }

        version->end = sim_table.there[key] ? version->end : 0;
        sim_table.there[key] = 1;
    }

    if (!sim_table.there[key]) {
        version->end = 0;

        for (i = 0; i < SIM_FIELDS; i++) {
            version->fields[i] = PERM_GRANT_ABSENT;
        }
    }

    version->since = sim_now;
    sim_changed[key] = 1;

    sim_note("changed g%u:a%u: %lld %lld %lld %lld, ends %u",
             (unsigned) (key / SIM_APPS), (unsigned) (key % SIM_APPS),
             (long long) version->fields[0], (long long) version->fields[1],
             (long long) version->fields[2], (long long) version->fields[3],
             (unsigned) version->end);

    sim_judge_version(key, version);
}


/* Redis removes what has ended, and says so */

static void
sim_redis_expire(void)
{
    ngx_uint_t  k, i;

    for (k = 0; k < SIM_KEYS; k++) {

        if (sim_table.there[k] && sim_table.keys[k].end
            && sim_table.keys[k].end <= sim_now)
        {
            sim_table.there[k] = 0;
            sim_table.keys[k].end = 0;
            sim_table.keys[k].since = sim_now;
            sim_changed[k] = 1;

            for (i = 0; i < SIM_FIELDS; i++) {
                sim_table.keys[k].fields[i] = PERM_GRANT_ABSENT;
            }

            sim_judge_version(k, &sim_table.keys[k]);
        }
    }
}


void
sim_redis_write(void)
{
    sim_nwrites++;
    sim_redis_wake();
}


void
sim_redis_empty(ngx_uint_t other)
{
    if (sim_redis.state != SIM_REDIS_UP || sim_redis.hung > sim_now) {
        return;
    }

    sim_note(other ? "another database is emptied" : "FLUSHALL");

    if (!other) {
        memset(sim_table.there, 0, sizeof(sim_table.there));
        sim_table.loaded = 0;
        sim_judge_loaded(0);
    }

    sim_redis_push_all(other);

    if (sim_chance(500)) {
        sim_redis_push();
    }
}


/* some keys are left out, or others than before */

void
sim_redis_load(void)
{
    ngx_uint_t     k, i;
    sim_version_t  none;

    if (sim_table.loaded || sim_redis.state != SIM_REDIS_UP
        || sim_redis.hung > sim_now)
    {
        return;
    }

    sim_note("the table is loaded");

    for (k = 0; k < SIM_KEYS; k++) {

        if (sim_chance(800)) {
            sim_redis_change(k, 1);

        } else {
            memset(&none, 0, sizeof(none));
            none.since = sim_now;

            for (i = 0; i < SIM_FIELDS; i++) {
                none.fields[i] = PERM_GRANT_ABSENT;
            }

            sim_table.keys[k] = none;
            sim_table.there[k] = 0;
            sim_judge_version(k, &none);
        }
    }

    sim_table.loaded = 1;
    sim_table.load++;
    sim_changed[SIM_KEYS] = 1;
    sim_judge_loaded(1);

    sim_redis_push();
}


static void
sim_redis_former_ends(uintptr_t data)
{
    ngx_uint_t  i;

    for (i = 0; i < SIM_LINKS; i++) {
        if (sim_links[i].server && sim_links[i].old) {
            sim_link_close(&sim_links[i], sim_chance(500));
        }
    }
}


/*
 * Another server takes over behind the address.  It may have missed the last
 * changes, and nobody says so.  The former one is heard of no more, for a time,
 * or goes on with what it has for those that are connected to it.
 */

void
sim_redis_promote(void)
{
    ngx_uint_t      i;
    ngx_msec_t      lasts;
    sim_version_t  *version;

    if (sim_redis.state != SIM_REDIS_UP) {
        return;
    }

    lasts = sim_random(5000);

    sim_redis_former_ends(0);

    sim_former = sim_table;
    sim_former_hangs = lasts % 2;
    sim_demoted = sim_now + lasts % 400;

    sim_note("another server is promoted, the former one %s",
             sim_former_hangs ? "hangs" : "answers");

    sim_redis.hung = 0;
    memset(sim_changed, 0, sizeof(sim_changed));

    for (i = 0; i < SIM_LINKS; i++) {
        sim_links[i].old = sim_links[i].server;
    }

    for (i = 0; i < SIM_KEYS; i++) {
        version = &sim_table.keys[i];

        if (sim_now - version->since < 200 && sim_before.there[i]
            && sim_chance(500))
        {
            *version = sim_before.keys[i];
            version->since = sim_now;
            sim_table.there[i] = 1;
            sim_judge_version(i, version);
        }
    }

    sim_judge_moved();

    sim_at(sim_now + lasts, sim_redis_former_ends, 0);
}


static void
sim_redis_up(uintptr_t data)
{
    if (sim_redis.state == SIM_REDIS_GONE) {
        sim_redis.state = data ? SIM_REDIS_LOADING : SIM_REDIS_UP;

        if (data) {
            sim_at(sim_now + sim_random(1000), sim_redis_up, 0);
        }

    } else {
        sim_redis.state = SIM_REDIS_UP;
    }

    sim_note("Redis is %s", sim_redis.state ? "loading" : "up");
}


void
sim_redis_down(ngx_msec_t msec, ngx_uint_t empty)
{
    ngx_uint_t  i;

    if (sim_redis.state == SIM_REDIS_GONE) {
        return;
    }

    sim_note("Redis is down for %u ms%s", (unsigned) msec,
             empty ? ", and comes back empty" : "");

    sim_redis.state = SIM_REDIS_GONE;
    sim_redis.hung = 0;
    memset(sim_changed, 0, sizeof(sim_changed));

    for (i = 0; i < SIM_LINKS; i++) {
        if (sim_links[i].server) {
            sim_link_close(&sim_links[i], sim_chance(500));
        }
    }

    if (empty && sim_table.loaded) {
        memset(sim_table.there, 0, sizeof(sim_table.there));
        sim_table.loaded = 0;
        sim_judge_loaded(0);
    }

    sim_at(sim_now + msec, sim_redis_up, sim_chance(300));
}


void
sim_redis_calm(void)
{
    ngx_uint_t  state;

    sim_redis_former_ends(0);

    state = sim_redis.state;
    memset(&sim_redis, 0, sizeof(sim_redis));
    sim_redis.state = state ? SIM_REDIS_UP : state;

    sim_redis_load();
}


ngx_uint_t
sim_redis_loaded(void)
{
    return sim_table.loaded;
}
