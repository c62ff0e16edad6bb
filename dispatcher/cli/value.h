#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include "common/json.h"

/* Parse any one JSON value by the strict rules of common/json.h, which takes objects
 * only.  Returns the value (json_object_put it), or NULL with *err filled.  The value
 * null is refused: json-c has no object for it. */
struct json_object *value_parse(const char *text, struct json_error *err) MUST_CHECK;

/* Print a value and a newline on stdout: indented on a terminal, else compact. */
void value_print(struct json_object *value, bool indented);

/* Print a JSON text from the database as value_print() does, whatever its kind. */
void value_print_text(const char *text, bool indented);

#endif
