
/*
 * The replies that doctor reads: of each server to PING, INFO, ROLE, CONFIG GET
 * and TIME, of the table to "meta", and to the commands whose rights it tries.
 * The first byte of the input has the options.  Each call gets the next reply;
 * when there are none left, the server is gone.
 * sources: src/cli/commands/doctor.c src/cli/commands/doctor_probe.c
 * sources: src/cli/commands/doctor_reply.c src/cli/commands/doctor_rights.c
 * sources: src/cli/commands/doctor_server.c src/cli/commands/doctor_table.c
 * sources: src/cli/table/table.c src/cli/util/output.c src/cli/util/alloc.c
 * sources: src/cli/util/time.c src/resp/reader.c src/resp/reply.c
 * sources: src/resp/advice.c src/resp/printable.c
 */


#include "fuzz.h"

#include "cli/commands/command.h"
#include "cli/table/walk.h"
#include "core/json.h"
#include "resp/reader.h"


#define ROLES  7


static int run(const uint8_t *data, size_t size);
static redisReply *next_reply(void);
static void check_output(const char *out, size_t len, int json);


static perm_reader_t  *reader;
static perm_node_t     node;
static perm_reply_pt   sent;        /* the handler of the command that was */
static void           *sent_data;
static unsigned        meta;        /* 0: not asked for yet */
static int             loaded;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int      result;
    char    *out;
    FILE    *own;
    size_t   len;

    static const char  line[] = "\nok       meta         the table is loaded";
    static const char  json[] = "\n{\"status\":\"ok\",\"check\":\"meta\","
                                "\"message\":\"the table is loaded";

    if (size == 0) {
        return 0;
    }

    if (fuzz_stderr() == stderr) {
        stderr = fopen("/dev/null", "w");
    }

    own = stdout;
    stdout = open_memstream(&out, &len);

    result = run(data, size);

    fclose(stdout);
    stdout = own;

    check(result == PERM_EXIT_DONE || result == PERM_EXIT_NO
          || result == PERM_EXIT_REDIS);
    check_output(out, len, data[0] & 0x10);

    /* to the byte, as for a gateway; a folded line has no texts */

    if (meta && (data[0] & 0x30)) {
        check((strstr(out, (data[0] & 0x10) ? json : line) != NULL) == loaded);
    }

    free(out);

    return 0;
}


static int
run(const uint8_t *data, size_t size)
{
    int         result;
    perm_cli_t  cli;

    static perm_redis_url_t  url;

    memset(&cli, 0, sizeof(cli));

    url.kind = (data[0] & 0x40) ? PERM_REDIS_CLUSTER
               : (data[0] & 0x80) ? PERM_REDIS_SENTINEL : PERM_REDIS_SINGLE;

    cli.args.role = data[0] % 8 % ROLES;
    cli.args.json = (data[0] & 0x10) != 0;
    cli.args.verbose = (data[0] & 0x20) != 0;
    cli.servers.url = &url;
    cli.table.prefix = perm_str("app_permission:");

    meta = 0;
    loaded = 0;

    reader = perm_reader_create(1024 * 1024);
    perm_reader_feed(reader, (const char *) data + 1, size - 1);

    result = perm_doctor_command.run(&cli);

    perm_reader_free(reader);

    return result;
}


/* NULL: there is none left */

static redisReply *
next_reply(void)
{
    redisReply  *reply;

    return (perm_reader_next(reader, &reply) == 0) ? reply : NULL;
}


/* lines for a terminal, or of JSON, whatever Redis has said */

static void
check_output(const char *out, size_t len, int json)
{
    size_t       i, n;
    cJSON       *line;
    const cJSON *member;

    check(len && out[len - 1] == '\n');

    for (i = 0; i < len; i += n + 1) {
        n = (size_t) ((char *) memchr(out + i, '\n', len - i) - (out + i));
        check(fuzz_printable(out + i, n, ""));

        if (json) {
            line = perm_json_parse((perm_str_t) { n, out + i });
            check(cJSON_IsObject(line));

            cJSON_ArrayForEach(member, line) {
                check(cJSON_IsString(member)
                      && fuzz_printable(member->valuestring,
                                        strlen(member->valuestring), ""));
            }

            cJSON_Delete(line);
        }
    }
}


/* what doctor calls of the wire */

perm_client_t *
perm_client_open(const perm_discovery_conf_t *conf)
{
    return (perm_client_t *) &node;
}


perm_node_t *
perm_client_next(perm_client_t *client, perm_node_t *before)
{
    return before ? NULL : &node;
}


perm_connection_t *
perm_connection_open(const perm_connection_conf_t *conf,
    const perm_address_t *address)
{
    return (perm_connection_t *) &node;
}


void
perm_connection_close(perm_connection_t *connection)
{
    /* void */
}


const char *
perm_connection_name(const perm_connection_t *connection)
{
    return "127.0.0.1:6379";
}


const char *
perm_connection_error(void)
{
    return "Redis at 127.0.0.1:6379: the connection ended";
}


redisReply *
perm_connection_call(perm_connection_t *connection, const char *format, ...)
{
    return next_reply();
}


/* a client ends the program where there is no reply: here it gets an error */

redisReply *
perm_client_call(perm_client_t *client, unsigned flags, const char *format,
    ...)
{
    redisReply        *reply;
    const redisReply  *schema;

    reply = next_reply();

    if (reply == NULL) {
        reply = calloc(1, sizeof(redisReply));
        reply->type = REDIS_REPLY_ERROR;
        reply->str = strdup("ERR no more");
        reply->len = strlen(reply->str);
    }

    if (strncmp(format, "HMGET %k schema", 15) == 0) {
        schema = perm_table_element(reply, 0);
        meta = 1;
        loaded = schema && schema->type == REDIS_REPLY_STRING
                 && schema->len == 1 && schema->str[0] == '1';
    }

    return reply;
}


void
perm_client_command(perm_client_t *client, const char *format, ...)
{
    /* void */
}


void
perm_client_word(perm_client_t *client, perm_str_t word)
{
    /* void */
}


int
perm_client_keep(void *data, redisReply *reply)
{
    *(redisReply **) data = reply;

    return 1;
}


void
perm_client_send(perm_client_t *client, perm_node_t *to, unsigned flags,
    perm_reply_pt handler, void *data)
{
    sent = handler;
    sent_data = data;
}


void
perm_client_wait(perm_client_t *client)
{
    check(sent(sent_data, perm_client_call(client, 0, "")) == 1);
}


void
perm_client_refused(const char *error)
{
    abort();
}


perm_walk_skipped_t
perm_walk(perm_table_t *table, unsigned flags, const perm_tuple_t *only,
    perm_walk_rows_pt rows, void *data)
{
    return (perm_walk_skipped_t) { 0 };
}


void
perm_walk_keys(perm_table_t *table, perm_key_kind_t kind, unsigned flags,
    const perm_tuple_t *only, perm_walk_keys_pt keys, void *data)
{
    /* void */
}
