
#include "cli/table/grant_line.h"

#include <string.h>

#include "cli/util/time.h"
#include "core/grant.h"
#include "core/json.h"


/* the members of a line that have a meaning */

enum { GATEWAY = 0, RESOURCE, APP, EXPIRES, TYPE, KNOWN };

/* under our names, and under the dashboard's */

enum { PLAIN = 0, DASHBOARD };

static const char *const  names[][KNOWN] = {
    { "gateway", "resource", "app", "expires", "type" },
    { "gateway_name", "resource_name", "bk_app_code", "expires", "type" }
};

static const struct {
    const char  *wrong;
    int        (*valid)(perm_str_t name);     /* NULL: it is no name */
    size_t       offset;                      /* of it in perm_grant_line_t */
} known_members[KNOWN] = {
    { PERM_NAME_GATEWAY, perm_name_gateway_valid,
      offsetof(perm_grant_line_t, tuple.gateway) },
    { PERM_NAME_RESOURCE, perm_name_resource_valid,
      offsetof(perm_grant_line_t, tuple.resource) },
    { PERM_NAME_APP, perm_name_app_valid,
      offsetof(perm_grant_line_t, tuple.app) },
    { PERM_TIME_WRONG, NULL, 0 },
    { "no string", NULL, 0 }
};


/*
 * Members of other commands' lines: from those no grant is to be made.  No line
 * of a grant has them.
 */

static const struct {
    const char  *name;
    const char  *wrong;
} foreign_members[] = {
    { "gateway_expires",
      "this line is a request (\"requests --json\"), not a grant" },
    { "expires_before",
      "this line is a change (\"history --json\", \"renew --json\"), not a "
      "grant" }
};


static cJSON *parse_object(perm_str_t text, perm_grant_line_error_t *error);
static int form_of(const cJSON *json);
static int parse_members(const cJSON *json, perm_str_t text,
    perm_grant_line_t *line, perm_grant_line_error_t *error);
static int fail(perm_grant_line_error_t *error, const char *member,
    const char *wrong);
static unsigned find_known(const cJSON *item, int form);
static const char *find_foreign(const cJSON *item);
static const char *read_known(perm_grant_line_t *line, int form,
    unsigned known, perm_json_member_t *member);
static const char *read_expires(perm_grant_line_t *line,
    perm_json_member_t *member);
static void put_raw(FILE *file, perm_str_t text);


int
perm_grant_line_parse(perm_str_t text, perm_grant_line_t *line,
    perm_grant_line_error_t *error)
{
    static cJSON  *json;

    memset(error, 0, sizeof(perm_grant_line_error_t));

    cJSON_Delete(json);
    json = parse_object(text, error);

    return (json == NULL) ? -1 : parse_members(json, text, line, error);
}


static cJSON *
parse_object(perm_str_t text, perm_grant_line_error_t *error)
{
    cJSON       *json;
    size_t       separators;
    const char  *p;

    if (text.len > PERM_LINE_MAX) {
        (void) fail(error, NULL, "longer than 1 MiB");
        return NULL;
    }

    if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        (void) fail(error, NULL, "a byte order mark (UTF-8 BOM) stands before "
                    "the JSON object: save the file without it");
        return NULL;
    }

    p = memchr(text.data, '\0', text.len);

    if (p != NULL) {
        error->at = (size_t) (p - text.data);
        (void) fail(error, NULL, "a NUL byte");
        return NULL;
    }

    json = perm_json_parse(text);

    if (cJSON_IsObject(json)) {
        return json;
    }

    /* where cJSON stopped; it keeps no place of an end that comes too late */

    p = cJSON_GetErrorPtr();

    if (text.data[text.len - 1] == ',') {
        error->at = text.len - 1;

    } else if (json == NULL && p != NULL && p > text.data
               && p < text.data + text.len)
    {
        error->at = (size_t) (p - text.data);
    }

    cJSON_Delete(json);
    separators = 0;

    for (p = text.data; p < text.data + text.len; p++) {
        separators += (*p != '\0' && strchr(",;\t", *p) != NULL);
    }

    error->once = (separators >= 2 && strchr("{[", text.data[0]) == NULL);

    (void) fail(error, NULL, !error->once ? "not a JSON object"
                : "not a JSON object; it looks like CSV, and has to be lines "
                  "as {\"gateway\":\"g\",\"resource\":\"r\",\"app\":\"a\","
                  "\"expires\":1800000000}");
    return NULL;
}


static int
fail(perm_grant_line_error_t *error, const char *member, const char *wrong)
{
    error->member = member;
    error->wrong = wrong;

    return -1;
}


/* the dashboard's names count only where none of ours is needed */

static int
form_of(const cJSON *json)
{
    int  i, ours, theirs;

    ours = 0;
    theirs = 0;

    for (i = GATEWAY; i <= APP; i += APP - GATEWAY) {
        ours |= cJSON_GetObjectItemCaseSensitive(json, names[PLAIN][i]) != NULL;
        theirs |= cJSON_GetObjectItemCaseSensitive(json, names[DASHBOARD][i])
                  != NULL;
    }

    return (theirs && !ours) ? DASHBOARD : PLAIN;
}


static int
parse_members(const cJSON *json, perm_str_t text, perm_grant_line_t *line,
    perm_grant_line_error_t *error)
{
    int                  form;
    char                *p;
    unsigned             i, n, seen;
    const char          *wrong;
    const cJSON         *item;
    perm_json_member_t   member;

    /* only "expires" can grow, as 1e9 does */

    static char  value[PERM_LINE_MAX + 32];

    cJSON_ArrayForEach(item, json) {
        if (find_foreign(item) != NULL) {
            return fail(error, NULL, find_foreign(item));
        }
    }

    form = form_of(json);
    line->tuple.resource = perm_str("");
    p = value;
    n = 0;
    seen = 0;

    for (member = perm_json_members(json, text); perm_json_next(&member); ) {
        i = find_known(member.item, form);
        error->at = (size_t) (member.value.data - text.data);
        error->value = member.value;

        if (form == DASHBOARD && find_known(member.item, PLAIN) == RESOURCE) {
            return fail(error, "resource", "beside \"gateway_name\" the "
                        "resource is called \"resource_name\"");
        }

        if (i < KNOWN) {
            if (seen & (1u << i)) {
                return fail(error, names[form][i], "this member stands twice");
            }

            seen |= 1u << i;
            wrong = read_known(line, form, i, &member);

            if (wrong != NULL) {
                return fail(error, names[form][i], wrong);
            }
        }

        /* "list --json" writes it beside each grant */

        if (member.value.len == 0
            || strcmp(member.item->string, "last_access") == 0)
        {
            continue;
        }

        if (n == PERM_LINE_MEMBERS_MAX) {
            return fail(error, NULL, "more than 64 members");
        }

        p = perm_json_put(p, (n++ == 0) ? '{' : ',', &member);
    }

    error->at = 0;
    error->value.len = 0;

    for (i = GATEWAY; i <= EXPIRES; i++) {
        if (!(seen & (1u << i)) && !(form == PLAIN && i == RESOURCE)) {
            return fail(error, names[form][i], i == RESOURCE
                        ? "missing; \"*\" is the whole gateway" : "missing");
        }
    }

    *p++ = '}';
    line->value.data = value;
    line->value.len = (size_t) (p - value);

    return (line->value.len > PERM_GRANT_VALUE_MAX)
           ? fail(error, NULL, PERM_LINE_TOO_LONG) : 0;
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
        i = find_known(member.item, PLAIN);
        n += (i >= TYPE);
        lost |= (i < EXPIRES || find_foreign(member.item) != NULL);

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

    perm_output_json(file, "{%g,'expires':%n", &row->tuple,
                     row->grant.expires);

    for (member = perm_json_members(json, row->value);
         perm_json_next(&member); )
    {
        i = find_known(member.item, PLAIN);

        if ((i == KNOWN && find_foreign(member.item) == NULL)
            || member.item == type)
        {
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
find_known(const cJSON *item, int form)
{
    unsigned  i;

    for (i = 0; i < KNOWN; i++) {
        if (strcmp(item->string, names[form][i]) == 0) {
            break;
        }
    }

    return i;
}


static const char *
find_foreign(const cJSON *item)
{
    size_t  i;

    for (i = 0; i < sizeof(foreign_members) / sizeof(*foreign_members); i++) {
        if (strcmp(item->string, foreign_members[i].name) == 0) {
            return foreign_members[i].wrong;
        }
    }

    return NULL;
}


/*
 * Reads a known member.  Returns NULL with the text that the grant's value gets
 * in its place, of len 0 for none, or what is wrong.
 */

static const char *
read_known(perm_grant_line_t *line, int form, unsigned known,
    perm_json_member_t *member)
{
    perm_str_t    name;
    const cJSON  *item;

    item = member->item;

    if (known == EXPIRES) {
        return read_expires(line, member);
    }

    if (known == TYPE) {
        if (cJSON_IsNull(item)) {
            member->value.len = 0;
        }

        return (cJSON_IsNull(item) || cJSON_IsString(item))
               ? NULL : known_members[known].wrong;
    }

    /* a NULL of some database must not become the widest grant */

    if (known == RESOURCE && cJSON_IsNull(item)) {
        return (form == PLAIN)
               ? "null is no resource; without this member the grant is for "
                 "the whole gateway"
               : "null is no resource; \"*\" is the whole gateway";
    }

    if (!cJSON_IsString(item)) {
        return known_members[known].wrong;
    }

    name = perm_str(item->valuestring);

    if (known == RESOURCE && form == DASHBOARD && strcmp(name.data, "*") == 0
        && !perm_json_has_nul(member->value))
    {
        name.len = 0;

    } else if (perm_json_has_nul(member->value)
               || !known_members[known].valid(name))
    {
        return known_members[known].wrong;
    }

    *(perm_str_t *) ((char *) line + known_members[known].offset) = name;
    member->value.len = 0;

    return NULL;
}


static const char *
read_expires(perm_grant_line_t *line, perm_json_member_t *member)
{
    const cJSON  *item;

    static char  seconds[32];

    item = member->item;
    line->expires = cJSON_IsString(item) ? perm_time_parse(item->valuestring)
                                         : perm_grant_seconds(item);

    if (line->expires < 0) {
        return (cJSON_IsNumber(item) && item->valuedouble < 0)
               ? PERM_TIME_WRONG_NEGATIVE
               : (cJSON_IsNumber(item)
                  || (cJSON_IsString(item)
                      && line->expires == PERM_TIME_TOO_LARGE))
               ? PERM_TIME_WRONG_TOO_LARGE : known_members[EXPIRES].wrong;
    }

    snprintf(seconds, sizeof(seconds), "%lld", (long long) line->expires);
    member->value = perm_str(seconds);

    return NULL;
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
