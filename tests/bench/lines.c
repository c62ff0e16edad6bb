/* The program of the output measurements: prints HLER_INPUT_COUNT lines of HLER_INPUT_BYTES bytes.  The first one
 * begins with the wall clock in microseconds, so that a reader knows how old it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES_LEAST = 24, BYTES_MOST = 1 << 16 };

static long
input(const char *name)
{
    const char *text = getenv(name);

    return text == NULL ? 0 : strtol(text, NULL, 10);
}

/* A number of 16 digits and a space, in front of what fills the line. */
static void
begin_line(char *line, long long number)
{
    char head[32];
    int n = snprintf(head, sizeof head, "%016lld ", number);

    memcpy(line, head, (size_t)n);
}

int
main(void)
{
    static char line[BYTES_MOST];
    long count = input("HLER_INPUT_COUNT"), bytes = input("HLER_INPUT_BYTES");
    struct timespec t;

    if (bytes < BYTES_LEAST || bytes > BYTES_MOST)
        return 1;
    for (long i = 0; i < bytes - 1; i++)
        line[i] = (char)('a' + i % 26);
    line[bytes - 1] = '\n';
    clock_gettime(CLOCK_REALTIME, &t);
    for (long i = 0; i < count; i++) {
        begin_line(line, i > 0 ? i : (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
        if (fwrite(line, 1, (size_t)bytes, stdout) != (size_t)bytes)
            return 1;
        if (i == 0 && fflush(stdout) != 0) /* it is read before the buffer of stdio is full */
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
