
#include "cli/util/similar.h"

#include <stdio.h>
#include <string.h>


#define WORD_MAX   32   /* bytes that are compared */
#define BEGIN_MIN  2    /* letters that a word has to begin with */


static const char *letters(const char *word);
static unsigned distance(const char *a, const char *b);
static unsigned least(unsigned a, unsigned b);


void
perm_similar_init(perm_similar_t *similar, const char *word)
{
    similar->word = letters(word);
    similar->distance = ((unsigned) strlen(similar->word) + 1) / 3;
    similar->text[0] = '\0';
}


/* the dashes are those of every option, and tell nothing */

static const char *
letters(const char *word)
{
    return word + strspn(word, "-");
}


void
perm_similar_offer(perm_similar_t *similar, const char *candidate)
{
    size_t    len;
    unsigned  d;

    len = strlen(similar->word);
    d = (len >= BEGIN_MIN
         && strncmp(similar->word, letters(candidate), len) == 0)
        ? 1 : distance(similar->word, letters(candidate));

    if (d > similar->distance) {
        return;
    }

    len = (d < similar->distance) ? 0 : strlen(similar->text);
    similar->distance = d;

    if (len) {
        len--;     /* the question mark */
    }

    (void) snprintf(similar->text + len, sizeof(similar->text) - len,
                    "%s \"%s\"?", len ? " or" : "; did you mean", candidate);
}


/*
 * The number of letters to add, leave out or change, and of neighbours to swap
 * (optimal string alignment), to make one word of the other.
 */

static unsigned
distance(const char *a, const char *b)
{
    size_t    i, j, m, n;
    unsigned  d[WORD_MAX + 1][WORD_MAX + 1];

    m = strlen(a);
    n = strlen(b);

    if (m > WORD_MAX || n > WORD_MAX) {
        return WORD_MAX;
    }

    for (i = 0; i <= m; i++) {
        d[i][0] = (unsigned) i;
    }

    for (j = 0; j <= n; j++) {
        d[0][j] = (unsigned) j;
    }

    for (i = 1; i <= m; i++) {
        for (j = 1; j <= n; j++) {
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                            d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));

            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
            {
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }

    return d[m][n];
}


static unsigned
least(unsigned a, unsigned b)
{
    return (a < b) ? a : b;
}
