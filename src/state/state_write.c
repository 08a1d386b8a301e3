
#include "state/state_priv.h"


typedef enum {
    PERM_STATE_GRANTS = 0,
    PERM_STATE_ACCESSES,
    PERM_STATE_END
} perm_state_phase_t;


static ngx_int_t perm_state_write_grants(perm_state_write_t *writer,
    perm_zone_t *zone);
static ngx_int_t perm_state_write_accesses(perm_state_write_t *writer,
    perm_zone_t *zone);
static void perm_state_put(perm_state_write_t *writer, uint8_t kind,
    perm_tuple_t *tuple, int64_t time, perm_grants_t grants);
static ngx_int_t perm_state_write_buffer(perm_state_write_t *writer);
static ngx_int_t perm_state_finish(perm_state_write_t *writer);
static ngx_int_t perm_state_pwrite(ngx_fd_t fd, void *data, size_t len,
    off_t offset);


ngx_int_t
perm_state_write_start(perm_state_write_t *writer, ngx_fd_t fd,
    uint64_t generation)
{
    perm_state_header_t  *header;

    writer->fd = fd;
    writer->phase = PERM_STATE_GRANTS;
    writer->cursor = 0;
    writer->offset = sizeof(perm_state_header_t);
    writer->used = 0;

    header = &writer->header;

    ngx_memzero(header, sizeof(perm_state_header_t));
    ngx_memcpy(header->magic, PERM_STATE_UNFINISHED, 8);
    header->byte_order = PERM_STATE_BYTE_ORDER;
    header->version = PERM_STATE_VERSION;
    header->generation = generation;
    header->saved = perm_state_now();
    header->checksum = generation;

    return (perm_state_pwrite(fd, header, sizeof(perm_state_header_t), 0)
            == NGX_OK)
           ? NGX_AGAIN : NGX_ERROR;
}


ngx_int_t
perm_state_write_step(perm_state_write_t *writer, perm_zone_t *zone)
{
    ngx_int_t  rc;

    if (writer->phase == PERM_STATE_END) {
        return perm_state_finish(writer);
    }

    rc = (writer->phase == PERM_STATE_GRANTS)
         ? perm_state_write_grants(writer, zone)
         : perm_state_write_accesses(writer, zone);

    if (rc == NGX_DONE) {
        writer->phase++;
        writer->cursor = 0;
    }

    return (perm_state_write_buffer(writer) == NGX_OK) ? NGX_AGAIN : NGX_ERROR;
}


static ngx_int_t
perm_state_write_grants(perm_state_write_t *writer, perm_zone_t *zone)
{
    char                names[PERM_TUPLE_MAX];
    int64_t             time, end;
    ngx_int_t           rc;
    ngx_uint_t          i, kind;
    perm_tuple_t        tuple;
    perm_cache_entry_t  entry;

    for (i = 0; i < PERM_STATE_ENTRIES; i++) {

        rc = perm_zone_next_grant(zone, &writer->cursor, &tuple, names,
                                  &entry);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        time = perm_state_now() - perm_cache_age(entry.fetched);
        kind = PERM_STATE_GRANT;

        if (entry.grants.left != PERM_GRANTS_ENDLESS) {

            /* whole seconds: the lookup moves back, so that the end is exact */

            kind = PERM_STATE_BOUNDED;
            end = perm_state_now() + entry.grants.left;
            entry.grants.left = ngx_max(end - time + 999, 0) / 1000;
            time = end - entry.grants.left * 1000;
        }

        perm_state_put(writer, kind, &tuple, time, entry.grants);
        writer->header.grants++;
    }

    return NGX_AGAIN;
}


static ngx_int_t
perm_state_write_accesses(perm_state_write_t *writer, perm_zone_t *zone)
{
    ngx_uint_t     i, n;
    perm_grants_t  none = { 0, 0, 0 };

    n = perm_recorder_take(zone->recorder, &writer->cursor, writer->accesses,
                           PERM_STATE_BATCH);

    for (i = 0; i < n; i++) {
        perm_state_put(writer, PERM_STATE_ACCESS, &writer->accesses[i].tuple,
                       writer->accesses[i].last, none);
    }

    writer->header.accesses += n;

    return writer->cursor ? NGX_AGAIN : NGX_DONE;
}


static void
perm_state_put(perm_state_write_t *writer, uint8_t kind, perm_tuple_t *tuple,
    int64_t time, perm_grants_t grants)
{
    size_t                size;
    u_char               *p;
    perm_state_record_t   record;

    ngx_memzero(&record, sizeof(perm_state_record_t));

    record.kind = kind;
    record.gateway_len = (uint8_t) tuple->gateway.len;
    record.app_len = (uint8_t) tuple->app.len;
    record.resource_len = (uint16_t) tuple->resource.len;
    record.time = time;
    record.gateway = grants.gateway;
    record.resource = grants.resource;
    record.ttl = grants.left;

    size = perm_state_record_size(kind, perm_tuple_len(tuple));

    p = writer->buffer + writer->used;
    writer->used += size;

    ngx_memzero(p + size - 8, 8);
    p = ngx_cpymem(p, &record, perm_state_fixed_size(kind));
    perm_tuple_write(tuple, (char *) p);
}


static ngx_int_t
perm_state_write_buffer(perm_state_write_t *writer)
{
    if (perm_state_pwrite(writer->fd, writer->buffer, writer->used,
                          writer->offset)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    writer->header.checksum = perm_state_checksum(writer->header.checksum,
                                                  writer->buffer,
                                                  writer->used);
    writer->offset += writer->used;
    writer->used = 0;

    return NGX_OK;
}


static ngx_int_t
perm_state_finish(perm_state_write_t *writer)
{
    perm_state_header_t  *header;

    if (ftruncate(writer->fd, writer->offset) == -1) {
        return NGX_ERROR;
    }

    header = &writer->header;

    ngx_memcpy(header->magic, PERM_STATE_MAGIC, 8);
    header->length = (uint64_t) writer->offset;
    header->self = perm_state_header_checksum(header);

    return perm_state_pwrite(writer->fd, header, sizeof(perm_state_header_t),
                             0);
}


static ngx_int_t
perm_state_pwrite(ngx_fd_t fd, void *data, size_t len, off_t offset)
{
    u_char   *p;
    ssize_t   n;

    p = data;

    while (len) {
        n = pwrite(fd, p, len, offset);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            if (n == 0) {
                ngx_set_errno(NGX_ENOSPC);
            }

            return NGX_ERROR;
        }

        p += n;
        offset += n;
        len -= (size_t) n;
    }

    return NGX_OK;
}
