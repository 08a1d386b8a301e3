
#include "cli/table/bad_lines.h"

#include <string.h>


static void tell(const perm_bad_lines_t *bad, perm_count_t line,
    size_t column, const perm_grant_line_error_t *error);


void
perm_bad_lines_add(perm_bad_lines_t *bad, perm_count_t line, size_t column,
    const perm_grant_line_error_t *error)
{
    unsigned                i;
    perm_bad_lines_kind_t  *kind;

    bad->n++;

    for (i = 0; i < bad->nkinds; i++) {
        kind = &bad->kinds[i];

        if (kind->wrong == error->wrong && kind->member == error->member) {
            break;
        }
    }

    if (i == bad->nkinds && i < PERM_BAD_LINES_KINDS) {
        kind = &bad->kinds[bad->nkinds++];
        kind->member = error->member;
        kind->wrong = error->wrong;
        kind->n = 0;

    } else if (i < bad->nkinds && error->once) {
        bad->kinds[i].n++;
        return;
    }

    if (bad->n <= PERM_BAD_LINES_SHOWN) {
        tell(bad, line, column, error);

    } else {
        bad->kinds[i < PERM_BAD_LINES_KINDS ? i : PERM_BAD_LINES_KINDS - 1].n++;
    }
}


static void
tell(const perm_bad_lines_t *bad, perm_count_t line, size_t column,
    const perm_grant_line_error_t *error)
{
    int   value;
    char  where[64];

    value = error->member && error->value.len;
    snprintf(where, sizeof(where), column ? "line %llu, column %zu"
                                          : "line %llu", line, column);

    perm_output_warn("%s: %s: %s%s%s%s%s%s%s: refused",
                     perm_output_safe_text(bad->file), where,
                     error->member ? "\"" : "",
                     error->member ? error->member : "",
                     error->member ? "\"" : "",
                     value ? " " : "",
                     value ? perm_output_safe(error->value) : "",
                     error->member ? ": " : "", error->wrong);
}


void
perm_bad_lines_report(const perm_bad_lines_t *bad)
{
    unsigned                      i;
    perm_count_t                  more;
    const perm_bad_lines_kind_t  *kind;

    more = 0;

    for (i = 0; i < bad->nkinds; i++) {
        more += bad->kinds[i].n;
    }

    if (more == 0) {
        return;
    }

    perm_output_warn("%s: %s more refused, by kind:",
                     perm_output_safe_text(bad->file),
                     perm_output_count(more, "line"));

    for (i = 0; i < bad->nkinds; i++) {
        kind = &bad->kinds[i];

        if (kind->n) {
            perm_output_warn("%10llu  %s%s%s%s", kind->n,
                             kind->member ? "\"" : "",
                             kind->member ? kind->member : "",
                             kind->member ? "\": " : "", kind->wrong);
        }
    }
}
