
/*
 * The codec of every JSON text: grants, import lines, headers.  cJSON reads,
 * and is generous: it takes "01", "1.", control bytes and bytes that are no
 * UTF-8 in strings, cuts a string at an escaped NUL, and of a member that
 * stands twice its users take the first.  That opens nothing: who may write
 * a grant may write any grant.  What a caller sends is read strictly.
 *
 * The texts of members are kept as they stand, since cJSON would print others:
 * 12345678901234567890 as 1.2345678901234567e+19, 1e400 as null.
 */


#ifndef _PERM_CORE_JSON_H_INCLUDED_
#define _PERM_CORE_JSON_H_INCLUDED_


#include <cjson/cJSON.h>

#include "core/name.h"


#define PERM_JSON_ESCAPE  6    /* bytes that one byte escaped takes at most */


/* texts as they stand: the name with its quotes */

typedef struct {
    perm_str_t  name;
    perm_str_t  value;
} perm_json_member_t;


/*
 * Returns what the text means, to be freed with cJSON_Delete(), or NULL: not
 * JSON, bytes before or behind it that are no blanks, a NUL byte, more than
 * CJSON_NESTING_LIMIT arrays and objects in each other, or out of memory.
 */
cJSON *perm_json_parse(perm_str_t text);


/*
 * Returns 1 when a text that perm_json_parse() takes is JSON as RFC 8259 has
 * it: UTF-8, no control bytes in strings, "01" and "1." no numbers; and when no
 * string holds an escaped NUL, where cJSON cuts it.
 */
int perm_json_strict(perm_str_t text);


/*
 * What a caller sends: NULL also for a text that is not strict, for what is no
 * object, for a member that stands twice, and for more than
 * PERM_JSON_MEMBERS_MAX members.
 */
#define PERM_JSON_MEMBERS_MAX  128

cJSON *perm_json_parse_strict(perm_str_t text);


/*
 * The members of an object that perm_json_parse() took, in the order of its
 * children; "rest" is its text at first.  Returns 1 with *member filled, or 0
 * when there is none left or the text is of no object.
 */
int perm_json_next(perm_str_t *rest, perm_json_member_t *member);


/*
 * Returns a new text, NUL-terminated and to be freed by the caller, or NULL
 * when memory is out: the members of "object" with the values that "changes",
 * an object, has for their names, then the other members of "changes".  All
 * else keeps its bytes.  An "object" that is none counts as "{}".
 */
char *perm_json_merge(perm_str_t object, perm_str_t changes);


/*
 * Writes the text as the inside of a JSON string, without the quotes and a
 * NUL, into "out" of PERM_JSON_ESCAPE bytes for each byte of the text.
 * Returns the number of bytes written.  Control bytes, DEL and "<" (it could
 * end a script element) become \u00XX, bytes that are no UTF-8 \ufffd.
 */
size_t perm_json_escape(char *out, perm_str_t text);


#endif /* _PERM_CORE_JSON_H_INCLUDED_ */
