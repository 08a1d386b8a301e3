
/*
 * The JSON codec: what it takes, takes apart, merges and escapes.  The input
 * is two texts with a NUL between them.
 */


#include "fuzz.h"

#include "core/json.h"


static int same(const cJSON *a, const cJSON *b);
static int same_tree(const cJSON *a, const cJSON *b);
static void check_escaped(perm_str_t text);
static size_t character(perm_str_t text);
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


static int
same_tree(const cJSON *a, const cJSON *b)
{
    if (!same(a, b)) {
        return 0;
    }

    for (a = a->child, b = b->child; a != NULL; a = a->next, b = b->next) {
        if (!same_tree(a, b)
            || (a->string != NULL && strcmp(a->string, b->string) != 0))
        {
            return 0;
        }
    }

    return 1;
}


/* what is escaped is a string of the same characters, byte by byte */

static void
check_escaped(perm_str_t text)
{
    char        *out, *expected, *p;
    cJSON       *json;
    size_t       n;
    perm_str_t   escaped;

    out = malloc(text.len * PERM_JSON_ESCAPE + 2);
    expected = malloc(text.len * 6 + 3);

    p = out;
    *p++ = '"';
    p += perm_json_escape(p, text);

    check((size_t) (p - out) <= text.len * PERM_JSON_ESCAPE + 1);

    *p++ = '"';
    escaped.data = out;
    escaped.len = (size_t) (p - out);

    p = expected;
    *p++ = '"';

    for ( /* void */ ; text.len; text.data += n, text.len -= n) {
        n = character(text);

        if (n == 0) {
            p += sprintf(p, "\\ufffd");
            n = 1;

        } else if (n > 1 || fuzz_printable(text.data, 1, "<\"\\")) {
            memcpy(p, text.data, n);
            p += n;

        } else if (*text.data == '"' || *text.data == '\\') {
            p += sprintf(p, "\\%c", *text.data);

        } else {
            p += sprintf(p, "\\u%04x", (unsigned) *text.data);
        }
    }

    *p++ = '"';

    check(perm_str_equal(escaped, (perm_str_t) { (size_t) (p - expected),
                                                 expected }));

    json = perm_json_parse(escaped);
    check(cJSON_IsString(json));

    cJSON_Delete(json);
    free(expected);
    free(out);
}


/* the bytes of the first character, or 0: it is no UTF-8 */

static size_t
character(perm_str_t text)
{
    long      code;
    size_t    i, n;
    unsigned  c;

    static const long  first[] = { 0, 0, 0x80, 0x800, 0x10000 };

    c = (unsigned char) *text.data;
    n = (c < 0x80) ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3
        : (c & 0xf8) == 0xf0 ? 4 : 0;

    if (n == 0 || n > text.len) {
        return 0;
    }

    code = (n == 1) ? (long) c : (long) (c & (0x7fu >> n));

    for (i = 1; i < n; i++) {
        c = (unsigned char) text.data[i];

        if (c >> 6 != 2) {
            return 0;
        }

        code = code << 6 | (c & 0x3f);
    }

    return (code < first[n] || code > 0x10ffff
            || (code >= 0xd800 && code <= 0xdfff)) ? 0 : n;
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

    check(again != NULL);

    check(memmem(line.data, line.len, "\\u", 2) != NULL
          || same_tree(again, json));

    /* cJSON takes a broken escape for one, and U+FFFD stands for that */

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
