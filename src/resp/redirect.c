
#include "resp/redirect.h"

#include <stdlib.h>
#include <string.h>

#include "core/grant_key.h"


/* " 3999 127.0.0.1:6381", and of IPv6 " 3999 ::1:6381" */

static int
perm_redirect_target(const char *text, perm_str_t asked,
    perm_redirect_t *redirect)
{
    char        *end;
    long         slot;
    const char  *colon;
    perm_str_t   host, port;

    if (text[0] != ' ' || text[1] < '0' || text[1] > '9') {
        return 0;
    }

    slot = strtol(text, &end, 10);

    if (slot >= PERM_CLUSTER_SLOTS || *end != ' ') {
        return 0;
    }

    redirect->slot = (unsigned) slot;

    host.data = end + 1;
    colon = strrchr(host.data, ':');

    if (colon == NULL) {
        return 0;
    }

    host.len = (size_t) (colon - host.data);
    port = perm_str(colon + 1);

    return perm_reply_address(host, perm_reply_port(port), asked,
                              &redirect->to);
}


perm_redirect_t
perm_redirect_parse(const redisReply *reply, perm_str_t asked)
{
    const char       *target;
    perm_redirect_t   redirect;

    memset(&redirect, 0, sizeof(perm_redirect_t));

    if (perm_reply_error(reply, "MOVED")) {
        redirect.kind = PERM_REDIRECT_MOVED;
        target = reply->str + sizeof("MOVED") - 1;

    } else if (perm_reply_error(reply, "ASK")) {
        redirect.kind = PERM_REDIRECT_ASK;
        target = reply->str + sizeof("ASK") - 1;

    } else {
        return redirect;
    }

    if (!perm_redirect_target(target, asked, &redirect)) {
        redirect.to.port = 0;
    }

    return redirect;
}
