
/*
 * access: last accesses, the feed of an outside renewal job.
 */


#include <stdlib.h>
#include <string.h>

#include "cli/table/scan.h"
#include "core/grant.h"


#define OFFSET(member)  offsetof(perm_args_t, member)
#define CHUNK           128
#define MEMBERS         256   /* ZSCAN COUNT */


static const perm_option_t  access_options[] = {
    { "--since", "T", "those at that time or later only",
      PERM_ARG_TIME, OFFSET(since), 0 },
    PERM_OPTION_END
};


typedef struct {
    perm_str_t     key;
    perm_str_t     gateway;
    perm_str_t     app;
    char           cursor[PERM_CURSOR_SIZE];
    int            done;
    redisReply    *members;
} perm_access_page_t;


static perm_wire_command_t  request;
static perm_wrong_type_t  wrong_type;


static void
print_access(const perm_access_page_t *page, perm_str_t resource,
    int64_t last)
{
    perm_object_begin(stdout);
    perm_object_string(stdout, "gateway", page->gateway);
    perm_object_string(stdout, "resource", resource);
    perm_object_string(stdout, "app", page->app);
    perm_object_number(stdout, "last_access", last);
    perm_object_end(stdout, "\n");
}


static void
print_page(perm_cli_t *cli, const perm_access_page_t *page)
{
    size_t             i;
    int64_t            last;
    perm_str_t         resource;
    const redisReply  *items;

    items = page->members->element[1];

    for (i = 0; i + 1 < items->elements; i += 2) {
        resource = perm_scan_reply_str(items->element[i]);
        last = perm_table_score(items->element[i + 1]);

        if (last < 0 || !perm_name_resource_valid(resource)) {
            perm_warn("\"%s\", member \"%s\": no last access; skipped",
                      perm_escape(page->key), perm_escape(resource));

        } else if (last >= cli->args.since) {
            print_access(page, resource, last);
        }
    }

    if (ferror(stdout)) {
        perm_fatal(PERM_EXIT_NO, "cannot write the output: %m");
    }
}


static void
take_page(perm_cli_t *cli, perm_access_page_t *page)
{
    if (perm_wrong_type_take(&wrong_type, page->members, page->key)) {
        page->done = 1;

    } else {
        if (!perm_scan_valid(page->members, 2)) {
            perm_scan_refused(page->members);
        }

        strcpy(page->cursor, page->members->element[0]->str);
        page->done = strcmp(page->cursor, "0") == 0;
        print_page(cli, page);
    }

    freeReplyObject(page->members);
    page->members = NULL;
}


static void
read_pages(perm_cli_t *cli, perm_access_page_t *pages, size_t n)
{
    int     more;
    size_t  i;

    do {
        for (i = 0; i < n; i++) {
            if (pages[i].done) {
                continue;
            }

            perm_wire_command_begin(&request, "ZSCAN");
            perm_wire_command_key(&request, pages[i].key);
            perm_wire_command_text(&request, pages[i].cursor);
            perm_wire_command_text(&request, "COUNT");
            perm_wire_command_number(&request, MEMBERS);
            perm_client_send(cli->client, NULL, &request, PERM_ERRORS_TOO,
                             perm_client_keep, &pages[i].members);
        }

        perm_client_wait(cli->client);
        more = 0;

        for (i = 0; i < n; i++) {
            if (pages[i].members != NULL) {
                take_page(cli, &pages[i]);
                more |= !pages[i].done;
            }
        }
    } while (more);
}


static void
access_keys(perm_cli_t *cli, void *data, perm_str_t *keys, size_t n)
{
    size_t               i, used;
    perm_access_page_t  *pages = data;

    for (i = 0, used = 0; i < n; i++) {
        memset(&pages[used], 0, sizeof(perm_access_page_t));
        pages[used].key = keys[i];
        strcpy(pages[used].cursor, "0");

        if (!perm_grant_key_parse(keys[i], PERM_KEY_ACCESS, cli->prefix,
                                  &pages[used].gateway, &pages[used].app))
        {
            perm_warn("\"%s\": no key of accesses; skipped",
                      perm_escape(keys[i]));
            continue;
        }

        if (++used == CHUNK) {
            read_pages(cli, pages, used);
            used = 0;
        }
    }

    if (used) {
        read_pages(cli, pages, used);
    }
}


static perm_exit_t
run_access(perm_cli_t *cli)
{
    perm_str_t           all;
    perm_access_page_t  *pages;

    all.len = 0;
    all.data = "";

    perm_table_warn_unloaded(cli);

    pages = perm_alloc(CHUNK * sizeof(perm_access_page_t));
    perm_scan_keys(cli, PERM_KEY_ACCESS, all, all, access_keys, pages);
    perm_wrong_type_tell(&wrong_type);
    free(pages);

    return PERM_EXIT_DONE;
}


const perm_command_t  perm_access_command = {
    "access", "",
    "last accesses as JSON lines, for an outside renewal job",
    "Writes a line for each resource that an app was let through to by a\n"
    "grant, with the newest second it was:\n"
    "\n"
    "  {\"gateway\":\"g\",\"resource\":\"r\",\"app\":\"a\","
    "\"last_access\":1800000000}",
    access_options, 1, 0, run_access
};
