
#include "cli/table/history.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define ATTEMPTS_MAX  100


/*
 * KEYS: grants, history, notices; ARGV: field; whether there was a value, and
 * which; whether there is to be one, and which; words of the entry.  The entry
 * comes first: where it cannot be written, nothing is.  Notices that are of
 * another type do no harm.
 */

static const char  change_script[] =
    PERM_TABLE_LUA_READ
    "if v~=(ARGV[2]=='1' and ARGV[3]) then return 0 end "
    "redis.call('XADD',KEYS[2],'MAXLEN','" PERM_HISTORY_MAX "','*',"
    "unpack(ARGV,6)) "
    "if ARGV[4]=='1' then redis.call('HSET',KEYS[1],ARGV[1],ARGV[5]) "
    "else redis.call('HDEL',KEYS[1],ARGV[1]) end "
    "redis.pcall('HDEL',KEYS[3],ARGV[1]) return 1";


static int is_written(perm_str_t now, const char *value);
static perm_count_t write_change(perm_table_t *table,
    const perm_tuple_t *tuple, perm_str_t old, const char *value,
    const perm_history_entry_t *entry);
static void put_word(perm_client_t *client, const char *name,
    const char *value);
static void put_time(perm_client_t *client, const char *name, int64_t seconds,
    char text[32]);


int
perm_history_change(perm_table_t *table, const perm_tuple_t *tuple,
    perm_history_change_pt change, void *data)
{
    int                    done;
    char                  *value, text[PERM_KEY_MAX];
    unsigned               attempts, resent;
    perm_str_t             old, key;
    redisReply            *reply;
    perm_history_entry_t   entry;

    key = perm_table_key(table, text, PERM_KEY_GRANTS, tuple);

    for (attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
        reply = perm_client_call(table->client, 0, "HGET %k %b", key,
                                 perm_table_field(tuple));
        old = perm_table_bytes(reply);
        value = NULL;
        memset(&entry, 0, sizeof(perm_history_entry_t));

        if (!change(data, old, &entry, &value)) {
            freeReplyObject(reply);
            return 0;
        }

        resent = perm_client_resent(table->client);
        done = write_change(table, tuple, old, value, &entry) != 0;
        freeReplyObject(reply);

        /* a server that went away may have written it, and not said so */

        if (!done && resent != perm_client_resent(table->client)) {
            reply = perm_client_call(table->client, 0, "HGET %k %b", key,
                                     perm_table_field(tuple));
            done = is_written(perm_table_bytes(reply), value);
            freeReplyObject(reply);
        }

        free(value);

        if (done) {
            return 1;
        }
    }

    perm_output_fatal(PERM_EXIT_REDIS, "\"%s\" changes too fast to be written",
                      perm_output_safe(key));
}


static int
is_written(perm_str_t now, const char *value)
{
    return (now.data == NULL || value == NULL)
           ? now.data == value : perm_str_equal(now, perm_str(value));
}


static perm_count_t
write_change(perm_table_t *table, const perm_tuple_t *tuple, perm_str_t old,
    const char *value, const perm_history_entry_t *entry)
{
    char          keys[3][PERM_KEY_MAX];
    perm_str_t    empty;
    perm_count_t  written;

    empty = perm_str("");

    perm_client_command(table->client, "EVAL %s 3 %k %k %k %b %s %b %s %s",
                        change_script,
                        perm_table_key(table, keys[0], PERM_KEY_GRANTS, tuple),
                        perm_table_key(table, keys[1], PERM_KEY_HISTORY,
                                       tuple),
                        perm_table_key(table, keys[2], PERM_KEY_NOTICES,
                                       tuple),
                        perm_table_field(tuple),
                        old.data ? "1" : "0", old.data ? old : empty,
                        value ? "1" : "0", value ? value : "");
    perm_history_words(table->client, tuple, entry);

    written = 0;
    perm_client_send(table->client, NULL, 0, perm_table_count, &written);
    perm_client_wait(table->client);

    return written;
}


const char *
perm_history_who(const char *by)
{
    const struct passwd  *user;

    static char  number[24];

    if (by != NULL) {
        return by;
    }

    by = getenv("SUDO_USER");

    if (by != NULL && *by != '\0') {
        return by;
    }

    user = getpwuid(geteuid());

    if (user != NULL) {
        return user->pw_name;
    }

    snprintf(number, sizeof(number), "uid %u", (unsigned) geteuid());

    return number;
}


void
perm_history_words(perm_client_t *client, const perm_tuple_t *tuple,
    const perm_history_entry_t *entry)
{
    static char  before[32], expires[32];

    put_word(client, "action", entry->action);
    perm_client_word(client, perm_str("resource"));
    perm_client_word(client, perm_table_field(tuple));
    put_time(client, "before", entry->before, before);
    put_time(client, "expires", entry->expires, expires);
    put_word(client, "by", perm_history_who(entry->by));
    put_word(client, "comment", entry->comment);
}


static void
put_word(perm_client_t *client, const char *name, const char *value)
{
    if (value != NULL) {
        perm_client_word(client, perm_str(name));
        perm_client_word(client, perm_str(value));
    }
}


/* "text" must last until the command is sent */

static void
put_time(perm_client_t *client, const char *name, int64_t seconds,
    char text[32])
{
    if (seconds >= 0) {
        snprintf(text, 32, "%lld", (long long) seconds);
        put_word(client, name, text);
    }
}
