
/*
 * The state file: a header, and then records, each padded with zeros to whole
 * words of 8 bytes: known grants, and pending accesses.  Numbers are in the
 * byte order of the machine that wrote them.  The header is written last and
 * carries the checksums: without a whole header the file is not whole.
 */


#ifndef _PERM_STATE_FORMAT_H_INCLUDED_
#define _PERM_STATE_FORMAT_H_INCLUDED_


#include "shm/tuple.h"


#define PERM_STATE_MAGIC       "apppermS"
#define PERM_STATE_UNFINISHED  "apppermU"
#define PERM_STATE_BYTE_ORDER  0x01020304
#define PERM_STATE_VERSION     1

#define PERM_STATE_GRANT       1
#define PERM_STATE_ACCESS      2

#define PERM_STATE_EXPIRES_MAX (INT64_C(1) << 53)   /* unix seconds */


typedef struct {
    u_char      magic[8];
    uint32_t    byte_order;
    uint32_t    version;
    uint64_t    generation;   /* the higher one of two files is the newer */
    int64_t     saved;        /* unix ms */
    uint64_t    length;       /* bytes of the file */
    uint64_t    grants;       /* records */
    uint64_t    accesses;
    uint64_t    checksum;     /* of the records, begins with the generation */
    uint64_t    self;         /* checksum of this header up to here */
} perm_state_header_t;


typedef struct {
    uint8_t     kind;
    uint8_t     gateway_len;
    uint8_t     app_len;
    uint8_t     reserved;     /* 0 */
    uint16_t    resource_len;
    uint16_t    reserved2;    /* 0 */
    int64_t     time;         /* fetched, unix ms; last access, unix s */
    int64_t     gateway;      /* expiries; 0 of an access */
    int64_t     resource;
} perm_state_record_t;        /* names follow: gateway, app, resource */


/* bytes of a record with names of "len" bytes */

#define perm_state_record_size(len)                                           \
    ((sizeof(perm_state_record_t) + (len) + 7) & ~(size_t) 7)


/* of whole words; each step is invertible, so one wrong word never gets by */

static ngx_inline uint64_t
perm_state_checksum(uint64_t sum, const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  word;

    for (i = 0; i + 8 <= len; i += 8) {
        ngx_memcpy(&word, p + i, 8);
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
    }

    return sum;
}


static ngx_inline uint64_t
perm_state_header_checksum(perm_state_header_t *header)
{
    return perm_state_checksum(PERM_STATE_VERSION, (u_char *) header,
                               offsetof(perm_state_header_t, self));
}


/* unix ms, for times in the file: ngx_current_msec is of this boot */

#define perm_state_now()                                                      \
    ((int64_t) ngx_timeofday()->sec * 1000 + (int64_t) ngx_timeofday()->msec)


#endif /* _PERM_STATE_FORMAT_H_INCLUDED_ */
