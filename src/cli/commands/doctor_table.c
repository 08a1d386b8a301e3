
#include "cli/commands/doctor_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/table/walk.h"
#include "cli/util/alloc.h"
#include "core/grant.h"
#include "resp/reader.h"
#include "resp/reply.h"


#define NAMED  10      /* keys of a wrong type */


/* how many there are of a kind, and where the first one is */

typedef struct {
    perm_count_t        n;
    char                first[512];
} perm_doctor_found_t;


typedef struct {
    perm_doctor_t        *doctor;
    perm_key_kind_t       kind;         /* of the keys that are looked at */
    perm_count_t          keys;
    perm_count_t          wrong_types;  /* of them */
    int                   refused;      /* a key could not be looked at */
    perm_doctor_found_t   ending;       /* keys of grants that end */
    perm_doctor_found_t   unreadable;
    perm_doctor_found_t   too_long;
    perm_doctor_found_t   future;       /* accesses */
} perm_doctor_keys_t;


/* a command that only the right type answers, and what a wrong one does */

static const struct {
    perm_key_kind_t     kind;
    const char         *command;
    const char         *wrong;
} kinds[] = {
    { PERM_KEY_GRANTS, "HGET %k -", "hash: calls of this app get 503" },
    { PERM_KEY_ACCESS, "ZSCORE %k -",
      "sorted set: accesses of this app are not recorded" },
    { PERM_KEY_REQUESTS, "HGET %k -", "hash: this app can apply for nothing" },
    { PERM_KEY_NOTICES, "HGET %k -", "hash: no notice is kept for this app" },
    { PERM_KEY_HISTORY, "XRANGE %k - + COUNT 1",
      "stream: grants of this app cannot be changed" }
};


static void report_types(perm_doctor_keys_t *keys);
static void report_found(perm_doctor_keys_t *keys);
static void look_at_keys(void *data, perm_str_t *names, size_t n);
static void look_at_grants(void *data, perm_row_t *rows, size_t n);
static void look_at_accesses(void *data, perm_row_t *rows, size_t n);
static void found(perm_doctor_found_t *found, perm_str_t key,
    perm_str_t field);


void
perm_doctor_meta(perm_doctor_t *doctor)
{
    char               key[PERM_KEY_MAX];
    perm_str_t         name, schema, id;
    redisReply        *reply;
    const redisReply  *first;

    name.data = key;
    name.len = perm_grant_key_meta(key, doctor->cli->table.prefix);

    reply = perm_client_call(doctor->cli->table.client, PERM_ERRORS_TOO,
                             "HMGET %k " PERM_SCHEMA_FIELD " id", name);

    if (perm_doctor_reply_general(doctor, reply)) {
        freeReplyObject(reply);
        return;
    }

    first = perm_table_element(reply, 0);
    schema = perm_table_bytes(first);
    id = perm_table_bytes(perm_table_element(reply, 1));

    if (schema.data && perm_str_equal(schema, perm_str(PERM_SCHEMA))) {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "meta", "the table is "
                           "loaded%s", id.data ? ""
                           : "; it has no id, by which gateways notice that "
                             "another table took its place: \"init\" gives it "
                             "one");

    } else if (schema.data != NULL) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "meta", "\"%s\" says "
                           "schema \"%s\", only \"1\" is known: update "
                           "app-permission", key, perm_output_safe(schema));

    } else if (first != NULL && first->type == REDIS_REPLY_NIL) {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "meta", "\"%s\" is "
                           "missing: the table counts as not loaded; import a "
                           "copy of it, or init a new one, or check --prefix "
                           "and the database", key);

    } else if (perm_reply_error(reply, "NOPERM")) {
        perm_doctor_report(doctor, PERM_DOCTOR_SKIPPED, "meta", "the right is "
                           "missing: see rights");

    } else {
        perm_doctor_report(doctor, PERM_DOCTOR_ERROR, "meta", "\"%s\" cannot "
                           "be read: %s; check --prefix and the database, or "
                           "remove it and import a copy of the table", key,
                           reply->type == REDIS_REPLY_ERROR
                           ? perm_output_safe_text(reply->str) : "not a hash");
    }

    freeReplyObject(reply);
}


void
perm_doctor_table(perm_doctor_t *doctor)
{
    unsigned             i, flags;
    redisReply          *reply;
    perm_str_t           seconds;
    perm_table_t        *table;
    perm_doctor_keys_t   keys;

    static const char *const  checks[] = {
        "types", "values", "expire", "accesses"
    };

    /* a walk ends the program where it lacks a right */

    if (doctor->acl.len || doctor->keys.len) {
        for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
            perm_doctor_report(doctor, PERM_DOCTOR_SKIPPED, checks[i],
                               "rights are missing: see rights");
        }

        return;
    }

    table = &doctor->cli->table;
    memset(&keys, 0, sizeof(perm_doctor_keys_t));
    keys.doctor = doctor;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        keys.kind = (perm_key_kind_t) i;
        perm_walk_keys(table, kinds[i].kind, PERM_WALK_REPEATS, NULL,
                       look_at_keys, &keys);
    }

    report_types(&keys);

    /* accesses are compared with Redis's time, as their readers do */

    reply = perm_client_call(table->client, PERM_ERRORS_TOO, "TIME");
    seconds = perm_table_bytes(perm_table_element(reply, 0));
    table->now = seconds.data ? strtoll(seconds.data, NULL, 10) : time(NULL);
    freeReplyObject(reply);

    flags = PERM_WALK_UNREADABLE | PERM_WALK_REPEATS | PERM_WALK_TOLD;
    (void) perm_walk(table, flags, NULL, look_at_grants, &keys);
    (void) perm_walk(table, flags | PERM_WALK_ACCESSES, NULL, look_at_accesses,
                     &keys);
    report_found(&keys);
}


static void
report_types(perm_doctor_keys_t *keys)
{
    if (keys->wrong_types > NAMED) {
        perm_doctor_report(keys->doctor, PERM_DOCTOR_ERROR, "types", "%llu "
                           "keys are of a wrong type, of which the first %d "
                           "are named", keys->wrong_types, NAMED);

    } else if (keys->wrong_types == 0 && !keys->refused) {
        perm_doctor_report(keys->doctor, PERM_DOCTOR_OK, "types", "%s of the "
                           "table, none of a wrong type",
                           perm_output_count(keys->keys, "key"));
    }
}


static void
report_found(perm_doctor_keys_t *keys)
{
    perm_doctor_t  *doctor;

    doctor = keys->doctor;

    if (keys->too_long.n) {
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "values", "%s longer "
                           "than 64 KiB and counts as absent, as %s: write "
                           "grants again, or remove them",
                           perm_output_plural(keys->too_long.n, "value is",
                                              "values are"),
                           keys->too_long.first);
    }

    if (keys->unreadable.n) {
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "values", "%s be read "
                           "and counts as absent, as %s: write grants again, "
                           "or remove them",
                           perm_output_plural(keys->unreadable.n,
                                              "grant cannot",
                                              "grants cannot"),
                           keys->unreadable.first);
    }

    if (keys->too_long.n == 0 && keys->unreadable.n == 0) {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "values", "every grant can "
                           "be read");
    }

    if (keys->ending.n) {
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "expire", "%s a time "
                           "to live (EXPIRE), as %s: when it is over the key "
                           "is gone with all of its grants, whatever they say "
                           "of their ends; PERSIST takes it away",
                           perm_output_plural(keys->ending.n,
                                              "key of grants has",
                                              "keys of grants have"),
                           keys->ending.first);
    } else {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "expire", "no key of "
                           "grants ends by itself");
    }

    if (keys->future.n) {
        perm_doctor_report(doctor, PERM_DOCTOR_WARNING, "accesses",
                           "%s in Redis's future, as %s, and counts as one of "
                           "now: a gateway's clock is or was ahead; let it "
                           "follow a time server",
                           perm_output_plural(keys->future.n, "access is",
                           "accesses are"), keys->future.first);
    } else {
        perm_doctor_report(doctor, PERM_DOCTOR_OK, "accesses", "none in the "
                           "future");
    }
}


static void
look_at_keys(void *data, perm_str_t *names, size_t n)
{
    size_t               i;
    redisReply         **replies, **ttls;
    perm_tuple_t         tuple;
    perm_table_t        *table;
    perm_doctor_keys_t  *keys = data;

    table = &keys->doctor->cli->table;
    replies = perm_alloc_check(calloc(2 * n, sizeof(redisReply *)));
    ttls = replies + n;

    for (i = 0; i < n; i++) {

        if (!perm_grant_key_parse(names[i], kinds[keys->kind].kind,
                                  table->prefix, &tuple.gateway, &tuple.app))
        {
            continue;
        }

        keys->keys++;
        perm_client_command(table->client, kinds[keys->kind].command,
                            names[i]);
        perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                         perm_client_keep, &replies[i]);

        if (keys->kind == PERM_KEY_GRANTS) {
            perm_client_command(table->client, "PTTL %k", names[i]);
            perm_client_send(table->client, NULL, PERM_ERRORS_TOO,
                             perm_client_keep, &ttls[i]);
        }
    }

    perm_client_wait(table->client);

    for (i = 0; i < n; i++) {

        if (replies[i] == NULL || replies[i]->type != REDIS_REPLY_ERROR) {
            /* no key of the table, or of the right type */

        } else if (strncmp(replies[i]->str, "WRONGTYPE", 9) != 0) {
            keys->refused = 1;

        } else if (keys->wrong_types++ < NAMED) {
            perm_doctor_report(keys->doctor, PERM_DOCTOR_ERROR, "types",
                               "\"%s\" is no %s; rename or remove it",
                               perm_output_safe(names[i]),
                               kinds[keys->kind].wrong);
        }

        if (ttls[i] != NULL && ttls[i]->type == REDIS_REPLY_INTEGER
            && ttls[i]->integer >= 0)
        {
            found(&keys->ending, names[i], perm_str(""));
        }

        freeReplyObject(replies[i]);
        freeReplyObject(ttls[i]);
    }

    free(replies);
    perm_output_progress("looked at keys", keys->keys, 0);
}


static void
look_at_grants(void *data, perm_row_t *rows, size_t n)
{
    size_t               i;
    perm_doctor_keys_t  *keys = data;

    for (i = 0; i < n; i++) {
        if (rows[i].grant.expires < 0) {
            found(perm_reader_too_long(rows[i].value) ? &keys->too_long
                                                      : &keys->unreadable,
                  rows[i].key, rows[i].field);
        }
    }
}


static void
look_at_accesses(void *data, perm_row_t *rows, size_t n)
{
    size_t               i;
    char                 score[64];
    double               second;
    perm_doctor_keys_t  *keys = data;

    for (i = 0; i < n; i++) {
        snprintf(score, sizeof(score), "%.*s", (int) rows[i].value.len,
                 rows[i].value.data);

        second = strtod(score, NULL);

        /* infinity is no time, and counts as no access */

        if (second > (double) keys->doctor->cli->table.now && !isinf(second)) {
            found(&keys->future, rows[i].key, rows[i].field);
        }
    }
}


static void
found(perm_doctor_found_t *found, perm_str_t key, perm_str_t field)
{
    if (found->n++ == 0) {
        snprintf(found->first, sizeof(found->first), field.len
                 ? "\"%s\", field \"%s\"" : "\"%s\"", perm_output_safe(key),
                 perm_output_safe(field));
    }
}
