/* Lets each allocation of json_parse_checked() fail in turn, in a child: it is to end loudly, or to read the whole text.  json-c
 * itself leaves out what it has no memory for.  Prints how many children did what; exit 1 when one has lost something. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/json.h"
/* Its allocator, armed from inside. */
#include "tests/faults/nomem.c" // NOLINT(bugprone-suspicious-include)

#define ALLOCATIONS 150 /* more than it takes */

/* Short and long keys and strings (json-c's buffer begins with 32 bytes), numbers, empty and nested containers. */
static const char text[] = "{\"v\":1,\"session\":\"23e86be6-b870-4a6b-af18-d15b0d62b8c6\",\"a\":[1,"
                           "2,{\"x\":null}],\"c\":1.5,\"d\":{},\"e\":[],\"f\":[[]],"
                           "\"a_key_that_is_longer_than_the_first_buffer\":\"and a string that is "
                           "longer than the buffer is when it has grown for "
                           "that key, and longer than it is when it has grown once more, which "
                           "doubles it: more than a hundred and twenty-eight bytes\","
                           "\"lines\":"
                           "\"one\\ntwo\\nthree\\nfour\\nfive\\nsix\\nseven\\neight\\nnine\\nten\\n"
                           "eleven\\ntwelve\\nthirteen\",\"g\":true}";

/* In the child: 0 = all of the text is there. */
static int
read_with(int allocations)
{
    struct nomem armed = {.at = (uint64_t)allocations + 1};
    struct json_object *object;

    shared = &armed;
    object = json_parse_checked(text, sizeof text - 1);
    shared = NULL;
    return strcmp(json_text(object, NULL), text) != 0;
}

int
main(void)
{
    int whole = 0, loud = 0, lost = 0;

    for (int n = 0; n < ALLOCATIONS; n++) {
        pid_t pid = fork();
        int status = 0;

        if (pid == 0)
            _exit(read_with(n));
        if (pid == -1 || waitpid(pid, &status, 0) != pid)
            return EXIT_FAILURE;
        if (WIFSIGNALED(status))
            loud++;
        else if (status == 0)
            whole++;
        else
            lost++;
    }
    printf("whole %d, loud %d, lost %d\n", whole, loud, lost);
    return lost > 0 || whole == 0 || loud == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
