
#include "cli/wire/tls_advice.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>


/*
 * https://www.iana.org/assignments/tls-parameters/, "TLS Alerts".  The newest
 * one is not known to every version of OpenSSL.
 */

#define CERTIFICATE_REQUIRED  116


const char *
perm_tls_advice_certificate(long verified)
{
    switch (verified) {

    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "it is for another name than that of the URL: use a name that "
               "is in it, or say with --tls-name which one to expect";

    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "renew it on the server, if the clock of this machine is right";

    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "no authority that is trusted here has signed it: name the one "
               "that has with --cacert FILE";

    default:
        return "look at it with \"openssl s_client\"";
    }
}


const char *
perm_tls_advice_alert(int alert)
{
    switch (alert) {

    case CERTIFICATE_REQUIRED:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
        return "; the server wants a certificate of an authority that it "
               "trusts: give it with --cert and --key";

    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_INSUFFICIENT_SECURITY:
        return "; the server may want a certificate (--cert, --key), or have "
               "no version and cipher in common";

    default:
        return "";
    }
}


const char *
perm_tls_advice_reason(int *alert)
{
    int              reason;
    const char      *text, *description;
    unsigned long    code;

    text = NULL;
    *alert = -1;

    /* the last one, but a system call and the server know more */

    while ((code = ERR_get_error()) != 0) {
        reason = ERR_GET_REASON(code);

        if (ERR_GET_LIB(code) == ERR_LIB_SYS) {
            text = strerror(reason);
            break;
        }

        if (ERR_GET_LIB(code) == ERR_LIB_SSL
            && reason > SSL_AD_REASON_OFFSET
            && reason < SSL_AD_REASON_OFFSET + 256)
        {
            *alert = reason - SSL_AD_REASON_OFFSET;
            description = SSL_alert_desc_string_long(*alert);
            text = (*alert == CERTIFICATE_REQUIRED) ? "certificate required"
                   : description ? description : "alert";
            break;
        }

        if (ERR_reason_error_string(code) != NULL) {
            text = ERR_reason_error_string(code);
        }
    }

    ERR_clear_error();

    return text;
}
