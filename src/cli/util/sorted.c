
#include "cli/util/sorted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"
#include "cli/util/temporary.h"


#define ROOM     (4 * 1024 * 1024)   /* bytes of rows in memory */
#define CONTENT  "the rows of a long list"


/* a row in memory or in a file: its lengths, then the name and the text */

typedef struct {
    int64_t      number;
    uint32_t     name;
    uint32_t     text;
} perm_sorted_head_t;


/* sorted rows in a file, and the first that was not visited yet */

typedef struct {
    FILE        *file;
    char        *row;      /* NULL: there is none */
    size_t       size;
} perm_sorted_run_t;


struct perm_sorted_s {
    char               *rows;
    size_t              used;
    char              **list;      /* into "rows" */
    size_t              n;
    size_t              size;
    size_t              next;      /* of the list, to be visited */
    perm_sorted_run_t  *runs;
    size_t              nruns;
    size_t              runs_size;
};


static void sort(perm_sorted_t *sorted);
static void write_run(perm_sorted_t *sorted);
static void read_row(perm_sorted_run_t *run);
static char *next_row(perm_sorted_t *sorted, size_t *run);
static size_t row_size(const char *row);
static int compare(const void *a, const void *b);
static int compare_rows(const char *a, const char *b);


perm_sorted_t *
perm_sorted_create(void)
{
    perm_sorted_t  *sorted;

    sorted = perm_alloc_check(calloc(1, sizeof(perm_sorted_t)));
    sorted->rows = perm_alloc(ROOM);

    return sorted;
}


void
perm_sorted_add(perm_sorted_t *sorted, const perm_sorted_row_t *row)
{
    char                *p;
    size_t               size;
    perm_sorted_head_t   head;

    head.number = row->number;
    head.name = (uint32_t) row->name.len;
    head.text = (uint32_t) row->text.len;
    size = sizeof(head) + row->name.len + row->text.len;

    if (sorted->used + size > ROOM) {
        write_run(sorted);
    }

    p = sorted->rows + sorted->used;
    sorted->used += size;
    sorted->list = perm_alloc_room(sorted->list, &sorted->size, sorted->n + 1,
                                   sizeof(char *));
    sorted->list[sorted->n++] = p;

    memcpy(p, &head, sizeof(head));
    memcpy(p + sizeof(head), row->name.data, row->name.len);
    memcpy(p + sizeof(head) + row->name.len, row->text.data, row->text.len);
}


void
perm_sorted_end(perm_sorted_t *sorted, perm_sorted_row_pt handler, void *data)
{
    char                *p, *last;
    size_t               i, size;
    perm_sorted_row_t    row;
    perm_sorted_head_t   head;

    if (sorted->nruns) {
        write_run(sorted);
    }

    sort(sorted);

    last = NULL;
    size = 0;
    i = 0;

    while ((p = next_row(sorted, &i)) != NULL) {

        if (last == NULL || compare_rows(last, p) != 0) {
            memcpy(&head, p, sizeof(head));
            row.number = head.number;
            row.name.data = p + sizeof(head);
            row.name.len = head.name;
            row.text.data = row.name.data + head.name;
            row.text.len = head.text;
            handler(data, &row);

            last = perm_alloc_room(last, &size, row_size(p), 1);
            memcpy(last, p, row_size(p));
        }

        if (sorted->nruns) {
            read_row(&sorted->runs[i]);
        }
    }

    free(last);
    free(sorted->runs);
    free(sorted->list);
    free(sorted->rows);
    free(sorted);
}


static void
sort(perm_sorted_t *sorted)
{
    if (sorted->n) {
        qsort(sorted->list, sorted->n, sizeof(char *), compare);
    }
}


static void
write_run(perm_sorted_t *sorted)
{
    size_t              i;
    perm_sorted_run_t  *run;

    sort(sorted);

    sorted->runs = perm_alloc_room(sorted->runs, &sorted->runs_size,
                                   sorted->nruns + 1,
                                   sizeof(perm_sorted_run_t));
    run = &sorted->runs[sorted->nruns++];
    memset(run, 0, sizeof(perm_sorted_run_t));
    run->file = perm_temporary_open(CONTENT);

    for (i = 0; i < sorted->n; i++) {
        (void) fwrite(sorted->list[i], 1, row_size(sorted->list[i]),
                      run->file);
    }

    if (fflush(run->file) != 0 || ferror(run->file)
        || fseek(run->file, 0, SEEK_SET) != 0)
    {
        perm_temporary_failed(CONTENT);
    }

    sorted->n = 0;
    sorted->used = 0;
    read_row(run);
}


/* reads the next row of a run; the last one closes its file */

static void
read_row(perm_sorted_run_t *run)
{
    size_t              size;
    perm_sorted_head_t  head;

    if (fread(&head, 1, sizeof(head), run->file) == sizeof(head)) {
        size = sizeof(head) + head.name + head.text;
        run->row = perm_alloc_room(run->row, &run->size, size, 1);
        memcpy(run->row, &head, sizeof(head));
        size -= sizeof(head);

        if (fread(run->row + sizeof(head), 1, size, run->file) == size) {
            return;
        }
    }

    if (!feof(run->file)) {
        perm_temporary_failed(CONTENT);
    }

    fclose(run->file);
    free(run->row);
    run->row = NULL;
}


/* the first of all rows that are left, and in *run where it comes from */

static char *
next_row(perm_sorted_t *sorted, size_t *run)
{
    char    *row;
    size_t   i;

    if (sorted->nruns == 0) {
        return (sorted->next < sorted->n) ? sorted->list[sorted->next++]
                                          : NULL;
    }

    row = NULL;

    for (i = 0; i < sorted->nruns; i++) {
        if (sorted->runs[i].row != NULL
            && (row == NULL || compare_rows(sorted->runs[i].row, row) < 0))
        {
            row = sorted->runs[i].row;
            *run = i;
        }
    }

    return row;
}


static size_t
row_size(const char *row)
{
    perm_sorted_head_t  head;

    memcpy(&head, row, sizeof(head));

    return sizeof(head) + head.name + head.text;
}


static int
compare(const void *a, const void *b)
{
    return compare_rows(*(const char *const *) a, *(const char *const *) b);
}


static int
compare_rows(const char *a, const char *b)
{
    int                 order;
    size_t              len;
    perm_sorted_head_t  one, two;

    memcpy(&one, a, sizeof(one));
    memcpy(&two, b, sizeof(two));

    if (one.number != two.number) {
        return (one.number < two.number) ? -1 : 1;
    }

    len = (one.name < two.name) ? one.name : two.name;
    order = memcmp(a + sizeof(one), b + sizeof(two), len);

    return order ? order : (int) one.name - (int) two.name;
}
