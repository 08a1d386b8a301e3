
#include "cli/table/policies.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"
#include "core/decision.h"


#define DEPTH_MAX  8      /* of includes */
#define KEY_MAX    (PERM_GATEWAY_MAX + 1 + PERM_RESOURCE_MAX)


typedef struct {
    char            *key;     /* in small letters */
    int              open;
} perm_policies_line_t;


struct perm_policies_s {
    perm_policies_line_t  *lines;    /* sorted by key */
    size_t                 n;
    size_t                 size;
    int                    open;     /* what is not listed */
};


/* a file that is read */

typedef struct {
    const char      *name;
    FILE            *file;
    unsigned         line;
    unsigned         depth;
} perm_policies_file_t;


static void read_file(perm_policies_t *policies, const char *name,
    unsigned depth);
static int read_word(perm_policies_file_t *file, char word[KEY_MAX + 2]);
static void take_line(perm_policies_t *policies,
    const perm_policies_file_t *file, char *key, const char *value);
static void take_include(perm_policies_t *policies,
    const perm_policies_file_t *file, const char *name);
static void fail(const perm_policies_file_t *file, const char *wrong,
    const char *word) __attribute__((noreturn));
static int compare(const void *a, const void *b);
static const perm_policies_line_t *find(const perm_policies_t *policies,
    char *key);
static void lower(char *text);


perm_policies_t *
perm_policies_read(const char *name)
{
    size_t            i;
    perm_policies_t  *policies;

    policies = perm_alloc_check(calloc(1, sizeof(perm_policies_t)));
    read_file(policies, name, 0);

    if (policies->n) {
        qsort(policies->lines, policies->n, sizeof(perm_policies_line_t),
              compare);
    }

    for (i = 1; i < policies->n; i++) {
        if (compare(&policies->lines[i - 1], &policies->lines[i]) == 0) {
            perm_output_fatal(PERM_EXIT_USAGE, "--policies \"%s\": \"%s\" is "
                              "there twice, which nginx refuses",
                              perm_output_safe_text(name),
                              perm_output_safe_text(policies->lines[i].key));
        }
    }

    return policies;
}


void
perm_policies_free(perm_policies_t *policies)
{
    size_t  i;

    for (i = 0; policies != NULL && i < policies->n; i++) {
        free(policies->lines[i].key);
    }

    if (policies != NULL) {
        free(policies->lines);
        free(policies);
    }
}


int
perm_policies_open(const perm_policies_t *policies, const perm_tuple_t *tuple)
{
    char                         key[KEY_MAX + 1];
    const perm_policies_line_t  *line;

    snprintf(key, sizeof(key), "%.*s/%.*s", (int) tuple->gateway.len,
             tuple->gateway.data, (int) tuple->resource.len,
             tuple->resource.data);
    line = find(policies, key);

    if (line == NULL) {
        snprintf(key, sizeof(key), "%.*s", (int) tuple->resource.len,
                 tuple->resource.data);
        line = find(policies, key);
    }

    return line ? line->open : policies->open;
}


static void
read_file(perm_policies_t *policies, const char *name, unsigned depth)
{
    int                    c;
    char                   words[2][KEY_MAX + 2];
    unsigned               n;
    perm_policies_file_t   file;

    file.name = name;
    file.line = 1;
    file.depth = depth;
    file.file = fopen(name, "re");

    if (file.file == NULL) {
        perm_output_fatal(PERM_EXIT_USAGE, "--policies: cannot open \"%s\": "
                          "%m", perm_output_safe_text(name));
    }

    for (n = 0; (c = read_word(&file, words[n < 2 ? n : 1])) != EOF; ) {

        if (c == 0) {
            if (++n > 2) {
                fail(&file, "more than a name and a policy before \";\"",
                     words[1]);
            }

        } else if (n == 2) {
            take_line(policies, &file, words[0], words[1]);
            n = 0;

        } else if (n == 1 && strcmp(words[0], "volatile") == 0) {
            n = 0;

        } else {
            fail(&file, "no name and policy before \";\"",
                 n ? words[0] : "");
        }
    }

    if (n) {
        fail(&file, "no \";\" after", words[n - 1]);
    }

    if (ferror(file.file)) {
        perm_output_fatal(PERM_EXIT_USAGE, "--policies: cannot read \"%s\": "
                          "%m", perm_output_safe_text(name));
    }

    fclose(file.file);
}


/* Returns 0 with a word, ';' or EOF.  A word may be in quotes. */

static int
read_word(perm_policies_file_t *file, char word[KEY_MAX + 2])
{
    int     c, quote;
    size_t  len;

    do {
        c = getc(file->file);

        if (c == '#') {
            do {
                c = getc(file->file);
            } while (c != EOF && c != '\n');
        }

        file->line += (c == '\n');
    } while (c != EOF && strchr(" \t\r\n", c) != NULL && c != '\0');

    if (c == EOF || c == ';') {
        return c;
    }

    quote = (c == '"' || c == '\'') ? c : 0;
    len = 0;

    for (c = quote ? getc(file->file) : c; c != EOF; c = getc(file->file)) {

        if (quote ? c == quote : c == ';' || isspace(c)) {
            break;
        }

        if (c == '\0' || c == '\n' || (!quote && strchr("{}", c) != NULL)) {
            break;
        }

        if (len < KEY_MAX + 1) {
            word[len++] = (char) c;
        }
    }

    word[len] = '\0';

    if (quote ? c != quote : c == EOF || (c != ';' && !isspace(c))) {
        fail(file, "no line of a map", word);
    }

    if (len > KEY_MAX) {
        fail(file, "longer than any name", word);
    }

    if (!quote) {
        (void) ungetc(c, file->file);
    }

    return 0;
}


static void
take_line(perm_policies_t *policies, const perm_policies_file_t *file,
    char *key, const char *value)
{
    int                     open;
    perm_policy_t           policy;
    perm_policies_line_t   *line;

    if (strcmp(key, "include") == 0) {
        take_include(policies, file, value);
        return;
    }

    policy = perm_decision_policy(perm_str(value));

    if (policy == PERM_POLICY_INVALID) {
        fail(file, "neither off, open nor required", value);
    }

    open = (policy != PERM_POLICY_REQUIRED);

    if (strcmp(key, "default") == 0) {
        policies->open = open;
        return;
    }

    key += (key[0] == '\\');

    if (key[0] == '~') {
        fail(file, "a regular expression, which is not evaluated here", key);
    }

    if (key[0] == '\0') {
        return;     /* no resource has that name */
    }

    if (!perm_name_resource_valid(perm_str(key))) {
        fail(file, "neither RESOURCE nor GATEWAY/RESOURCE", key);
    }

    policies->lines = perm_alloc_room(policies->lines, &policies->size,
                                      policies->n + 1,
                                      sizeof(perm_policies_line_t));
    line = &policies->lines[policies->n++];
    line->key = perm_alloc_check(strdup(key));
    line->open = open;
    lower(line->key);
}


/* nginx looks beside its own configuration; here it is beside this file */

static void
take_include(perm_policies_t *policies, const perm_policies_file_t *file,
    const char *name)
{
    char        *path;
    size_t       len;
    const char  *slash;

    if (file->depth == DEPTH_MAX || strpbrk(name, "*?[") != NULL) {
        fail(file, "not included: a pattern, or too many levels", name);
    }

    slash = strrchr(file->name, '/');
    len = (slash && name[0] != '/') ? (size_t) (slash - file->name) + 1 : 0;

    path = perm_alloc(len + strlen(name) + 1);
    memcpy(path, file->name, len);
    strcpy(path + len, name);

    read_file(policies, path, file->depth + 1);
    free(path);
}


static void
fail(const perm_policies_file_t *file, const char *wrong, const char *word)
{
    perm_output_fatal(PERM_EXIT_USAGE, "--policies \"%s\", line %u: %s: "
                      "\"%s\"", perm_output_safe_text(file->name), file->line,
                      wrong, perm_output_safe_text(word));
}


static int
compare(const void *a, const void *b)
{
    return strcmp(((const perm_policies_line_t *) a)->key,
                  ((const perm_policies_line_t *) b)->key);
}


static const perm_policies_line_t *
find(const perm_policies_t *policies, char *key)
{
    perm_policies_line_t  wanted = { .key = key };

    lower(key);

    return policies->n ? bsearch(&wanted, policies->lines, policies->n,
                                 sizeof(perm_policies_line_t), compare)
                       : NULL;
}


static void
lower(char *text)
{
    for ( /* void */ ; *text != '\0'; text++) {
        *text = (char) tolower((unsigned char) *text);
    }
}
