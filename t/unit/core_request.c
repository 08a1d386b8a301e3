
/* requests for grants: what is read of them, what handling keeps, bodies */

#include <stdlib.h>

#include "core/json.h"
#include "core/request.h"
#include "tap.h"


static void test_read(void);
static void test_text(void);
static void test_handle(void);
static void test_line(void);
static void test_body(void);


int
main(void)
{
    test_read();
    test_text();
    test_handle();
    test_line();
    test_body();

    return done();
}


static void
test_read(void)
{
    size_t           i;
    char             deep[5000];
    perm_request_t   request;
    perm_str_t       nul;

    static const struct {
        const char             *value;
        perm_request_status_t   status;
        int64_t                 days;
    } cases[] = {
        { "{\"status\":\"pending\",\"days\":30}", PERM_REQUEST_PENDING, 30 },
        { "{\"status\":\"approved\",\"days\":0}", PERM_REQUEST_APPROVED, 0 },
        { " {\"status\":\"rejected\"} ", PERM_REQUEST_REJECTED, 180 },
        { "{\"status\":\"pending\",\"days\":-1}", PERM_REQUEST_PENDING, 180 },
        { "{\"status\":\"pending\",\"days\":1e9}", PERM_REQUEST_PENDING, 180 },
        { "{\"status\":\"pending\",\"days\":1e300}", PERM_REQUEST_PENDING,
          180 },
        { "{\"status\":\"pending\",\"days\":\"0\"}", PERM_REQUEST_PENDING,
          180 },
        { "{\"status\":\"Pending\"}", PERM_REQUEST_UNREADABLE, 180 },
        { "{\"status\":\"unreadable\"}", PERM_REQUEST_UNREADABLE, 180 },
        { "{\"status\":1}", PERM_REQUEST_UNREADABLE, 180 },
        { "{}", PERM_REQUEST_UNREADABLE, 180 },
        { "[\"pending\"]", PERM_REQUEST_UNREADABLE, 180 },
        { "{\"status\":\"pending\"", PERM_REQUEST_UNREADABLE, 180 },
        { "{\"status\":\"pending\"} x", PERM_REQUEST_UNREADABLE, 180 },
        { "", PERM_REQUEST_UNREADABLE, 180 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request = perm_request_read(perm_str(cases[i].value));
        ok(request.status == cases[i].status && request.days == cases[i].days,
           "read %s", cases[i].value);
    }

    nul.data = "{\"status\":\"pending\"}\0";
    nul.len = sizeof("{\"status\":\"pending\"}");
    ok(perm_request_read(nul).status == PERM_REQUEST_UNREADABLE, "a NUL");

    memset(deep, '[', sizeof(deep));
    memcpy(deep, "{\"x\":", 5);
    deep[sizeof(deep) - 1] = '\0';
    ok(perm_request_read(perm_str(deep)).status == PERM_REQUEST_UNREADABLE,
       "deep JSON");

    request = perm_request_read(perm_str("{\"status\":\"approved\",\"at\":5,"
                                         "\"handled_at\":7}"));
    ok(request.at == 5 && request.handled_at == 7, "times");
    ok(perm_request_read(perm_str("{\"status\":\"approved\",\"at\":-5}")).at
       == 0, "a time before all");
}


static void
test_text(void)
{
    char        *text;
    perm_str_t   reason;

    text = perm_request_text(7, perm_str("a\\u0000b"), perm_str("m\"e\n"));
    ok(strcmp(text, "{\"status\":\"pending\",\"days\":7,\"reason\":"
              "\"a\\u0000b\",\"by\":\"m\\\"e\\u000a\",\"at\":") == 0, "text");
    free(text);

    reason = perm_str("");
    text = perm_request_text(0, reason, perm_str("me"));
    ok(strcmp(text, "{\"status\":\"pending\",\"days\":0,\"by\":\"me\","
              "\"at\":") == 0, "text without a reason");
    free(text);
}


static void
test_handle(void)
{
    char                     *text;
    perm_request_handling_t   handling = {
        PERM_REQUEST_APPROVED, 30, 9, "a\"b", "c\r\n\x1b"
    };

    text = perm_request_handle(
               perm_str("{ \"x\":12345678901234567890, \"status\":\"pending\","
                        "\"reason\":\"\\u0000\"}"), &handling);
    ok(strcmp(text, "{\"x\":12345678901234567890,\"status\":\"approved\","
              "\"reason\":\"\\u0000\",\"handled_at\":9,\"granted_days\":30,"
              "\"handled_by\":\"a\\\"b\",\"comment\":"
              "\"c\\u000d\\u000a\\u001b\"}") == 0,
       "approved, with what was there: %s", text);
    free(text);

    handling.status = PERM_REQUEST_REJECTED;
    handling.granted_days = -1;
    handling.comment = NULL;
    text = perm_request_handle(
               perm_str("{\"status\":\"pending\",\"status\":\"pending\"}"),
               &handling);
    ok(strcmp(text, "{\"status\":\"rejected\",\"handled_at\":9,"
              "\"handled_by\":\"a\\\"b\"}") == 0,
       "rejected, and one status is left: %s", text);
    free(text);
}


static void
test_line(void)
{
    char    text[200];
    size_t  i, len;

    static const char *const  cases[][2] = {
        { " { \"a b\" :\n[ 1 , true ] } ", "{\"a b\":[1,true]}" },
        { "\"a\nb\x1b\xff\"", "\"a\\u000ab\\u001b\\ufffd\"" },
        { "\"\\u0000 \\\" \\\\\"", "\"\\u0000 \\\" \\\\\"" },
        { "\"\\u00zz!\"", "\"\\ufffdu00zz!\"" },
        { "\"\xe5\xbc\xa0\"", "\"\xe5\xbc\xa0\"" },
        { "\"\\", "\"\\ufffd" },
        { "", "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = perm_json_line(text, perm_str(cases[i][0]));
        text[len] = '\0';
        ok(strcmp(text, cases[i][1]) == 0, "on a line: %s", text);
    }
}


static void
test_body(void)
{
    int                   many;
    size_t                i;
    perm_request_body_t   body;

    static const char *const  bad[] = {
        "", "[]", "{}", "{\"resources\":[\"a\\u0000\"]}",
        "{\"resources\":[\"-\"]}", "{\"resources\":[[]]}",
        "{\"whole_gateway\":true,\"resources\":[\"a\"]}",
        "{\"whole_gateway\":true,\"whole_gateway\":true}",
        "{\"whole_gateway\":true,\"days\":36501}",
        "{\"whole_gateway\":true,\"reason\":\"\\u00zz\"}",
        "{\"whole_gateway\":true,\"rea\\u0000son\":\"\"}"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(perm_request_body(perm_str(bad[i]), &body, &many) != NULL,
           "refused: %s", bad[i]);
        perm_request_body_free(&body);
    }

    ok(perm_request_body(perm_str("{\"resources\":[\"a\",\"b\",\"a\"],"
                                  "\"days\":0,\"reason\":\"\\u0000\n\"}"),
                         &body, &many) == NULL
       && body.nnames == 2 && body.days == 0 && !many
       && perm_str_equal(body.reason, perm_str("\\u0000\\u000a")),
       "a body; a NUL in a reason stays escaped");
    perm_request_body_free(&body);
}
