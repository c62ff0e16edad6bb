#ifndef CLI_FAULTS_H
#define CLI_FAULTS_H

#include <stdio.h>

#include "common/attr.h"

/* Print the DETAIL of HL001 and HL002 (sql/README.md section 1), a JSON list of
 * {field, rule, message}, as one line each: "field: message".  Returns -1, having
 * printed nothing, when detail is no such list. */
int faults_print(FILE *out, const char *detail) MUST_CHECK;

#endif
