#include "worker/executors/terraform_spec.h"

#include <stddef.h>
#include <string.h>

#include "worker/executors/spec.h"

static bool
is_binary(const char *text)
{
    return strcmp(text, "terraform") == 0 || strcmp(text, "tofu") == 0;
}

static bool
is_source(const char *text)
{
    return strcmp(text, "inputs") == 0 || strcmp(text, "hler") == 0 || strcmp(text, "none") == 0;
}

static bool
is_workspace(const char *text)
{
    return strcmp(text, "@target") == 0 || spec_is_word(text);
}

static const struct spec_key table[] = {
    {.name = "dir",
     .type = SPEC_STRING,
     .offset = offsetof(struct terraform_spec, dir),
     .required = true,
     .valid = spec_is_path,
     .expects = "a path below a root"},
    {.name = "binary",
     .type = SPEC_STRING,
     .offset = offsetof(struct terraform_spec, binary),
     .valid = is_binary,
     .expects = "terraform or tofu"},
    {.name = "workspace",
     .type = SPEC_STRING,
     .offset = offsetof(struct terraform_spec, workspace),
     .valid = is_workspace,
     .expects = "a workspace's name or @target"},
    {.name = "vars_from",
     .type = SPEC_STRING,
     .offset = offsetof(struct terraform_spec, vars_from),
     .valid = is_source,
     .expects = "inputs, hler or none"},
    {.name = "destroy", .type = SPEC_BOOL, .offset = offsetof(struct terraform_spec, destroy)},
};

unsigned
terraform_spec_read(struct json_object *spec, struct terraform_spec *out, struct buf *faults)
{
    *out = (struct terraform_spec){.binary = "terraform", .vars_from = "inputs"};
    return spec_read(spec, table, ARRAY_LEN(table), out, faults);
}
