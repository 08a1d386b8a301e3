
/*
 * An HTTP load generator with a fixed rate.
 *
 * Requests fall due by the clock, not when earlier ones are answered, and
 * latency counts from when a request fell due: a server that stalls cannot
 * hide it.  With rate 0 the next request goes out when a connection is free.
 *
 * Prints one JSON object for the whole run, with -i also one for every second.
 * SIGTERM ends it early.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"


#define CONNECTIONS_MAX  1024
#define REPLY_MAX        8192
#define GRACE            2000000    /* usec for the last answers */

typedef struct {
    int             fd;
    unsigned        busy;
    uint64_t        due;                /* usec */
    size_t          received;
    char            reply[REPLY_MAX];
} connection_t;


static struct {
    const char     *address;
    int             port;
    const char     *uri;
    const char     *app;                /* % becomes a number */
    uint64_t        from;
    uint64_t        to;                 /* not included */
    int             shuffle;
    int             connections;
    double          rate;               /* a second; 0: no pace */
    double          seconds;
    uint64_t        count;
    unsigned        status;
    int             intervals;
} opt = {
    "127.0.0.1", 80, "/", "app%", 0, 1, 0, 16, 0, 0, 0, 200, 0
};


static int            ep;
static connection_t   connections[CONNECTIONS_MAX];
static connection_t  *idle[CONNECTIONS_MAX];
static int            nidle;
static histogram_t    total, second;
static uint64_t       sent, answered, number;
static uint64_t       began, end;     /* usec */
static volatile int   stopped;
static uint64_t       random_state = UINT64_C(0x9e3779b97f4a7c15);


static void
stop(int signo)
{
    stopped = signo;
}


static void
die(const char *what)
{
    perror(what);
    exit(1);
}


static uint64_t
usec(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
connection_open(connection_t *c)
{
    int                 on;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd == -1) {
        die("socket");
    }

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(opt.port);
    inet_pton(AF_INET, opt.address, &sin.sin_addr);

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die("connect");
    }

    on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);

    ev.events = EPOLLIN;
    ev.data.ptr = c;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
        die("epoll_ctl");
    }

    c->busy = 0;
    c->received = 0;
    idle[nidle++] = c;
}


static uint64_t
due_at(uint64_t n)
{
    return began + (uint64_t) (n * 1e6 / opt.rate);
}


static uint64_t
next_number(void)
{
    uint64_t  range;

    range = opt.to - opt.from;

    if (!opt.shuffle) {
        return opt.from + number++ % range;
    }

    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return opt.from + random_state % range;
}


static void
request_send(uint64_t due)
{
    int            n;
    char           request[1024];
    const char    *mark;
    connection_t  *c;

    c = idle[--nidle];
    mark = strchr(opt.app, '%');

    n = snprintf(request, sizeof(request),
                 "GET %s HTTP/1.1\r\nHost: bench\r\nX-App: ", opt.uri);

    if (mark) {
        n += snprintf(request + n, sizeof(request) - n, "%.*s%08" PRIu64 "%s",
                      (int) (mark - opt.app), opt.app, next_number(),
                      mark + 1);
    } else {
        n += snprintf(request + n, sizeof(request) - n, "%s", opt.app);
    }

    n += snprintf(request + n, sizeof(request) - n, "\r\n\r\n");

    c->busy = 1;
    c->due = due;
    c->received = 0;
    sent++;

    /* what the socket does not take comes to light as a lost connection */

    if (write(c->fd, request, n) != n) {
        shutdown(c->fd, SHUT_RDWR);
    }
}


static void
request_done(connection_t *c, unsigned status)
{
    uint64_t  latency;

    latency = usec() - c->due;

    histogram_add(&total, latency, status, opt.status);
    histogram_add(&second, latency, status, opt.status);

    c->busy = 0;
    answered++;
}


static void
connection_lost(connection_t *c)
{
    int  i;

    if (c->busy) {
        request_done(c, 0);

    } else {
        for (i = 0; i < nidle; i++) {
            if (idle[i] == c) {
                idle[i] = idle[--nidle];
                break;
            }
        }
    }

    close(c->fd);
    connection_open(c);
}


/* 1 when the whole answer is there */

static int
reply_complete(connection_t *c)
{
    char    *body, *length;
    size_t   n;

    c->reply[c->received] = '\0';

    body = strstr(c->reply, "\r\n\r\n");
    if (body == NULL) {
        return 0;
    }

    body += 4;
    length = strcasestr(c->reply, "\r\nContent-Length:");

    if (length == NULL || length > body) {
        return 1;
    }

    n = strtoul(length + 17, NULL, 10);

    return c->received >= (size_t) (body - c->reply) + n;
}


static void
connection_read(connection_t *c)
{
    ssize_t  n;

    n = read(c->fd, c->reply + c->received, REPLY_MAX - 1 - c->received);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        connection_lost(c);
        return;
    }

    c->received += n;

    if (!reply_complete(c)) {
        return;
    }

    request_done(c, c->received > 12 ? atoi(c->reply + 9) : 0);

    if (strcasestr(c->reply, "\r\nConnection: close\r\n")) {
        close(c->fd);
        connection_open(c);
        return;
    }

    idle[nidle++] = c;
}


/* what fell due before the end is sent, if need be after it */

static int
all_sent(uint64_t now)
{
    if (opt.count && sent >= opt.count) {
        return 1;
    }

    return now >= end && (opt.rate == 0 || due_at(sent) >= end);
}


/* sends what is due; returns usec until the next one, or -1 */

static int64_t
send_due(uint64_t now)
{
    uint64_t  due;

    while (nidle && !all_sent(now)) {

        if (opt.rate > 0) {
            due = due_at(sent);

            if (due > now) {
                return due - now;
            }

        } else {
            due = usec();
        }

        request_send(due);
    }

    return -1;
}


static void
wait_events(int64_t us)
{
    int                 i, n;
    struct timespec     ts;
    struct epoll_event  events[256];

    ts.tv_sec = us / 1000000;
    ts.tv_nsec = us % 1000000 * 1000;

    n = epoll_pwait2(ep, events, 256, &ts, NULL);

    for (i = 0; i < n; i++) {
        connection_read(events[i].data.ptr);
    }
}


static void
run(void)
{
    int64_t   us, next;
    uint64_t  now, tick;

    began = usec();
    end = opt.seconds > 0 ? began + (uint64_t) (opt.seconds * 1e6)
                          : UINT64_MAX;
    tick = began + 1000000;

    for ( ;; ) {
        now = usec();

        if (stopped && end > now) {
            end = now;
        }

        if (opt.intervals && now >= tick) {
            histogram_print(&second, "second", 1.0);
            memset(&second, 0, sizeof(second));
            tick += 1000000;
        }

        if ((all_sent(now) && answered == sent)
            || (end != UINT64_MAX && now > end + GRACE))
        {
            break;
        }

        us = send_due(now);
        next = (tick > now) ? (int64_t) (tick - now) : 0;

        if (us < 0 || us > next) {
            us = next;
        }

        if (us > 100000) {
            us = 100000;
        }

        wait_events(us);
    }

    /* fell due and had no answer, or not even a connection to go out on */

    while (opt.rate > 0 && !all_sent(now)) {
        histogram_add(&total, now - due_at(sent++), 0, opt.status);
        answered++;
    }

    for ( ; answered < sent; answered++) {
        histogram_add(&total, GRACE, 0, opt.status);
    }

    histogram_print(&total, "total",
                    ((now < end ? now : end) - began) / 1e6);
}


static void
usage(void)
{
    fprintf(stderr,
            "usage: load [-a ADDRESS] -p PORT [-u URI] [-A APP] [-f FROM] "
            "[-t TO] [-x]\n"
            "            [-c CONNECTIONS] [-r RATE] [-d SECONDS] [-n COUNT] "
            "[-s STATUS] [-i]\n\n"
            "  -A  X-App; a %% in it becomes a number of FROM .. TO - 1, "
            "8 digits\n"
            "  -x  numbers at random, else one after the other\n"
            "  -s  the status that is no failure (200)\n"
            "  -i  a line every second\n");
    exit(2);
}


int
main(int argc, char **argv)
{
    int  i, o;

    while ((o = getopt(argc, argv, "a:p:u:A:f:t:xc:r:d:n:s:i")) != -1) {
        switch (o) {
        case 'a': opt.address = optarg; break;
        case 'p': opt.port = atoi(optarg); break;
        case 'u': opt.uri = optarg; break;
        case 'A': opt.app = optarg; break;
        case 'f': opt.from = strtoull(optarg, NULL, 10); break;
        case 't': opt.to = strtoull(optarg, NULL, 10); break;
        case 'x': opt.shuffle = 1; break;
        case 'c': opt.connections = atoi(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'd': opt.seconds = atof(optarg); break;
        case 'n': opt.count = strtoull(optarg, NULL, 10); break;
        case 's': opt.status = atoi(optarg); break;
        case 'i': opt.intervals = 1; break;
        default:  usage();
        }
    }

    if (optind != argc || opt.connections < 1
        || opt.connections > CONNECTIONS_MAX || opt.to <= opt.from
        || (opt.seconds <= 0 && opt.count == 0))
    {
        usage();
    }

    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, stop);
    prctl(PR_SET_TIMERSLACK, 1);

    ep = epoll_create1(0);

    for (i = 0; i < opt.connections; i++) {
        connection_open(&connections[i]);
    }

    run();

    return 0;
}
