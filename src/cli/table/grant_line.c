
#include "cli/table/grant_line.h"

#include <string.h>

#include "cli/util/time.h"
#include "core/grant.h"
#include "core/json.h"


/* the members of a line that have a meaning */

enum { GATEWAY = 0, RESOURCE, APP, EXPIRES, TYPE, KNOWN };

static const struct {
    const char  *name;
    const char  *wrong;
    const char  *missing;                     /* NULL: absent or null will do */
    int        (*valid)(perm_str_t name);     /* NULL: it is no name */
    size_t       offset;                      /* of it in perm_grant_line_t */
} known_members[KNOWN] = {
    { "gateway", "\"gateway\" is no name of a gateway", "no \"gateway\"",
      perm_name_gateway_valid, offsetof(perm_grant_line_t, tuple.gateway) },
    { "resource", "\"resource\" is no name of a resource; null or none is the "
      "whole gateway", NULL,
      perm_name_resource_valid, offsetof(perm_grant_line_t, tuple.resource) },
    { "app", "\"app\" is no name of an app", "no \"app\"",
      perm_name_app_valid, offsetof(perm_grant_line_t, tuple.app) },
    { "expires", "\"expires\" is neither unix seconds nor RFC 3339",
      "no \"expires\"", NULL, 0 },
    { "type", "\"type\" is no string", NULL, NULL, 0 }
};


static unsigned find_known(const cJSON *item);
static int read_known(perm_grant_line_t *line, unsigned known,
    perm_json_member_t *member);
static void put_raw(FILE *file, perm_str_t text);


const char *
perm_grant_line_parse(perm_str_t text, perm_grant_line_t *line)
{
    char                *p;
    unsigned             i, n, seen;
    perm_json_member_t   member;

    static cJSON  *json;

    /* only "expires" can grow, as 1e9 does */

    static char  value[PERM_LINE_MAX + 32];

    if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        return "a byte order mark (UTF-8 BOM) stands before the JSON object: "
               "save the file without it";
    }

    if (text.len > PERM_LINE_MAX) {
        return "longer than 1 MiB";
    }

    cJSON_Delete(json);
    json = perm_json_parse(text);

    if (!cJSON_IsObject(json)) {
        return "not a JSON object";
    }

    line->tuple.resource = perm_str("");
    p = value;
    n = 0;
    seen = 0;

    for (member = perm_json_members(json, text); perm_json_next(&member); ) {
        i = find_known(member.item);

        if (i < KNOWN) {
            if (seen & (1u << i)) {
                return "a member stands twice";
            }

            seen |= 1u << i;

            if (!read_known(line, i, &member)) {
                return known_members[i].wrong;
            }
        }

        if (member.value.len == 0) {
            continue;
        }

        if (n == PERM_LINE_MEMBERS_MAX) {
            return "more than 64 members";
        }

        p = perm_json_put(p, (n++ == 0) ? '{' : ',', &member);
    }

    for (i = 0; i < KNOWN; i++) {
        if (!(seen & (1u << i)) && known_members[i].missing != NULL) {
            return known_members[i].missing;
        }
    }

    *p++ = '}';
    line->value.data = value;
    line->value.len = (size_t) (p - value);

    return NULL;
}


int
perm_grant_line_print(FILE *file, const perm_row_t *row)
{
    int                  lost;
    cJSON               *json;
    unsigned             i, n;
    const cJSON         *type;
    perm_json_member_t   member;

    json = perm_json_parse(row->value);
    type = NULL;    /* the last string of that name */
    lost = 0;
    n = 1;    /* "expires" */

    for (member = perm_json_members(json, row->value);
         perm_json_next(&member); )
    {
        i = find_known(member.item);
        n += (i >= TYPE);
        lost |= (i < EXPIRES);

        if (i == TYPE && cJSON_IsString(member.item)) {
            type = member.item;
        }
    }

    if (row->value.len + PERM_TUPLE_MAX + 128 > PERM_LINE_MAX
        || n > PERM_LINE_MEMBERS_MAX)
    {
        cJSON_Delete(json);
        return -1;
    }

    perm_output_json(file, "{%t,'expires':%n", &row->tuple,
                     row->grant.expires);

    for (member = perm_json_members(json, row->value);
         perm_json_next(&member); )
    {
        if (find_known(member.item) == KNOWN || member.item == type) {
            fputc(',', file);
            put_raw(file, member.name);
            fputc(':', file);
            put_raw(file, member.value);
        }
    }

    fputs("}\n", file);
    cJSON_Delete(json);

    return lost;
}


static unsigned
find_known(const cJSON *item)
{
    unsigned  i;

    for (i = 0; i < KNOWN; i++) {
        if (strcmp(item->string, known_members[i].name) == 0) {
            break;
        }
    }

    return i;
}


/*
 * Reads a known member.  Returns 1 with the text that the grant's value gets in
 * its place, of len 0 for none, or 0 when the member is wrong.
 */

static int
read_known(perm_grant_line_t *line, unsigned known, perm_json_member_t *member)
{
    int64_t       expires;
    perm_str_t    name;
    const cJSON  *item;

    static char  seconds[32];

    item = member->item;

    if (known == EXPIRES) {
        expires = cJSON_IsString(item) ? perm_time_parse(item->valuestring)
                                       : perm_grant_seconds(item);

        snprintf(seconds, sizeof(seconds), "%lld", (long long) expires);
        member->value = perm_str(seconds);

        return expires >= 0;
    }

    if (cJSON_IsNull(item) && known_members[known].missing == NULL) {
        member->value.len = 0;
        return 1;
    }

    if (known == TYPE || !cJSON_IsString(item)) {
        return cJSON_IsString(item);
    }

    name = perm_str(item->valuestring);

    if (perm_json_has_nul(member->value) || !known_members[known].valid(name))
    {
        return 0;
    }

    *(perm_str_t *) ((char *) line + known_members[known].offset) = name;
    member->value.len = 0;

    return 1;
}


/* line ends become blanks between tokens, and escapes in strings */

static void
put_raw(FILE *file, perm_str_t text)
{
    int     string;
    size_t  i;

    string = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '\n' || text.data[i] == '\r') {
            fputs(!string ? " " : text.data[i] == '\n' ? "\\n" : "\\r", file);
            continue;
        }

        fputc(text.data[i], file);

        if (text.data[i] == '"') {
            string = !string;

        } else if (string && text.data[i] == '\\') {
            fputc(text.data[++i], file);
        }
    }
}
