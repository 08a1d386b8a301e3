
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
    char    *line;
    size_t   i, len;

    for (len = 0, i = 0; columns->titles[i] != NULL; i++) {
        len += strlen(cells[i]) + 1;
    }

    columns->lines = perm_alloc_room(columns->lines, &columns->room,
                                     columns->n + 1, sizeof(char *));
    line = perm_alloc(len);
    columns->lines[columns->n++] = line;

    for (i = 0; columns->titles[i] != NULL; i++) {
        len = strlen(cells[i]);
        memcpy(line, cells[i], len + 1);
        line += len + 1;

        if (len > columns->widths[i]) {
            columns->widths[i] = len;
        }
    }
}


void
perm_columns_print(perm_columns_t *columns, size_t sorted)
{
    size_t       i, j;
    const char  *cell;

    if (columns->n == 0) {
        return;
    }

    if (sorted) {
        qsort_r(columns->lines, columns->n, sizeof(char *), compare, &sorted);
    }

    for (i = 0; columns->titles[i] != NULL; i++) {
        if (strlen(columns->titles[i]) > columns->widths[i]) {
            columns->widths[i] = strlen(columns->titles[i]);
        }
    }

    for (i = 0; columns->titles[i] != NULL; i++) {
        print_cell(columns, i, columns->titles[i]);
    }

    for (j = 0; j < columns->n; j++) {
        cell = columns->lines[j];

        for (i = 0; columns->titles[i] != NULL; i++) {
            print_cell(columns, i, cell);
            cell += strlen(cell) + 1;
        }

        free(columns->lines[j]);

        if (j % 1024 == 0) {
            perm_output_check();
        }
    }

    free(columns->lines);
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
