#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include <stddef.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/json.h"

/* The inputs of an operation from words of the command line:
 *   field=value   typed by the catalogue: a string or uuid is taken as it stands,
 *                 every other type is read as JSON
 *   field:=json   JSON, whatever the catalogue says
 *   field=@file   the content of a file, then as field=value ("@@x" = the text "@x")
 */

#define INPUTS_MAX (1024u * 1024u) /* more than the database takes; it says the limit */

/* Put each word's field into inputs (an object), replacing one of the same name.
 * definition is the type's catalogue entry, or NULL: every field=value is a string then.
 * Adds a line "field: message" to errors for each fault; returns the number of them. */
int inputs_add(struct json_object *inputs, const char *const *words, size_t n,
               struct json_object *definition, struct buf *errors) MUST_CHECK;

/* Read an object from a file, "-" = stdin.  NULL with a line in errors. */
struct json_object *inputs_read(const char *file, struct buf *errors) MUST_CHECK;

#endif
