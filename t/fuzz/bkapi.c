
/*
 * X-Bkapi-Authorization.  The input is headers, with a NUL between them: "!"
 * in front makes it another header's, "?" writes the name in capitals.
 * sources: src/http/bkapi.c src/resp/printable.c
 */


#include "fuzz.h"
#include "nginx_test.h"

#include <cjson/cJSON.h>

#include "http/bkapi.h"


#define HEADERS  4


static int has_code(perm_str_t text);
static unsigned count_code(perm_str_t text, char *code, size_t size, int *nul);
static size_t read_string(perm_str_t text, size_t i, char *out, size_t size,
    int *nul);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                  nul;
    char                 code[256];
    unsigned             n, ours;
    ngx_str_t            app;
    perm_str_t           part, value;
    ngx_table_elt_t      headers[HEADERS];
    ngx_list_part_t      part2;
    ngx_http_request_t   r;

    static ngx_str_t  names[] = {
        ngx_string("X-Bkapi-Authorization"),
        ngx_string("X-BKAPI-AUTHORIZATION"),
        ngx_string("X-Bkapi-Authorizatiom")
    };

    ngx_memzero(&r, sizeof(r));
    ngx_memzero(headers, sizeof(headers));
    ngx_memzero(&part2, sizeof(part2));

    r.pool = ngx_create_pool(512, &test_log);
    ours = 0;
    value = perm_str("");

    for (n = 0; n < HEADERS && size; n++) {
        part = fuzz_part(&data, &size);
        headers[n].key = names[0];

        if (part.len && (*part.data == '!' || *part.data == '?')) {
            headers[n].key = names[*part.data == '!' ? 2 : 1];
            part.data++;
            part.len--;
        }

        part = fuzz_copy(part.data, part.len);
        headers[n].value.data = (u_char *) part.data;
        headers[n].value.len = part.len;

        if (headers[n].key.data != names[2].data) {
            ours++;
            value = part;
        }
    }

    /* the list of nginx in two parts */

    r.headers_in.headers.part.elts = headers;
    r.headers_in.headers.part.nelts = n / 2;
    r.headers_in.headers.part.next = &part2;
    part2.elts = headers + n / 2;
    part2.nelts = n - n / 2;

    check(perm_bkapi_app_code(&r, &app) == NGX_OK);
    check(fuzz_printable((char *) app.data, app.len, "\""));
    check((app.len != 0) == (ours == 1 && has_code(value)));

    part.data = (char *) app.data;
    part.len = app.len;

    if (fuzz_name(part, 128)) {
        check(count_code(value, code, sizeof(code), &nul) == 1 && !nul);
        check(perm_str_equal(part, perm_str(code)));
    }

    ngx_destroy_pool(r.pool);

    while (n--) {
        free(headers[n].value.data);
    }

    return 0;
}


/* an object of at most 128 members, with a code that is no empty string */

static int
has_code(perm_str_t text)
{
    int           nul, has;
    char         *last;
    cJSON        *json, *code;
    unsigned      members;
    const char   *end;

    while (text.len && (unsigned char) text.data[text.len - 1] <= ' ') {
        text.len--;
    }

    while (text.len && (unsigned char) *text.data <= ' ') {
        text.data++;
        text.len--;
    }

    if (text.len == 0 || *text.data != '{') {
        return 0;
    }

    /* cJSON may read the byte behind a text */

    last = fuzz_text((const uint8_t *) text.data, text.len);
    json = cJSON_ParseWithOpts(last, &end, 1);
    code = cJSON_GetObjectItemCaseSensitive(json, "bk_app_code");
    members = (unsigned) cJSON_GetArraySize(json);

    has = cJSON_IsString(code) && *code->valuestring != '\0'
          && members <= 128 && count_code(text, NULL, 0, &nul) == 1 && !nul;

    while (has && members--) {
        code = cJSON_GetArrayItem(json, members);
        has = (cJSON_GetObjectItemCaseSensitive(json, code->string) == code);
    }

    cJSON_Delete(json);
    free(last);

    return has;
}


/*
 * How many members of the outermost object are named "bk_app_code": a reading
 * of the text that shares nothing with cJSON.  "code": the last one's value;
 * "nul": a string has an escaped NUL, or a broken escape.
 */

static unsigned
count_code(perm_str_t text, char *code, size_t size, int *nul)
{
    char      string[256];
    int       depth, name;
    size_t    i;
    unsigned  n;

    depth = 0;
    name = 0;
    n = 0;
    string[0] = '\0';
    *nul = 0;

    for (i = 0; i < text.len; i++) {

        switch (text.data[i]) {

        case '{':
        case '[':
            depth++;
            name = (depth == 1);
            break;

        case '}':
        case ']':
            depth--;
            break;

        case ',':
            name = (depth == 1);
            break;

        case ':':
            name = 0;
            break;

        case '"':
            if (depth != 1) {
                i = read_string(text, i, NULL, 0, nul);

            } else if (name) {
                i = read_string(text, i, string, sizeof(string), nul);
                n += (strcmp(string, "bk_app_code") == 0);

            } else if (strcmp(string, "bk_app_code") == 0) {
                i = read_string(text, i, code, size, nul);

            } else {
                i = read_string(text, i, NULL, 0, nul);
            }
        }
    }

    return n;
}


/* returns where it ends; characters beyond ASCII become "?" */

static size_t
read_string(perm_str_t text, size_t i, char *out, size_t size, int *nul)
{
    char         c, digits[5];
    size_t       n;
    unsigned     code;

    n = 0;

    for (i++; i < text.len && text.data[i] != '"'; i++) {
        c = text.data[i];

        if (c == '\\' && i + 1 < text.len) {
            c = text.data[++i];

            if (c == 'u' && i + 4 < text.len) {
                memcpy(digits, &text.data[i + 1], 4);
                digits[4] = '\0';
                *nul |= (strcmp(digits, "0000") == 0
                         || strspn(digits, "0123456789abcdefABCDEF") != 4);
                code = (unsigned) strtoul(digits, NULL, 16);
                c = (code < 0x80) ? (char) code : '?';
                i += 4;

            } else {
                c = (c == 'n') ? '\n' : (c == 't') ? '\t' : (c == 'r') ? '\r'
                    : (c == 'b') ? '\b' : (c == 'f') ? '\f' : c;
            }
        }

        if (n + 1 < size) {
            out[n++] = c;
        }
    }

    if (size) {
        out[n] = '\0';
    }

    return i;
}
