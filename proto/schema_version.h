#ifndef PROTO_SCHEMA_VERSION_H
#define PROTO_SCHEMA_VERSION_H

/* The number of the newest file of proto/sql: what hler_core.schema_version() must
 * say.  A unit test compares it with the files. */
#define SCHEMA_VERSION 18

#endif
