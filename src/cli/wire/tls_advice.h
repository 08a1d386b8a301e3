
/*
 * What TLS has against a server, or a server against us, and what to do.  It
 * goes by numbers: the texts of OpenSSL change from version to version.
 */


#ifndef _PERM_CLI_WIRE_TLS_ADVICE_H_INCLUDED_
#define _PERM_CLI_WIRE_TLS_ADVICE_H_INCLUDED_


/* Of a certificate that is refused: X509_V_ERR_*; never NULL */

const char *perm_tls_advice_certificate(long verified);

/* Of an alert that the server has sent; "" when there is nothing to say */

const char *perm_tls_advice_alert(int alert);

/*
 * Empties OpenSSL's error queue.  Returns the reason, or NULL when there is
 * none, and in *alert the number of the alert that the server has sent, or -1.
 */
const char *perm_tls_advice_reason(int *alert);


#endif /* _PERM_CLI_WIRE_TLS_ADVICE_H_INCLUDED_ */
