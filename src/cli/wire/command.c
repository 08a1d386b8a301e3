
#include "cli/wire/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "cli/util/output.h"


void
perm_wire_command_begin(perm_wire_command_t *request, const char *command)
{
    request->argc = 0;
    request->nnumbers = 0;
    request->key.len = 0;

    perm_wire_command_text(request, command);
}


void
perm_wire_command_add(perm_wire_command_t *request, perm_str_t word)
{
    if (request->argc == request->size) {
        request->size = request->size ? request->size * 2 : 16;
        request->argv = perm_realloc(request->argv,
                                     request->size * sizeof(char *));
        request->lens = perm_realloc(request->lens,
                                     request->size * sizeof(size_t));
    }

    request->argv[request->argc] = word.data;
    request->lens[request->argc++] = word.len;
}


void
perm_wire_command_key(perm_wire_command_t *request, perm_str_t key)
{
    request->key = key;
    perm_wire_command_add(request, key);
}


void
perm_wire_command_text(perm_wire_command_t *request, const char *word)
{
    perm_wire_command_add(request, perm_str(word));
}


void
perm_wire_command_number(perm_wire_command_t *request, int64_t number)
{
    char  *text;

    text = request->numbers[request->nnumbers++];
    snprintf(text, sizeof(request->numbers[0]), "%lld", (long long) number);

    perm_wire_command_text(request, text);
}


char *
perm_wire_command_format(const perm_wire_command_t *request, size_t *len)
{
    char  *command;
    long   n;

    command = NULL;
    n = redisFormatCommandArgv(&command, (int) request->argc, request->argv,
                               request->lens);

    if (n < 0) {
        perm_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    *len = (size_t) n;

    return command;
}


void
perm_wire_command_free(perm_wire_command_t *request)
{
    free(request->argv);
    free(request->lens);
    memset(request, 0, sizeof(perm_wire_command_t));
}
