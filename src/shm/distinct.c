
#include "shm/distinct.h"

#include <math.h>


#define PERM_DISTINCT_ALPHA  (0.7213 / (1 + 1.079 / PERM_DISTINCT_REGISTERS))
#define PERM_DISTINCT_FEW    (2.5 * PERM_DISTINCT_REGISTERS)


static uint64_t perm_distinct_mix(uint64_t hash);


/* a register keeps the longest run of zero bits that a key of it had, plus 1 */

void
perm_distinct_add(perm_distinct_t *distinct, uint64_t hash)
{
    u_char      seen, rank;
    u_char     *r;
    uint64_t    rest;

    hash = perm_distinct_mix(hash);

    r = &distinct->registers[hash >> (64 - PERM_DISTINCT_BITS)];
    rest = hash << PERM_DISTINCT_BITS;
    rank = rest ? __builtin_clzll(rest) + 1 : 64 - PERM_DISTINCT_BITS + 1;

    seen = __atomic_load_n(r, __ATOMIC_RELAXED);

    while (seen < rank
           && !__atomic_compare_exchange_n(r, &seen, rank, 0,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    { /* void */ }
}


ngx_uint_t
perm_distinct_count(perm_distinct_t *distinct)
{
    double      sum, n;
    u_char      rank;
    ngx_uint_t  i, empty;

    sum = 0;
    empty = 0;

    for (i = 0; i < PERM_DISTINCT_REGISTERS; i++) {
        rank = __atomic_load_n(&distinct->registers[i], __ATOMIC_RELAXED);
        sum += ldexp(1, -rank);
        empty += (rank == 0);
    }

    n = PERM_DISTINCT_ALPHA * PERM_DISTINCT_REGISTERS
        * PERM_DISTINCT_REGISTERS / sum;

    if (n <= PERM_DISTINCT_FEW && empty) {
        n = PERM_DISTINCT_REGISTERS
            * log((double) PERM_DISTINCT_REGISTERS / (double) empty);
    }

    return (ngx_uint_t) (n + 0.5);
}


/* keys whose hashes differ by little get different registers (splitmix64) */

static uint64_t
perm_distinct_mix(uint64_t hash)
{
    hash ^= hash >> 30;
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    hash ^= hash >> 27;
    hash *= UINT64_C(0x94d049bb133111eb);

    return hash ^ (hash >> 31);
}
