/* The stream of `terraform apply -json`, line by line. */
#include "tests/fuzz/fuzz.h"
#include "worker/executors/terraform_stream.h"

/* As child.c hands it over: a string without its newline. */
static void
give_line(struct terraform_stream *stream, const uint8_t *data, size_t len)
{
    char *line = malloc(len + 1);

    memcpy(line, data, len);
    line[len] = '\0';
    terraform_stream_line(stream, line, len);
    free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct terraform_stream stream = {.report = -1};

    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end == NULL ? size : (size_t)(end - data);

        give_line(&stream, data, len);
        len += end != NULL;
        data += len;
        size -= len;
    }
    fuzz_check(!stream.report_failed);
    terraform_stream_free(&stream);
    return 0;
}
