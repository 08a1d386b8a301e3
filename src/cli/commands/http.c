
#include "cli/commands/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/wire/socket.h"


typedef struct {
    char      host[256];
    unsigned  port;
    char      path[1024];
} perm_http_url_t;


static int
fail(char *error, const char *text)
{
    snprintf(error, PERM_ERROR_SIZE, "%s", text);

    return -1;
}


static int
parse_url(const char *text, perm_http_url_t *url, char *error)
{
    char         port[8];
    size_t       host, i;
    const char  *p, *end;

    static const char  scheme[] = "http://";

    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0) {
        return fail(error, "the URL does not begin with http://");
    }

    for (i = 0; text[i] != '\0'; i++) {
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '?'
            || text[i] == '#')
        {
            return fail(error, "the URL has a query, or a byte that no URL "
                        "has");
        }
    }

    p = text + sizeof(scheme) - 1;
    end = p + strcspn(p, "/");

    if (*p == '[') {
        p++;
        host = strcspn(p, "]");
        i = (p[host] == ']') ? host + 1 : host;

    } else {
        host = strcspn(p, ":/");
        i = host;
    }

    if (host == 0 || host >= sizeof(url->host) || p + i > end) {
        return fail(error, "the URL has no host");
    }

    snprintf(url->host, sizeof(url->host), "%.*s", (int) host, p);
    p += i;
    url->port = 80;

    if (p < end) {
        if (*p++ != ':' || end - p < 1 || end - p > 5
            || strspn(p, "0123456789") != (size_t) (end - p))
        {
            return fail(error, "the URL has a bad port");
        }

        snprintf(port, sizeof(port), "%.*s", (int) (end - p), p);
        url->port = (unsigned) atoi(port);

        if (url->port == 0 || url->port > 65535) {
            return fail(error, "the URL has a bad port");
        }
    }

    i = strlen(end);

    while (i && end[i - 1] == '/') {
        i--;
    }

    if (i >= sizeof(url->path)) {
        return fail(error, "the URL is too long");
    }

    snprintf(url->path, sizeof(url->path), "%.*s", (int) i, end);

    return 0;
}


const char *
perm_http_url_wrong(const char *text)
{
    perm_http_url_t  url;

    static char  error[PERM_ERROR_SIZE];

    return parse_url(text, &url, error) == 0 ? NULL : error;
}


/* all of the answer, to the end of the stream */

static char *
receive(perm_socket_t *s, size_t *len, char *error)
{
    char    *text, *grown;
    long     n;
    size_t   size;

    size = 0;
    *len = 0;
    text = NULL;

    for ( ;; ) {
        if (*len + 1 >= size) {
            size = size ? size * 2 : 16384;
            grown = (size <= 2 * PERM_HTTP_BODY_MAX) ? realloc(text, size)
                                                     : NULL;

            if (grown == NULL) {
                fail(error, "the answer is too long");
                break;
            }

            text = grown;
        }

        n = perm_socket_read(s, text + *len, size - *len - 1, error);

        if (n == 0) {
            text[*len] = '\0';
            return text;
        }

        if (n < 0) {
            break;
        }

        *len += n;
    }

    free(text);

    return NULL;
}


char *
perm_http_get(const char *url_text, const char *query, int timeout,
    perm_str_t *body, char *error)
{
    char             *answer, *rest;
    char              request[8192];
    size_t            len;
    unsigned          status;
    perm_tls_t        none;
    perm_socket_t    *s;
    perm_http_url_t   url;

    if (parse_url(url_text, &url, error) != 0) {
        return NULL;
    }

    len = (size_t) snprintf(request, sizeof(request),
                            "GET %s%s HTTP/1.0\r\nHost: %s\r\n"
                            "Accept: application/json\r\n"
                            "Connection: close\r\n\r\n",
                            url.path, query, url.host);

    if (len >= sizeof(request)) {
        fail(error, "the request is too long");
        return NULL;
    }

    memset(&none, 0, sizeof(none));
    s = perm_socket_tcp(url.host, url.port, &none, timeout, error);

    if (s == NULL) {
        return NULL;
    }

    answer = NULL;

    if (perm_socket_write(s, request, len, error) == 0) {
        answer = receive(s, &len, error);
    }

    perm_socket_close(s);

    if (answer == NULL) {
        return NULL;
    }

    rest = strstr(answer, "\r\n\r\n");

    if (sscanf(answer, "HTTP/%*u.%*u %u", &status) != 1 || rest == NULL) {
        fail(error, "this is not HTTP");

    } else if (status != 200) {
        snprintf(error, PERM_ERROR_SIZE, "it answers with status %u", status);

    } else {
        body->data = rest + 4;
        body->len = len - (rest + 4 - answer);
        memmove(answer, body->data, body->len + 1);
        body->data = answer;
        return answer;
    }

    free(answer);

    return NULL;
}
