
/*
 * Words that a mistyped one may have meant.
 */


#ifndef _PERM_CLI_UTIL_SIMILAR_H_INCLUDED_
#define _PERM_CLI_UTIL_SIMILAR_H_INCLUDED_


typedef struct {
    const char  *word;        /* as it was typed, without its dashes */
    unsigned     distance;    /* of the candidates in "text" */
    char         text[256];   /* "; did you mean \"a\" or \"b\"?", or "" */
} perm_similar_t;


void perm_similar_init(perm_similar_t *similar, const char *word);

/*
 * Takes the candidate into the text when it begins with the word, of two
 * letters or more, or differs from it by at most a third of its letters, and no
 * other one is closer.
 */
void perm_similar_offer(perm_similar_t *similar, const char *candidate);


#endif /* _PERM_CLI_UTIL_SIMILAR_H_INCLUDED_ */
