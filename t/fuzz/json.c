
/*
 * The JSON codec: what it takes, takes apart, merges and escapes.  The input
 * is two texts with a NUL between them.
 */


#include "fuzz.h"

#include "core/json.h"


static int same(const cJSON *a, const cJSON *b);
static void check_escaped(perm_str_t text);
static void check_line(perm_str_t text, const cJSON *json);
static void check_strict(perm_str_t text, const cJSON *json);
static void check_merged(perm_str_t object, perm_str_t changes);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON       *json;
    perm_str_t   text, other;

    text = fuzz_part(&data, &size);
    text = fuzz_copy(text.data, text.len);
    other = fuzz_copy(data, size);

    json = perm_json_parse(text);

    check_escaped(text);
    check_strict(text, json);
    check_merged(text, other);

    if (json != NULL) {
        check_line(text, json);
    }

    cJSON_Delete(json);
    free((char *) text.data);
    free((char *) other.data);

    return 0;
}


/* cJSON_Compare() takes no infinite number, as 1e400, for the same */

static int
same(const cJSON *a, const cJSON *b)
{
    return (a->type & 0xff) == (b->type & 0xff)
           && cJSON_GetArraySize(a) == cJSON_GetArraySize(b)
           && (!cJSON_IsString(a) || strcmp(a->valuestring, b->valuestring) == 0)
           && (!cJSON_IsNumber(a) || a->valuedouble == b->valuedouble);
}


/* what is escaped is a string; without control bytes, "<" and bad UTF-8 */

static void
check_escaped(perm_str_t text)
{
    char        *out, *p;
    cJSON       *json;
    perm_str_t   escaped;

    out = malloc(text.len * PERM_JSON_ESCAPE + 2);
    p = out;
    *p++ = '"';
    p += perm_json_escape(p, text);

    check((size_t) (p - out) <= text.len * PERM_JSON_ESCAPE + 1);

    *p++ = '"';
    escaped.data = out;
    escaped.len = (size_t) (p - out);

    check(!perm_json_has_nul(escaped) || memchr(text.data, '\0', text.len));

    json = perm_json_parse(escaped);
    check(cJSON_IsString(json));

    if (memchr(out, 'u', escaped.len) == NULL) {
        check(strlen(json->valuestring) == text.len
              && memcmp(json->valuestring, text.data, text.len) == 0);
    }

    for (p = out; p < escaped.data + escaped.len; p++) {
        check((unsigned char) *p >= ' ' && *p != 0x7f && *p != '<');
    }

    cJSON_Delete(json);
    free(out);
}


/* a text on a line has the same value, but for bytes that are no UTF-8 */

static void
check_line(perm_str_t text, const cJSON *json)
{
    char        *out, *p;
    cJSON       *again;
    perm_str_t   line;

    out = malloc(text.len * PERM_JSON_ESCAPE + 1);
    line.len = perm_json_line(out, text);
    line.data = out;

    check(line.len <= text.len * PERM_JSON_ESCAPE);

    for (p = out; p < line.data + line.len; p++) {
        check((unsigned char) *p >= ' ' && *p != 0x7f && *p != '<');
    }

    again = perm_json_parse(line);

    /* cJSON takes a broken escape for one, and U+FFFD stands for that */

    check(again != NULL);
    check((again->type & 0xff) == (json->type & 0xff)
          && cJSON_GetArraySize(again) == cJSON_GetArraySize(json));

    cJSON_Delete(again);
    free(out);
}


static void
check_strict(perm_str_t text, const cJSON *json)
{
    int                  n;
    cJSON               *strict;
    const cJSON         *a, *b;
    perm_json_member_t   member;

    strict = perm_json_parse_strict(text);
    n = 0;

    if (strict != NULL) {
        check(cJSON_IsObject(json) && !perm_json_has_nul(text));

        cJSON_ArrayForEach(a, strict) {
            check(n++ < PERM_JSON_MEMBERS_MAX);

            for (b = a->next; b != NULL; b = b->next) {
                check(strcmp(a->string, b->string) != 0);
            }
        }
    }

    cJSON_Delete(strict);

    /* each member is two texts that have the same values alone */

    n = 0;

    for (member = perm_json_members(json, text); perm_json_next(&member); n++)
    {
        strict = perm_json_parse(member.name);
        check(cJSON_IsString(strict)
              && strcmp(strict->valuestring, member.item->string) == 0);
        cJSON_Delete(strict);

        strict = perm_json_parse(member.value);
        check(strict != NULL);
        check(same(strict, member.item));
        cJSON_Delete(strict);
    }

    check(!cJSON_IsObject(json) || n == cJSON_GetArraySize(json));
}


static void
check_merged(perm_str_t object, perm_str_t changes)
{
    char         *out;
    cJSON        *old, *new, *merged;
    const cJSON  *item;

    old = perm_json_parse(object);
    new = perm_json_parse(changes);
    out = perm_json_merge(object, changes);

    check((out != NULL) == (new != NULL));

    if (out != NULL) {
        merged = perm_json_parse(perm_str(out));
        check(cJSON_IsObject(merged));

        if (cJSON_IsObject(new)) {
            cJSON_ArrayForEach(item, new) {
                check(cJSON_GetObjectItemCaseSensitive(merged, item->string));
            }
        }

        if (cJSON_IsObject(old)) {
            cJSON_ArrayForEach(item, old) {
                check(cJSON_GetObjectItemCaseSensitive(merged, item->string));
            }
        }

        cJSON_Delete(merged);
    }

    cJSON_Delete(old);
    cJSON_Delete(new);
    free(out);
}
