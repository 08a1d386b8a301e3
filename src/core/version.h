
/*
 * The version, of the module and the command line alike.
 */


#ifndef _PERM_CORE_VERSION_H_INCLUDED_
#define _PERM_CORE_VERSION_H_INCLUDED_


#define PERM_VERSION  "1.1.0"


#endif /* _PERM_CORE_VERSION_H_INCLUDED_ */
