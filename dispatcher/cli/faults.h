#ifndef CLI_FAULTS_H
#define CLI_FAULTS_H

#include <stdbool.h>

#include "common/attr.h"

/* The faults of a refused request: each "hler: field: message" on stderr; with json, all of them
 * on stdout as {"faults": [{"field", "rule", "message"}]}. */

/* The DETAIL of HL001 and HL002 (sql/README.md section 1).  Returns -1, having printed nothing,
 * when detail is no such list. */
int faults_print(const char *detail, bool json) MUST_CHECK;

/* Lines "field: message", found before the database was asked; their rule is "form". */
void faults_print_lines(const char *lines, bool json);

#endif
