
#include "cli/util/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


static void print_cell(const perm_columns_t *columns, size_t i,
    const char *cell);
static int compare(const void *a, const void *b, void *sorted);


void
perm_columns_add(perm_columns_t *columns, const char *const *cells)
{
    size_t  len;

    columns->lines = perm_alloc_room(columns->lines, &columns->room,
                                     columns->n + 1, sizeof(char *));
    columns->lines[columns->n++] = perm_columns_pack(columns, cells, &len);
}


char *
perm_columns_pack(perm_columns_t *columns, const char *const *cells,
    size_t *len)
{
    char    *line, *p;
    size_t   i, width;

    for (*len = 0, i = 0; columns->titles[i] != NULL; i++) {
        *len += strlen(cells[i]) + 1;
    }

    line = perm_alloc(*len);

    for (p = line, i = 0; columns->titles[i] != NULL; i++) {
        width = strlen(cells[i]);
        memcpy(p, cells[i], width + 1);
        p += width + 1;

        if (width > columns->widths[i]) {
            columns->widths[i] = width;
        }
    }

    return line;
}


void
perm_columns_print(perm_columns_t *columns, size_t sorted)
{
    size_t  i;

    if (columns->n == 0) {
        return;
    }

    if (sorted) {
        qsort_r(columns->lines, columns->n, sizeof(char *), compare, &sorted);
    }

    perm_columns_titles(columns);

    for (i = 0; i < columns->n; i++) {
        perm_columns_line(columns, columns->lines[i]);
        free(columns->lines[i]);

        if (i % 1024 == 0) {
            perm_output_check();
        }
    }

    free(columns->lines);
}


void
perm_columns_titles(perm_columns_t *columns)
{
    size_t  i;

    for (i = 0; columns->titles[i] != NULL; i++) {
        if (strlen(columns->titles[i]) > columns->widths[i]) {
            columns->widths[i] = strlen(columns->titles[i]);
        }
    }

    for (i = 0; columns->titles[i] != NULL; i++) {
        print_cell(columns, i, columns->titles[i]);
    }
}


void
perm_columns_line(const perm_columns_t *columns, const char *line)
{
    size_t  i;

    for (i = 0; columns->titles[i] != NULL; i++) {
        print_cell(columns, i, line);
        line += strlen(line) + 1;
    }
}


static void
print_cell(const perm_columns_t *columns, size_t i, const char *cell)
{
    if (columns->titles[i + 1] == NULL) {
        printf("%s\n", cell);

    } else {
        printf("%-*s  ", (int) columns->widths[i], cell);
    }
}


static int
compare(const void *a, const void *b, void *sorted)
{
    int          order;
    size_t       i;
    const char  *one, *two;

    one = *(const char *const *) a;
    two = *(const char *const *) b;

    for (i = 0; i < *(const size_t *) sorted; i++) {
        order = strcmp(one, two);

        if (order) {
            return order;
        }

        one += strlen(one) + 1;
        two += strlen(two) + 1;
    }

    return 0;
}
