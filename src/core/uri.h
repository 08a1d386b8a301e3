
/*
 * What a valid URI reference is: https://www.rfc-editor.org/rfc/rfc3986.
 */


#ifndef _PERM_CORE_URI_H_INCLUDED_
#define _PERM_CORE_URI_H_INCLUDED_


#include "core/name.h"


/*
 * 1: the text is a URI or a relative reference, of the bytes that the RFC
 * allows; with a scheme or without a ":" in its first segment, and with at most
 * one "#".  The parts of its authority are not looked into.  Such a text can
 * stand between "<" and ">" in a header, and in a JSON string.
 */
int perm_uri_reference_valid(perm_str_t text);


#endif /* _PERM_CORE_URI_H_INCLUDED_ */
