
#include "http/writer.h"

#include "core/json.h"


#define PERM_WRITER_FIRST   2048   /* bytes: a denial, of the request's pool */
#define PERM_WRITER_BUFFER  8192   /* bytes of each one after that */
#define PERM_WRITER_ESCAPE  6      /* bytes of the longest in HTML: &quot; */


static ngx_int_t perm_writer_room(perm_writer_t *w, size_t size);
static void perm_writer_wrote(perm_writer_t *w, u_char *last);


void
perm_writer_init(perm_writer_t *w, ngx_pool_t *pool)
{
    ngx_memzero(w, sizeof(perm_writer_t));

    w->pool = pool;
    w->last = &w->first;
}


void ngx_cdecl
perm_writer_put(perm_writer_t *w, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    if (perm_writer_room(w, PERM_WRITER_LINE) != NGX_OK) {
        return;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(w->buf->last, w->buf->last + PERM_WRITER_LINE, fmt,
                      args);
    va_end(args);

    perm_writer_wrote(w, p);
}


void
perm_writer_text(perm_writer_t *w, const char *text, size_t len)
{
    if (perm_writer_room(w, len) == NGX_OK) {
        perm_writer_wrote(w, ngx_cpymem(w->buf->last, text, len));
    }
}


void
perm_writer_json(perm_writer_t *w, perm_str_t text)
{
    u_char  *p;

    if (text.data == NULL) {
        perm_writer_put(w, "null");
        return;
    }

    if (perm_writer_room(w, text.len * PERM_JSON_ESCAPE + 2) != NGX_OK) {
        return;
    }

    p = w->buf->last;

    *p++ = '"';
    p += perm_json_escape((char *) p, text);
    *p++ = '"';

    perm_writer_wrote(w, p);
}


void
perm_writer_html(perm_writer_t *w, perm_str_t text)
{
    if (perm_writer_room(w, text.len * PERM_WRITER_ESCAPE) != NGX_OK) {
        return;
    }

    perm_writer_wrote(w, (u_char *) ngx_escape_html(w->buf->last,
                                                    (u_char *) text.data,
                                                    text.len));
}


ngx_chain_t *
perm_writer_finish(perm_writer_t *w)
{
    if (w->failed || w->buf == NULL) {
        return NULL;
    }

    w->buf->last_in_chain = 1;

    return w->first;
}


/* there are "size" bytes to write to, or the writer has failed */

static ngx_int_t
perm_writer_room(perm_writer_t *w, size_t size)
{
    size_t        least;
    ngx_chain_t  *cl;

    if (w->failed) {
        return NGX_ERROR;
    }

    if (w->buf && (size_t) (w->buf->end - w->buf->last) >= size) {
        return NGX_OK;
    }

    least = w->first ? PERM_WRITER_BUFFER : PERM_WRITER_FIRST;

    w->buf = ngx_create_temp_buf(w->pool, ngx_max(size, least));
    cl = ngx_alloc_chain_link(w->pool);

    if (w->size > PERM_WRITER_MAX || w->buf == NULL || cl == NULL) {
        w->failed = 1;
        return NGX_ERROR;
    }

    cl->buf = w->buf;
    cl->next = NULL;

    *w->last = cl;
    w->last = &cl->next;

    return NGX_OK;
}


static void
perm_writer_wrote(perm_writer_t *w, u_char *last)
{
    w->size += last - w->buf->last;
    w->buf->last = last;
}
