
#include "cli/table/requests.h"

#include <stdlib.h>
#include <string.h>

#include "cli/table/history.h"
#include "cli/util/alloc.h"
#include "cli/util/notify.h"
#include "core/grant.h"


#define ATTEMPTS_MAX  100
#define DAY           86400

enum { REQUEST = 0, GRANT, REPLIES };


/*
 * KEYS: grants, requests, history, notices; ARGV: field; the request that was
 * read and the new one; whether there was a grant, and which; the new grant,
 * "" for none; words of the entry.  The entry comes first: where it cannot be
 * written, nothing is.  Notices that are of another type do no harm.
 */

static const char  handle_script[] =
    PERM_TABLE_LUA_READ
    "if redis.call('HGET',KEYS[2],ARGV[1])~=ARGV[2] then return 0 end "
    "if ARGV[6]~='' and v~=(ARGV[4]=='1' and ARGV[5]) then return 0 end "
    "redis.call('XADD',KEYS[3],'MAXLEN','" PERM_HISTORY_MAX "','*',"
    "unpack(ARGV,7)) "
    "if ARGV[6]~='' then redis.call('HSET',KEYS[1],ARGV[1],ARGV[6]) "
    "redis.pcall('HDEL',KEYS[4],ARGV[1]) end "
    "redis.call('HSET',KEYS[2],ARGV[1],ARGV[3]) return 1";


static void read_both(perm_table_t *table, const perm_tuple_t *tuple,
    redisReply *replies[REPLIES]);
static perm_requests_result_t handle(perm_table_t *table,
    const perm_tuple_t *tuple, const perm_requests_answer_t *answer,
    perm_str_t request, perm_str_t grant, perm_requests_handled_t *handled,
    perm_count_t *written);
static char *new_grant(const perm_table_t *table,
    const perm_requests_answer_t *answer, int64_t days, perm_str_t old,
    perm_requests_handled_t *handled);
static perm_count_t write_both(perm_table_t *table, const perm_tuple_t *tuple,
    const perm_requests_answer_t *answer, perm_str_t request, perm_str_t grant,
    const char *value, const perm_requests_handled_t *handled);
static int is_stored(perm_table_t *table, const perm_tuple_t *tuple,
    const char *request);
static int is_reserved(const char *name);


perm_requests_result_t
perm_requests_handle(perm_table_t *table, const perm_tuple_t *tuple,
    const perm_requests_answer_t *answer, perm_requests_handled_t *handled)
{
    int                      existed;
    char                     key[PERM_KEY_MAX];
    unsigned                 attempts, resent;
    perm_str_t               request, grant;
    redisReply              *replies[REPLIES];
    perm_count_t             written;
    perm_requests_result_t   result;

    existed = 0;

    for (attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
        read_both(table, tuple, replies);
        request = perm_table_bytes(replies[REQUEST]);
        grant = perm_table_bytes(replies[GRANT]);

        memset(handled, 0, sizeof(perm_requests_handled_t));
        handled->old.expires = PERM_GRANT_ABSENT;
        handled->expires = PERM_GRANT_ABSENT;
        written = 0;

        if (existed && grant.data == NULL
            && answer->status == PERM_REQUEST_APPROVED)
        {
            result = PERM_REQUESTS_REVOKED;

        } else {
            resent = perm_client_resent(table->client);
            result = handle(table, tuple, answer, request, grant, handled,
                            &written);

            /* a server that went away may have written it, and not said so */

            if (result == PERM_REQUESTS_HANDLED && !written
                && resent != perm_client_resent(table->client))
            {
                written = (perm_count_t) is_stored(table, tuple,
                                                   handled->value);
            }
        }

        existed = (grant.data != NULL);
        freeReplyObject(replies[REQUEST]);
        freeReplyObject(replies[GRANT]);

        if (written || result != PERM_REQUESTS_HANDLED) {
            return result;
        }

        free(handled->value);
    }

    perm_output_fatal(PERM_EXIT_REDIS, "\"%s\" changes too fast to be written",
                      perm_table_key(table, key, PERM_KEY_GRANTS, tuple).data);
}


static void
read_both(perm_table_t *table, const perm_tuple_t *tuple,
    redisReply *replies[REPLIES])
{
    int   i;
    char  keys[REPLIES][PERM_KEY_MAX];

    static const perm_key_kind_t  kinds[REPLIES] = {
        PERM_KEY_REQUESTS, PERM_KEY_GRANTS
    };

    for (i = 0; i < REPLIES; i++) {
        perm_client_command(table->client, "HGET %k %b",
                            perm_table_key(table, keys[i], kinds[i], tuple),
                            perm_table_field(tuple));
        perm_client_send(table->client, NULL, 0, perm_client_keep,
                         &replies[i]);
    }

    perm_client_wait(table->client);
}


/* of what was read; *written: 1 unless it is another by now */

static perm_requests_result_t
handle(perm_table_t *table, const perm_tuple_t *tuple,
    const perm_requests_answer_t *answer, perm_str_t request, perm_str_t grant,
    perm_requests_handled_t *handled, perm_count_t *written)
{
    char                     *value;
    perm_request_t            read;
    perm_request_handling_t   handling;

    static const perm_requests_result_t  results[] = {
        [PERM_REQUEST_PENDING] = PERM_REQUESTS_HANDLED,
        [PERM_REQUEST_APPROVED] = PERM_REQUESTS_APPROVED,
        [PERM_REQUEST_REJECTED] = PERM_REQUESTS_REJECTED,
        [PERM_REQUEST_UNREADABLE] = PERM_REQUESTS_UNREADABLE
    };

    if (request.data == NULL) {
        return PERM_REQUESTS_ABSENT;
    }

    read = perm_request_read(request);

    if (read.status != PERM_REQUEST_PENDING) {
        handled->value = perm_alloc_check(strndup(request.data, request.len));
        return results[read.status];
    }

    handling.status = answer->status;
    handling.granted_days = -1;
    handling.at = table->now;
    handling.by = answer->by;
    handling.comment = answer->comment;
    value = NULL;

    if (answer->status == PERM_REQUEST_APPROVED) {
        handling.granted_days = (answer->days >= 0) ? answer->days : read.days;
        value = new_grant(table, answer, handling.granted_days, grant,
                          handled);
    }

    handled->value = perm_alloc_check(perm_request_handle(request, &handling));

    if ((value != NULL && strlen(value) > PERM_GRANT_VALUE_MAX)
        || strlen(handled->value) > PERM_GRANT_VALUE_MAX)
    {
        free(value);
        free(handled->value);
        handled->value = NULL;
        return PERM_REQUESTS_TOO_LONG;
    }

    *written = write_both(table, tuple, answer, request, grant, value,
                          handled);
    free(value);

    return PERM_REQUESTS_HANDLED;
}


/*
 * A grant that lasts is extended, as "extend" does it, and goes on counting
 * from when it was given: its accesses are of use for its renewal.
 */

static char *
new_grant(const perm_table_t *table, const perm_requests_answer_t *answer,
    int64_t days, perm_str_t old, perm_requests_handled_t *handled)
{
    int                   live;
    int64_t               before;
    perm_grant_change_t   change;

    handled->old = perm_grant_read(old);
    before = handled->old.expires;
    live = perm_grant_live(before, table->now);

    if (days == 0 || before >= PERM_GRANT_PERMANENT) {
        handled->expires = (before > PERM_GRANT_PERMANENT)
                           ? before : PERM_GRANT_PERMANENT;
    } else {
        handled->expires = (live ? before : table->now) + days * DAY;
    }

    memset(&change, 0, sizeof(perm_grant_change_t));
    change.expires = handled->expires;
    change.granted = live ? PERM_GRANT_ABSENT : table->now;
    change.type = "apply";
    change.by = answer->by;

    return perm_alloc_check(perm_grant_rewrite(old, &change));
}


static perm_count_t
write_both(perm_table_t *table, const perm_tuple_t *tuple,
    const perm_requests_answer_t *answer, perm_str_t request, perm_str_t grant,
    const char *value, const perm_requests_handled_t *handled)
{
    int                    i;
    char                   keys[4][PERM_KEY_MAX];
    perm_str_t             key[4];
    perm_count_t           written;
    perm_history_entry_t   entry;

    static const perm_key_kind_t  kinds[4] = {
        PERM_KEY_GRANTS, PERM_KEY_REQUESTS, PERM_KEY_HISTORY, PERM_KEY_NOTICES
    };

    for (i = 0; i < 4; i++) {
        key[i] = perm_table_key(table, keys[i], kinds[i], tuple);
    }

    entry.action = value ? "approve" : "reject";
    entry.before = handled->old.expires;
    entry.expires = handled->expires;
    entry.by = answer->by;
    entry.comment = answer->comment;

    perm_client_command(table->client,
                        "EVAL %s 4 %k %k %k %k %b %b %s %s %b %s",
                        handle_script, key[0], key[1], key[2], key[3],
                        perm_table_field(tuple), request, handled->value,
                        grant.data ? "1" : "0",
                        grant.data ? grant : perm_str(""),
                        value ? value : "");
    perm_history_words(table->client, tuple, &entry);

    written = 0;
    perm_client_send(table->client, NULL, 0, perm_table_count, &written);
    perm_client_wait(table->client);

    return written;
}


static int
is_stored(perm_table_t *table, const perm_tuple_t *tuple, const char *request)
{
    int          stored;
    redisReply  *replies[REPLIES];
    perm_str_t   value;

    read_both(table, tuple, replies);
    value = perm_table_bytes(replies[REQUEST]);
    stored = value.data != NULL && perm_str_equal(value, perm_str(request));

    freeReplyObject(replies[REQUEST]);
    freeReplyObject(replies[GRANT]);

    return stored;
}


void
perm_requests_print(FILE *file, perm_str_t value)
{
    char                *text;
    cJSON               *json;
    perm_json_member_t   member;

    json = perm_json_parse(value);
    text = perm_alloc(value.len * PERM_JSON_ESCAPE + 1);

    for (member = perm_json_members(json, value); perm_json_next(&member); ) {

        if (is_reserved(member.item->string)) {
            continue;
        }

        fputc(',', file);
        fwrite(text, 1, perm_json_line(text, member.name), file);
        fputc(':', file);
        fwrite(text, 1, perm_json_line(text, member.value), file);
    }

    free(text);
    cJSON_Delete(json);
}


static int
is_reserved(const char *name)
{
    size_t  i;

    static const char *const  names[] = {
        "gateway", "resource", "app", "result", "expires_before", "expires",
        "gateway_expires", "renew"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return 1;
        }
    }

    return 0;
}


void
perm_requests_warn_unreadable(perm_str_t key, perm_str_t field)
{
    perm_output_warn("\"%s\", field \"%s\": unreadable request, which "
                     "\"apply\" replaces", perm_output_safe(key),
                     perm_output_safe(field));
}


void
perm_requests_report(int json, const perm_tuple_t *tuple, const char *result,
    perm_str_t value, const perm_requests_handled_t *handled)
{
    int64_t         expires;
    perm_request_t  request;

    expires = handled ? handled->expires : PERM_GRANT_ABSENT;

    if (json) {
        perm_output_json(stdout, "{%t,'result':%s", tuple, result);

        if (value.data != NULL) {
            perm_requests_print(stdout, value);
        }

        if (expires >= 0) {
            perm_output_json(stdout, handled->old.expires >= 0
                             && !handled->old.renew
                             ? ",'expires_before':%n,'expires':%n,"
                               "'renew':false"
                             : ",'expires_before':%n,'expires':%n",
                             handled->old.expires, expires);
        }

        fputs("}\n", stdout);
        return;
    }

    request = perm_request_read(value);

    printf("%s: app %s, gateway %s, %s%.*s", result, tuple->app.data,
           tuple->gateway.data,
           tuple->resource.len ? "resource " : "all resources",
           (int) tuple->resource.len,
           tuple->resource.len ? tuple->resource.data : "");

    if (expires >= 0) {
        printf(expires >= PERM_GRANT_PERMANENT ? ", %s\n" : ", until %s\n",
               perm_output_time(expires));

    } else if (request.handled_at) {
        printf(", at %s\n", perm_output_time(request.handled_at));

    } else if (request.status == PERM_REQUEST_PENDING && request.days) {
        printf(", for %s\n", perm_output_count((perm_count_t) request.days,
                                               "day"));
    } else {
        printf("%s\n", request.status == PERM_REQUEST_PENDING
                       ? ", permanently" : "");
    }
}


int64_t
perm_requests_days(int64_t period)
{
    if (period < 0) {
        return period;
    }

    if (period % DAY || period / DAY > PERM_REQUEST_DAYS_MAX) {
        perm_output_fatal(PERM_EXIT_USAGE, "--days has to be whole days, as in "
                          "5d or 120h, %d at most; 0 is permanent",
                          PERM_REQUEST_DAYS_MAX);
    }

    return period / DAY;
}


void
perm_requests_tell(perm_requests_notice_t *notice, const perm_tuple_t *tuple,
    perm_str_t value, int64_t expires)
{
    if (notice->file == NULL) {
        notice->file = perm_alloc_check(open_memstream(&notice->text,
                                                       &notice->len));
        perm_output_json(notice->file, "{'app':%b,'gateway':%b,'requests':[",
                         tuple->app, tuple->gateway);
    } else {
        fputc(',', notice->file);
    }

    perm_output_json(notice->file, tuple->resource.len
                     ? "{'resource':%b" : "{'resource':null", tuple->resource);
    perm_requests_print(notice->file, value);
    perm_output_json(notice->file, expires >= 0 ? ",'expires':%n}" : "}",
                     expires);
}


int
perm_requests_notify(perm_requests_notice_t *notice, const char *command,
    int json, perm_str_t app)
{
    int  failed;

    if (notice->file == NULL) {
        return 0;
    }

    fputs("]}\n", notice->file);

    perm_alloc_close(notice->file, &notice->text);

    failed = command != NULL
             && perm_notify_run(command, json, app, notice->text, notice->len);

    if (failed) {
        perm_output_warn("what was done stays; only the notice was not given");
    }

    free(notice->text);
    notice->file = NULL;

    return failed;
}
