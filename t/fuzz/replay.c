
/*
 * main() of a fuzzer that replays: each file that it is called with is an
 * input.
 */


#include "fuzz.h"


int
main(int argc, char **argv)
{
    int             i;
    long            size;
    FILE           *file;
    uint8_t        *data;

    (void) fuzz_stderr();

    for (i = 1; i < argc; i++) {
        file = fopen(argv[i], "r");

        if (file == NULL || fseek(file, 0, SEEK_END) != 0
            || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
        {
            perror(argv[i]);
            return 1;
        }

        data = malloc(size ? (size_t) size : 1);

        if (fread(data, 1, (size_t) size, file) != (size_t) size) {
            perror(argv[i]);
            return 1;
        }

        fclose(file);

        /* the last line is the input that broke it */

        fprintf(fuzz_stderr(), "%s\n", argv[i]);
        (void) LLVMFuzzerTestOneInput(data, (size_t) size);

        free(data);
    }

    return 0;
}
