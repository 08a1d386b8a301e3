
/*
 * The codec of all JSON texts: grants, import lines, headers.
 *
 * cJSON reads them.  It accepts more than JSON: "01", "1.", and in strings
 * control bytes and bytes that are not UTF-8.  It cuts a string at an escaped
 * NUL.  Of two members with one name the first counts.  This does no harm in a
 * grant, as a writer of grants may write any grant.  A caller's header is read
 * strictly.
 *
 * Members that a rewrite keeps are copied byte for byte.  cJSON would print
 * other numbers: 12345678901234567890 as 1.2345678901234567e+19, 1e400 as null.
 */


#ifndef _PERM_CORE_JSON_H_INCLUDED_
#define _PERM_CORE_JSON_H_INCLUDED_


#include <cjson/cJSON.h>

#include "core/name.h"


#define PERM_JSON_ESCAPE  6    /* bytes that one byte escaped takes at most */


/* a member of an object, with its bytes of the text */

typedef struct {
    const cJSON  *item;
    perm_str_t    name;     /* with its quotes */
    perm_str_t    value;

    const cJSON  *next;     /* of perm_json_next() */
    perm_str_t    rest;
} perm_json_member_t;


/*
 * Returns the value of the text, to be freed with cJSON_Delete().  Returns NULL
 * when the text is not one value with blanks around it, has a NUL byte, or is
 * nested deeper than CJSON_NESTING_LIMIT; and, with errno ENOMEM, when memory
 * is out: nobody knows then what the text is.  A program that ends in that case
 * does so in perm_json_no_memory(), which is NULL else.
 */
cJSON *perm_json_parse(perm_str_t text);

extern void  (*perm_json_no_memory)(void);


/*
 * Returns 1 when a string of the text has an escaped NUL, where cJSON would cut
 * it.  "\u" without four hexadecimal digits counts too: cJSON takes it for one.
 */
int perm_json_has_nul(perm_str_t text);


/*
 * As perm_json_parse(), for the text of a caller.  Returns NULL also when the
 * text has an escaped NUL, is no object, has two members with one name or more
 * than PERM_JSON_MEMBERS_MAX members.
 */
#define PERM_JSON_MEMBERS_MAX  128

cJSON *perm_json_parse_strict(perm_str_t text);


/*
 * The members of an object, where "json" is what perm_json_parse() returned for
 * the text: perm_json_next() goes on to the first one, and then to each other
 * one.  It returns 0 when no member is left, or "json" is no object.
 */
perm_json_member_t perm_json_members(const cJSON *json, perm_str_t text);
int perm_json_next(perm_json_member_t *member);


/* writes "before", the name, ":" and the value, and returns where it ended */

char *perm_json_put(char *out, char before, const perm_json_member_t *member);


/*
 * Sets the members of the object "changes" in "object": a member that is there
 * gets its new value where it stands, the others follow at the end.  Returns a
 * new text with a NUL at its end, to be freed by the caller, or NULL when
 * memory is out.  An "object" that is no object counts as "{}".
 */
char *perm_json_merge(perm_str_t object, perm_str_t changes);


/*
 * Writes the text as the inside of a JSON string, without the quotes and a
 * NUL, into "out" of PERM_JSON_ESCAPE bytes for each byte of the text.
 * Returns the number of bytes written.  Control bytes, DEL and "<" (it could
 * end a script element) become \u00XX, bytes that are no UTF-8 \ufffd.
 */
size_t perm_json_escape(char *out, perm_str_t text);


/*
 * Writes a JSON text that cJSON has read so that it fits on a line of UTF-8:
 * without blanks around its values, and with its strings escaped as above.
 * Escapes stay.  "out" has PERM_JSON_ESCAPE bytes for each byte of the text;
 * returns the number of bytes written.
 */
size_t perm_json_line(char *out, perm_str_t text);


#endif /* _PERM_CORE_JSON_H_INCLUDED_ */
