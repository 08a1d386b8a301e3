
/*
 * Latencies and statuses of many requests, in little memory.
 */


#ifndef _BENCH_HISTOGRAM_H_INCLUDED_
#define _BENCH_HISTOGRAM_H_INCLUDED_


#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>


/* 64 buckets for each power of two: 1.6 % wide */

#define SHIFT            6
#define BUCKETS          (64 << SHIFT)


typedef struct {
    uint64_t        requests;
    uint64_t        failed;             /* another status, or none */
    uint64_t        statuses[600];
    uint64_t        max;                /* usec */
    uint32_t        buckets[BUCKETS];
} histogram_t;


static void
histogram_add(histogram_t *h, uint64_t value, unsigned status,
    unsigned good)
{
    unsigned  power, bucket;

    h->requests++;
    h->statuses[status < 600 ? status : 0]++;
    h->failed += (status != good);

    if (value > h->max) {
        h->max = value;
    }

    if (value < (1 << SHIFT)) {
        bucket = value;

    } else {
        power = 63 - __builtin_clzll(value);
        bucket = ((power - SHIFT + 1) << SHIFT)
                 + ((value >> (power - SHIFT)) & ((1 << SHIFT) - 1));
    }

    h->buckets[bucket]++;
}


static uint64_t
histogram_quantile(histogram_t *h, double q)
{
    uint64_t  rank, seen;
    unsigned  i, power;

    rank = q * h->requests;
    seen = 0;

    for (i = 0; i < BUCKETS; i++) {
        seen += h->buckets[i];

        if (seen > rank) {
            break;
        }
    }

    if (i < (1 << SHIFT)) {
        return i;
    }

    power = (i >> SHIFT) + SHIFT - 1;

    return ((UINT64_C(1) << SHIFT) + (i & ((1 << SHIFT) - 1)))
           << (power - SHIFT);
}


static void
histogram_print(histogram_t *h, const char *kind, double seconds)
{
    unsigned     i;
    const char  *comma;

    printf("{\"kind\":\"%s\",\"seconds\":%.3f,\"requests\":%" PRIu64
           ",\"failed\":%" PRIu64 ",\"rate\":%.1f,\"p50\":%" PRIu64
           ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64
           ",\"max\":%" PRIu64 ",\"statuses\":{",
           kind, seconds, h->requests, h->failed,
           seconds > 0 ? h->requests / seconds : 0,
           histogram_quantile(h, 0.5), histogram_quantile(h, 0.9),
           histogram_quantile(h, 0.99), histogram_quantile(h, 0.999), h->max);

    comma = "";

    for (i = 0; i < 600; i++) {
        if (h->statuses[i]) {
            printf("%s\"%u\":%" PRIu64, comma, i, h->statuses[i]);
            comma = ",";
        }
    }

    printf("}}\n");
    fflush(stdout);
}


#endif /* _BENCH_HISTOGRAM_H_INCLUDED_ */
