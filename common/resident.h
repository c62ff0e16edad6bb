#ifndef COMMON_RESIDENT_H
#define COMMON_RESIDENT_H

/* Memory that only a start needs.  The dynamic loader reads the symbols and relocations of all libraries, and a
 * connection to a database runs through thousands of pages of cryptography, Kerberos and LDAP once; they stay
 * mapped, and count as this process's until the machine is short of memory. */

/* Let go of the pages of this program and its libraries that nobody can have written, and of free
 * heap.  What is needed after all is mapped again from the page cache when it is used.  Any
 * thread; others may run on. */
void resident_release(void);

#endif
