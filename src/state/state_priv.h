
/*
 * The format of a state file: a header, and then records of known grants and
 * pending accesses, each padded with zeros to whole words of 8 bytes.  Numbers
 * are in the byte order of the machine.  The header is written last and has
 * the checksums: without a valid header the file is not whole.
 */


#ifndef _PERM_STATE_STATE_PRIV_H_INCLUDED_
#define _PERM_STATE_STATE_PRIV_H_INCLUDED_


#include "state/state.h"


#define PERM_STATE_MAGIC       "apppermS"
#define PERM_STATE_UNFINISHED  "apppermU"
#define PERM_STATE_BYTE_ORDER  0x01020304
#define PERM_STATE_VERSION     1

#define PERM_STATE_GRANT       1
#define PERM_STATE_ACCESS      2
#define PERM_STATE_BOUNDED     3   /* a grant whose key has a time to live */

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
    int64_t     ttl;          /* seconds from "time", of PERM_STATE_BOUNDED
                                 only: the others do not have the member */
} perm_state_record_t;        /* names follow: gateway, app, resource */


#define perm_state_fixed_size(kind)                                           \
    ((kind) == PERM_STATE_BOUNDED ? sizeof(perm_state_record_t)               \
                                  : offsetof(perm_state_record_t, ttl))

/* bytes of a record with names of "len" bytes */

#define perm_state_record_size(kind, len)                                     \
    ((perm_state_fixed_size(kind) + (len) + 7) & ~(size_t) 7)


/* of whole words; each step is invertible, so it detects any wrong word */

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


#define perm_state_header_checksum(header)                                    \
    perm_state_checksum(PERM_STATE_VERSION, (u_char *) (header),              \
                        offsetof(perm_state_header_t, self))


/* what is wrong with the header of a whole file, or NULL */

char *perm_state_read_check(perm_state_header_t *header);


/* unix ms, for times in the file: ngx_current_msec is of this boot */

#define perm_state_now()                                                      \
    ((int64_t) ngx_timeofday()->sec * 1000 + (int64_t) ngx_timeofday()->msec)


typedef enum {
    PERM_STATE_FILE = 0,
    PERM_STATE_TWIN,
    PERM_STATE_TEMP,               /* of perm_state_files_save() */
    PERM_STATE_NAMES
} perm_state_name_t;


/* fills names[PERM_STATE_NAMES], NUL-terminated; NGX_OK or NGX_ERROR */

ngx_int_t perm_state_names(ngx_pool_t *pool, ngx_str_t *file,
    ngx_str_t *names);


#define PERM_STATE_ENTRIES  256    /* grants a step */
#define PERM_STATE_BATCH    64     /* accesses a step */


/* writes one snapshot into an open file */

typedef struct {
    ngx_fd_t                 fd;
    ngx_uint_t               phase;
    ngx_uint_t               cursor;
    off_t                    offset;
    size_t                   used;      /* bytes of the buffer */
    perm_state_header_t      header;
    perm_recorder_access_t   accesses[PERM_STATE_BATCH];

    /* room for all records of a step */
    u_char                   buffer[PERM_STATE_ENTRIES
                                    * perm_state_record_size(PERM_STATE_BOUNDED,
                                                             PERM_TUPLE_MAX)];
} perm_state_write_t;


/*
 * Each returns NGX_AGAIN: perm_state_write_step() is next, NGX_OK: the file is
 * whole, or NGX_ERROR with the reason in ngx_errno.
 */

ngx_int_t perm_state_write_start(perm_state_write_t *writer, ngx_fd_t fd,
    uint64_t generation);
ngx_int_t perm_state_write_step(perm_state_write_t *writer,
    perm_zone_t *zone);


#endif /* _PERM_STATE_STATE_PRIV_H_INCLUDED_ */
