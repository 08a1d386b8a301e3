
#include "cli/wire/command.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


void
perm_wire_command_set(perm_wire_command_t *command, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    perm_wire_command_vset(command, format, args);
    va_end(args);
}


void
perm_wire_command_vset(perm_wire_command_t *command, const char *format,
    va_list args)
{
    size_t      len;
    perm_str_t  word;

    command->argc = 0;
    command->key.len = 0;

    for ( ;; ) {
        len = strcspn(format, " ");

        if (*format != '%') {
            word.data = format;
            word.len = len;

        } else if (format[1] == 's') {
            word = perm_str(va_arg(args, const char *));

        } else {
            word = va_arg(args, perm_str_t);
        }

        if (*format == '%' && format[1] == 'k') {
            command->key = word;
        }

        perm_wire_command_add(command, word);

        if (format[len] == '\0') {
            break;
        }

        format += len + 1;
    }
}


void
perm_wire_command_add(perm_wire_command_t *command, perm_str_t word)
{
    size_t  size;

    size = command->size;
    command->argv = perm_alloc_room(command->argv, &size, command->argc + 1,
                                    sizeof(char *));
    command->lens = perm_alloc_room(command->lens, &command->size,
                                    command->argc + 1, sizeof(size_t));

    command->argv[command->argc] = word.data;
    command->lens[command->argc++] = word.len;
}


char *
perm_wire_command_format(const perm_wire_command_t *command, size_t *len)
{
    char  *text;
    long   n;

    text = NULL;
    n = redisFormatCommandArgv(&text, (int) command->argc, command->argv,
                               command->lens);

    if (n < 0) {
        perm_output_fatal(PERM_EXIT_REDIS, "out of memory");
    }

    *len = (size_t) n;

    return text;
}


void
perm_wire_command_free(perm_wire_command_t *command)
{
    free(command->argv);
    free(command->lens);
    memset(command, 0, sizeof(perm_wire_command_t));
}
