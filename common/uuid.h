#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>
#include <stddef.h>

#define UUID_TEXT_SIZE 37  /* 36 characters and NUL */
#define TOKEN_TEXT_SIZE 17 /* 16 hexadecimal digits and NUL */

/* UUIDs in lower-case text form (RFC 9562), random bits from getrandom(2);
 * libuuid has no version 7 before 2.41 (traps 5.3). */

char *uuid_v7(char out[UUID_TEXT_SIZE]); /* time-ordered: ids of rows and messages */
char *uuid_v4(char out[UUID_TEXT_SIZE]); /* random: instances, sessions */
char *uuid_token(char out[TOKEN_TEXT_SIZE]);

bool uuid_valid(const char *text); /* exactly the 36-character lower-case form */
bool uuid_token_valid(const char *text);

#endif
