
#include "cli/table/grant_line.h"

#include <string.h>

#include "core/grant.h"
#include "core/time.h"


#define SEEN_GATEWAY   1
#define SEEN_RESOURCE  2
#define SEEN_APP       4
#define SEEN_EXPIRES   8
#define SEEN_TYPE      16


typedef struct {
    perm_grant_line_t  *line;
    char               *out;    /* where the next name goes */
    unsigned            seen;
} perm_line_reader_t;


static const char *
read_name(perm_line_reader_t *reader, perm_str_t value, perm_str_t *name,
    size_t max)
{
    long  len;

    len = perm_json_string(value, reader->out, max + 1);

    if (len < 0) {
        return "not a string, or too long";
    }

    name->data = reader->out;
    name->len = (size_t) len;
    reader->out += len + 1;

    return NULL;
}


static const char *
read_gateway(perm_line_reader_t *reader, perm_str_t value)
{
    perm_grant_line_t  *line = reader->line;

    if (read_name(reader, value, &line->gateway, PERM_GATEWAY_MAX) != NULL
        || !perm_name_gateway_valid(line->gateway))
    {
        return "\"gateway\" is no name of a gateway";
    }

    return NULL;
}


static const char *
read_resource(perm_line_reader_t *reader, perm_str_t value)
{
    perm_grant_line_t  *line = reader->line;

    if (*value.data == 'n') {
        return NULL;
    }

    if (read_name(reader, value, &line->resource, PERM_RESOURCE_MAX) != NULL
        || !perm_name_resource_valid(line->resource))
    {
        return "\"resource\" is no name of a resource; null or none is the "
               "whole gateway";
    }

    return NULL;
}


static const char *
read_app(perm_line_reader_t *reader, perm_str_t value)
{
    perm_grant_line_t  *line = reader->line;

    if (read_name(reader, value, &line->app, PERM_APP_MAX) != NULL
        || !perm_name_app_valid(line->app))
    {
        return "\"app\" is no name of an app";
    }

    return NULL;
}


/* a number is kept in seconds; a string is RFC 3339 */

static const char *
read_expires(perm_line_reader_t *reader, perm_json_member_t *member)
{
    char                text[64];
    int64_t             expires;
    perm_grant_line_t  *line = reader->line;

    if (perm_json_string(member->value, text, sizeof(text)) >= 0) {
        expires = perm_time_parse(perm_str(text));

    } else if (*member->value.data == '{') {
        expires = -1;

    } else {
        expires = perm_grant_expires(member->value);
    }

    if (expires < 0) {
        return "\"expires\" is neither unix seconds nor RFC 3339";
    }

    member->value.data = line->expires;
    member->value.len = (size_t) snprintf(line->expires, sizeof(line->expires),
                                          "%lld", (long long) expires);
    return NULL;
}


static const char *
once(perm_line_reader_t *reader, unsigned what)
{
    if (reader->seen & what) {
        return "a member stands twice";
    }

    reader->seen |= what;

    return NULL;
}


static const char *
keep_member(perm_grant_line_t *line, const perm_json_member_t *member)
{
    if (line->n == PERM_LINE_MEMBERS_MAX) {
        return "more than 64 members";
    }

    line->members[line->n++] = *member;

    return NULL;
}


static const char *
read_member(perm_line_reader_t *reader, perm_json_member_t *member)
{
    const char  *wrong;

    if (perm_json_is(member->name, "gateway")) {
        wrong = once(reader, SEEN_GATEWAY);
        return wrong ? wrong : read_gateway(reader, member->value);
    }

    if (perm_json_is(member->name, "resource")) {
        wrong = once(reader, SEEN_RESOURCE);
        return wrong ? wrong : read_resource(reader, member->value);
    }

    if (perm_json_is(member->name, "app")) {
        wrong = once(reader, SEEN_APP);
        return wrong ? wrong : read_app(reader, member->value);
    }

    if (perm_json_is(member->name, "expires")) {
        wrong = once(reader, SEEN_EXPIRES);

        if (wrong == NULL) {
            wrong = read_expires(reader, member);
        }

        return wrong ? wrong : keep_member(reader->line, member);
    }

    if (perm_json_is(member->name, "type")) {
        wrong = once(reader, SEEN_TYPE);

        if (wrong != NULL || *member->value.data == 'n') {
            return wrong;
        }

        if (*member->value.data != '"') {
            return "\"type\" is no string";
        }
    }

    return keep_member(reader->line, member);
}


const char *
perm_grant_line_parse(perm_str_t text, perm_grant_line_t *line)
{
    const char          *wrong;
    perm_json_member_t   member;
    perm_line_reader_t   reader;

    line->n = 0;
    line->resource.len = 0;
    line->resource.data = "";

    reader.line = line;
    reader.out = line->names;
    reader.seen = 0;

    if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        return "a byte order mark (UTF-8 BOM) stands before the JSON object: "
               "save the file without it";
    }

    if (!perm_json_valid(text) || *perm_json_value(text).data != '{') {
        return "not a JSON object";
    }

    while (perm_json_next(&text, &member)) {
        wrong = read_member(&reader, &member);

        if (wrong != NULL) {
            return wrong;
        }
    }

    if (!(reader.seen & SEEN_GATEWAY)) {
        return "no \"gateway\"";
    }

    if (!(reader.seen & SEEN_APP)) {
        return "no \"app\"";
    }

    if (!(reader.seen & SEEN_EXPIRES)) {
        return "no \"expires\"";
    }

    return NULL;
}


/* line ends in a value stand only between the tokens of its JSON */

static void
put_raw(FILE *file, perm_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {
        fputc((text.data[i] == '\n' || text.data[i] == '\r') ? ' '
                                                             : text.data[i],
              file);
    }
}


/* those that say whose grant it is stand already, as does "expires" */

static int
reserved(perm_str_t name)
{
    return perm_json_is(name, "gateway") || perm_json_is(name, "resource")
           || perm_json_is(name, "app") || perm_json_is(name, "expires");
}


/*
 * What a line takes of a value: at most one type, and that a string.  Returns
 * which member it is, from 1, or 0; "kept" says how many members are kept, and
 * "lost" how many are not because the line has others of that name.
 */

static unsigned
exported_type(perm_str_t value, unsigned *kept, unsigned *lost)
{
    unsigned            i, type;
    perm_json_member_t  member;

    type = 0;
    *kept = 1;    /* "expires" */
    *lost = 0;

    for (i = 1; perm_json_next(&value, &member); i++) {
        *kept += !reserved(member.name);
        *lost += reserved(member.name)
                 && !perm_json_is(member.name, "expires");

        if (perm_json_is(member.name, "type") && *member.value.data == '"') {
            type = i;
        }
    }

    return type;
}


int
perm_grant_line_print(FILE *file, const perm_row_t *row)
{
    unsigned            i, type, kept, lost;
    perm_str_t          rest;
    perm_json_member_t  member;

    type = exported_type(row->value, &kept, &lost);

    if (row->value.len + PERM_TUPLE_MAX + 128 > PERM_LINE_MAX
        || kept > PERM_LINE_MEMBERS_MAX)
    {
        return -1;
    }

    perm_object_begin(file);
    perm_object_string(file, "gateway", row->gateway);

    if (row->resource.len) {
        perm_object_string(file, "resource", row->resource);
    } else {
        perm_object_raw(file, "resource", "null");
    }

    perm_object_string(file, "app", row->app);
    perm_object_number(file, "expires", row->expires);

    rest = row->value;

    for (i = 1; perm_json_next(&rest, &member); i++) {
        if (!reserved(member.name)
            && (i == type || !perm_json_is(member.name, "type")))
        {
            fputc(',', file);
            put_raw(file, member.name);
            fputc(':', file);
            put_raw(file, member.value);
        }
    }

    perm_object_end(file, "\n");

    return lost != 0;
}
