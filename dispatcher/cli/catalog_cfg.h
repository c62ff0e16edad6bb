#ifndef CLI_CATALOG_CFG_H
#define CLI_CATALOG_CFG_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/json.h"

/* Operation types from a libconfig file: types = ( { name = "…"; version = 1; … } ).
 * Groups become objects, lists and arrays become arrays, integers are 64-bit. */

struct catalog_cfg;

/* Read a file.  NULL with "file:line: what" lines in errors. */
struct catalog_cfg *catalog_cfg_read(const char *file, struct buf *errors) MUST_CHECK;
void catalog_cfg_free(struct catalog_cfg *cfg); /* NULL is legal */

/* How many types the file has, and the definition (sql/README.md section 4) of one. */
size_t catalog_cfg_count(const struct catalog_cfg *cfg);
struct json_object *catalog_cfg_definition(const struct catalog_cfg *cfg, size_t i);

/* The line on which a member of a definition stands, named as in the database's faults
 * ("tasks[0].pool"); when it is missing, the line of what should contain it. */
unsigned catalog_cfg_line(const struct catalog_cfg *cfg, size_t i, const char *field);

#endif
