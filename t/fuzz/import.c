
/*
 * Files that "app-permission import" reads.  A grant that is taken is written
 * as export does, and read again as the same one.
 * sources: src/cli/table/grant_file.c src/cli/table/grant_line.c
 * sources: src/cli/util/output.c src/cli/util/alloc.c src/cli/util/time.c
 * sources: src/cli/util/temporary.c
 * sources: src/resp/printable.c
 */


#include "fuzz.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/table/grant_file.h"
#include "core/grant.h"
#include "core/json.h"


static void check_item(const perm_grant_file_t *file,
    const perm_grant_item_t *item);
static void check_names(perm_str_t text, const perm_tuple_t *tuple);
static void check_name(const cJSON *json, perm_str_t text, const char *name,
    perm_str_t value);
static void check_line(const perm_grant_line_t *line);
static void stop(void *data);


volatile sig_atomic_t  perm_walk_interrupted;

static jmp_buf  stopped;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned            items;
    perm_grant_item_t   item;
    perm_grant_file_t  *file;

    static int  fd = -1;

    if (fd == -1) {
        fd = memfd_create("import", 0);
        check(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
        (void) fuzz_stderr();
        stderr = fopen("/dev/null", "w");
    }

    check(ftruncate(fd, 0) == 0
          && pwrite(fd, data, size, 0) == (ssize_t) size
          && lseek(fd, 0, SEEK_SET) == 0);

    file = perm_grant_file_open(NULL);

    /* a file of UTF-16 ends the program */

    perm_output_at_fatal(stop, NULL);

    if (setjmp(stopped) == 0) {

        for (items = 0; perm_grant_file_next(file, &item); items++) {
            check(items <= size);
            check_item(file, &item);
        }

        check(file->offset <= size);
    }

    perm_output_at_fatal(NULL, NULL);
    perm_grant_file_close(file);

    return 0;
}


static void
stop(void *data)
{
    longjmp(stopped, 1);
}


static void
check_item(const perm_grant_file_t *file, const perm_grant_item_t *item)
{
    perm_str_t                text;
    perm_grant_line_t         line;
    perm_grant_line_error_t   error;

    check(item->line >= 1 && item->column >= 1);
    if (item->wrong != NULL) {
        check(item->text.len == 0);
        return;
    }

    check(item->text.len && item->text.data[item->text.len] == '\0');
    text = fuzz_copy(item->text.data, item->text.len);

    if (perm_grant_line_parse(text, &line, &error) == 0) {
        check_names(text, &line.tuple);
        check_line(&line);

    } else {
        check(error.wrong != NULL && error.at <= text.len);
        check(error.value.len == 0
              || (error.value.data >= text.data
                  && error.value.data + error.value.len
                     <= text.data + text.len));
    }

    free((char *) text.data);
}


/* of our members, or of the dashboard's: there "*" is the whole gateway */

static void
check_names(perm_str_t text, const perm_tuple_t *tuple)
{
    int     theirs;
    cJSON  *json, *resource;

    json = perm_json_parse(text);
    theirs = (cJSON_GetObjectItemCaseSensitive(json, "gateway") == NULL);

    check_name(json, text, theirs ? "gateway_name" : "gateway", tuple->gateway);
    check_name(json, text, theirs ? "bk_app_code" : "app", tuple->app);

    resource = cJSON_GetObjectItemCaseSensitive(json, theirs ? "resource_name"
                                                             : "resource");

    if (tuple->resource.len) {
        check_name(json, text, theirs ? "resource_name" : "resource",
                   tuple->resource);

    } else if (theirs) {
        check(cJSON_IsString(resource)
              && strcmp(resource->valuestring, "*") == 0);

    } else {
        check(resource == NULL);
    }

    cJSON_Delete(json);
}


/* there is one such member, and no escaped NUL in it */

static void
check_name(const cJSON *json, perm_str_t text, const char *name,
    perm_str_t value)
{
    unsigned             n;
    perm_json_member_t   member;

    n = 0;

    for (member = perm_json_members(json, text); perm_json_next(&member); ) {
        if (strcmp(member.item->string, name) == 0) {
            check(cJSON_IsString(member.item)
                  && perm_str_equal(perm_str(member.item->valuestring), value));
            check(memmem(member.value.data, member.value.len, "\\u0000", 6)
                  == NULL);
            n++;
        }
    }

    check(n == 1);
}


static void
check_line(const perm_grant_line_t *line)
{
    int                       lost;
    char                     *out, *value;
    FILE                     *stream;
    size_t                    len;
    perm_row_t                row;
    perm_grant_line_t         again;
    perm_grant_line_error_t   error;

    check(fuzz_name(line->tuple.gateway, 64));
    check(fuzz_name(line->tuple.app, 128));
    check(line->tuple.resource.len == 0
          || (fuzz_name(line->tuple.resource, 256)
              && !perm_str_equal(line->tuple.resource, perm_str("-"))));

    check(line->value.len <= PERM_GRANT_VALUE_MAX);
    check(line->expires >= 0 && line->expires <= PERM_GRANT_EXPIRES_MAX);
    check(perm_grant_expires(line->value) == line->expires);

    /* the names and the value are of the last line: copies */

    memset(&row, 0, sizeof(row));
    value = strndup(line->value.data, line->value.len);

    row.tuple.gateway = fuzz_copy(line->tuple.gateway.data,
                                  line->tuple.gateway.len);
    row.tuple.app = fuzz_copy(line->tuple.app.data, line->tuple.app.len);
    row.tuple.resource = fuzz_copy(line->tuple.resource.data,
                                   line->tuple.resource.len);
    row.value = perm_str(value);
    row.grant = perm_grant_read(row.value);

    stream = open_memstream(&out, &len);
    lost = perm_grant_line_print(stream, &row);
    fclose(stream);

    check(lost >= 0);
    check(len && out[len - 1] == '\n' && memchr(out, '\n', len - 1) == NULL);

    check(perm_grant_line_parse((perm_str_t) { len - 1, out }, &again, &error)
          == 0);
    check(perm_str_equal(again.tuple.gateway, row.tuple.gateway)
          && perm_str_equal(again.tuple.app, row.tuple.app)
          && perm_str_equal(again.tuple.resource, row.tuple.resource)
          && again.expires == row.grant.expires);
    check(perm_grant_read(again.value).renew == row.grant.renew
          && perm_grant_read(again.value).granted == row.grant.granted);

    free((char *) row.tuple.gateway.data);
    free((char *) row.tuple.app.data);
    free((char *) row.tuple.resource.data);
    free(value);
    free(out);
}
