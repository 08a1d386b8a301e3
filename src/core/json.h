
/*
 * JSON texts exactly as RFC 8259 has them, read where they lie.
 *
 * The common parsers are generous: they take "01", "1.", raw control bytes
 * and broken UTF-8, cut a name at an escaped NUL, and round what they print
 * again.  A grant is a permission: what is not JSON must not become one, and
 * what belongs to somebody else must be kept to the byte.
 */


#ifndef _PERM_CORE_JSON_H_INCLUDED_
#define _PERM_CORE_JSON_H_INCLUDED_


#include "core/name.h"


#define PERM_JSON_DEPTH   64   /* arrays and objects in each other */
#define PERM_JSON_ESCAPE  6    /* bytes that one byte escaped takes at most */


/* texts as they stand: the name with its quotes and escapes */

typedef struct {
    perm_str_t  name;
    perm_str_t  value;
} perm_json_member_t;


/*
 * Returns 1 when the text is one JSON value and blanks, in valid UTF-8 and
 * not deeper than PERM_JSON_DEPTH.  The other functions take only such texts
 * and what they return of them.
 */
int perm_json_valid(perm_str_t text);


/* The text without the blanks around it; its first byte tells the kind */

perm_str_t perm_json_value(perm_str_t text);


/*
 * Members of an object, in turn: "rest" is its text at first.  Returns 1 with
 * *member filled, or 0 when there is none left or the value is no object.
 */
int perm_json_next(perm_str_t *rest, perm_json_member_t *member);


/* 1 when a value is a string (or a name) that means these bytes exactly */

int perm_json_is(perm_str_t value, const char *text);


/*
 * Writes what a string means, and a NUL, into "out" of "size" bytes.  Returns
 * its length, or -1 when it is no string, too long, holds a NUL or half a
 * surrogate pair.
 */
long perm_json_string(perm_str_t value, char *out, size_t size);


/* What a number means: infinite when out of range, NAN when it is no number */

double perm_json_number(perm_str_t value);


/*
 * Returns a new text, NUL-terminated and to be freed by the caller, or NULL
 * when memory is out: the object with each of the "n" members set, where it
 * has that name already or else at the end.  Every other member keeps its
 * bytes.  What is no object counts as "{}".
 */
char *perm_json_merge(perm_str_t object, const perm_json_member_t *set,
    unsigned n);


/*
 * Writes the text as the inside of a JSON string, without the quotes and a
 * NUL, into "out" of PERM_JSON_ESCAPE bytes for each byte of the text.
 * Returns the number of bytes written.  Control bytes, DEL and "<" (it could
 * end a script element) become \u00XX, bytes that are no UTF-8 \ufffd.
 */
size_t perm_json_escape(char *out, perm_str_t text);


#endif /* _PERM_CORE_JSON_H_INCLUDED_ */
