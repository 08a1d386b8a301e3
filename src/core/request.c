
#include "core/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/grant.h"


static int64_t request_seconds(const cJSON *json, const char *name);
static const char *request_names(const perm_json_member_t *member,
    perm_request_body_t *body, int *too_many);
static const char *request_reason(const perm_json_member_t *member,
    perm_request_body_t *body);


static const char *const  status_names[] = {
    "pending",
    "approved",
    "rejected",
    "unreadable"
};


/*
 * member() reads as cJSON does, which reads for the gateway and for "approve".
 * Redis's own reader differs: it takes the last of several members with a name,
 * also NaN, Infinity, 0x1 and +1.  It refuses a control byte, which cJSON takes
 * for a blank.  One difference is left: a backslash within the four bytes after
 * "\\u", which no tool writes.
 *
 * Redis serves nobody else meanwhile, so that "budget" bounds the bytes that
 * are read so.  Past it only the first member counts, where each tool writes
 * "status" and "expires"; a request with another one there is pending.
 *
 * A grant is owned permanently when its value is a number or has a member
 * "expires" of that size.  A request that nobody can read is replaced.
 * "reason" of the history is that of the request, decoded.  "grants" is not
 * among the keys: Redis 7 wants the right to write all of those, and the user
 * of a gateway may only read grants.
 */

const char  perm_request_script[] =
    "local grants=string.gsub(KEYS[1],'requests:{','grants:{') "
    "local find,gsub,match=string.find,string.gsub,string.match "
    "local budget=131072 "

    /* a string up to its NUL, as C has it */
    "local function scalar(json) "
    "local read=cjson.decode(json) "
    "return type(read)=='string' and gsub(read,'%z.*','') or read "
    "end "

    "local function member(value,name) "
    "if not value or #value>65536 or find(value,'%z') then return end "

    "budget=budget-#value "
    "if budget<0 then "
    "local first=match(value,'^{\"'..name..'\":\"?(%w+)') "
    "return tonumber(first or value) or first or 'pending' end "

    /* each string ends at the next quote then; a broken "\u" is a NUL */
    "value=gsub(value,'\\\\([\"\\\\])',"
    "{['\"']='\\\\u0022',['\\\\']='\\\\u005c'}) "
    "value=gsub(value,'\\\\u([^\"][^\"][^\"][^\"])',function(digits) "
    "return find(digits,'%X') and '\\\\u0000' end) "
    "value=gsub(value,'[\\1-\\32]',' ') "

    /* outside strings: what cJSON takes neither as a word nor as a number */
    "local plain=gsub(value,'\"[^\"]*\"','\"\"') "
    "if find(plain,'[iIxX]') or find(plain,'[nN][aA]') "
    "or find(','..plain,'[^eE]%+') "
    "or not pcall(cjson.decode,value) then return end "

    /* the members of the outermost object: arrays and objects in it are 0 */
    "value=gsub(value,'\"[^\"]*\"',function(text) "
    "return (gsub(text,'[%[%]{},]',' ')) end) "
    "local members=match(value,'^ *{(.*)} *$') "
    "if not members then return tonumber(value) end "
    "members=gsub(gsub(members,'%b{}','0'),'%b[]','0') "
    "for key,of in string.gmatch(members,'(\"[^\"]*\") *: *([^,]*)') do "
    "if scalar(key)==name then return scalar(of) end "
    "end end "

    "local function permanent(field) "
    "local expires=member(redis.call('HGET',grants,field),'expires') "
    "return type(expires)=='number' and expires>4102444799 "
    "and expires<=253402300799 end "

    "local whole=permanent('-') "
    "local now=redis.call('TIME')[1] "
    "local text=ARGV[1]..now..'}' "
    "local new=cjson.decode(text) "
    "local n=redis.call('HLEN',KEYS[1]) "
    "local out={now} "
    "for i=3,#ARGV do "
    "local old=redis.call('HGET',KEYS[1],ARGV[i]) "
    "if member(old,'status')=='pending' then "
    "out[#out+1]='" PERM_REQUEST_LEFT_PENDING "' "
    "elseif whole or permanent(ARGV[i]) then "
    "out[#out+1]='" PERM_REQUEST_LEFT_PERMANENT "' "
    "elseif not old and ARGV[2]~='0' and n>=tonumber(ARGV[2]) then "
    "out[#out+1]='" PERM_REQUEST_LEFT_FULL "' "
    "else "
    "local words={'MAXLEN','~','100','*','action','apply',"
    "'resource',ARGV[i],'by',new.by} "
    "if new.reason then "
    "words[#words+1]='comment' words[#words+1]=new.reason end "
    "redis.call('XADD',KEYS[#KEYS],unpack(words)) "
    "redis.call('HSET',KEYS[1],ARGV[i],text) "
    "if not old then n=n+1 end "
    "out[#out+1]='' "
    "end end "
    "return out";


unsigned
perm_request_left(perm_str_t word)
{
    if (perm_str_equal(word, perm_str(PERM_REQUEST_LEFT_PENDING))) {
        return 1;
    }

    if (perm_str_equal(word, perm_str(PERM_REQUEST_LEFT_PERMANENT))) {
        return 2;
    }

    return perm_str_equal(word, perm_str(PERM_REQUEST_LEFT_FULL)) ? 4 : 0;
}


const char *
perm_request_left_text(unsigned left)
{
    static const char *const  texts[8] = {
        "nothing was asked for",
        "nothing was asked for: all of it is pending",
        "nothing was asked for: all of it is owned permanently",
        "nothing was asked for: all of it is pending or owned permanently",
        "nothing was asked for: there are 1000 requests already",
        "nothing was asked for: there are 1000 requests already, and the rest "
            "is pending",
        "nothing was asked for: there are 1000 requests already, and the rest "
            "is owned permanently",
        "nothing was asked for: there are 1000 requests already, and the rest "
            "is pending or owned permanently"
    };

    return texts[left & 7];
}


perm_request_t
perm_request_read(perm_str_t value)
{
    int              i;
    cJSON           *json, *status;
    perm_request_t   request;

    memset(&request, 0, sizeof(perm_request_t));

    if (value.data == NULL || value.len > PERM_GRANT_VALUE_MAX) {
        value.len = 0;
    }

    json = perm_json_parse(value);
    status = cJSON_GetObjectItemCaseSensitive(json, "status");

    i = PERM_REQUEST_UNREADABLE;

    if (cJSON_IsString(status)) {
        while (i-- > 0 && strcmp(status->valuestring, status_names[i]) != 0) {
            /* void */
        }
    }

    request.status = (i < 0) ? PERM_REQUEST_UNREADABLE
                             : (perm_request_status_t) i;

    /* out of range it must not become 0, which is permanent */

    request.days = perm_grant_seconds(
                       cJSON_GetObjectItemCaseSensitive(json, "days"));

    if (request.days < 0 || request.days > PERM_REQUEST_DAYS_MAX) {
        request.days = PERM_REQUEST_DAYS;
    }

    request.at = request_seconds(json, "at");
    request.handled_at = request_seconds(json, "handled_at");

    cJSON_Delete(json);

    return request;
}


/* 0: there is no such number */

static int64_t
request_seconds(const cJSON *json, const char *name)
{
    int64_t  seconds;

    seconds = perm_grant_seconds(cJSON_GetObjectItemCaseSensitive(json, name));

    return (seconds < 0) ? 0 : seconds;
}


const char *
perm_request_status_name(perm_request_status_t status)
{
    return status_names[status];
}


char *
perm_request_text(int64_t days, perm_str_t reason, perm_str_t by)
{
    char    *text, *p;

    static const char  format[] = "{\"status\":\"pending\",\"days\":%lld";

    text = malloc(sizeof(format) + 20 + reason.len + by.len * PERM_JSON_ESCAPE
                  + sizeof(",\"reason\":\"\",\"by\":\"\",\"at\":"));
    if (text == NULL) {
        return NULL;
    }

    p = text + sprintf(text, format, (long long) days);

    if (reason.len) {
        p += sprintf(p, ",\"reason\":\"");
        memcpy(p, reason.data, reason.len);
        p += reason.len;
        *p++ = '"';
    }

    p += sprintf(p, ",\"by\":\"");
    p += perm_json_escape(p, by);
    strcpy(p, "\",\"at\":");

    return text;
}


char *
perm_request_handle(perm_str_t old, const perm_request_handling_t *handling)
{
    char        *changes, *p;
    perm_str_t   by, comment;

    by = perm_str(handling->by);
    comment = perm_str(handling->comment ? handling->comment : "");

    changes = malloc(200 + (by.len + comment.len) * PERM_JSON_ESCAPE);
    if (changes == NULL) {
        return NULL;
    }

    p = changes + sprintf(changes, "{\"status\":\"%s\",\"handled_at\":%lld",
                          perm_request_status_name(handling->status),
                          (long long) handling->at);

    if (handling->granted_days >= 0) {
        p += sprintf(p, ",\"granted_days\":%lld",
                     (long long) handling->granted_days);
    }

    p += sprintf(p, ",\"handled_by\":\"");
    p += perm_json_escape(p, by);
    *p++ = '"';

    if (comment.len) {
        p += sprintf(p, ",\"comment\":\"");
        p += perm_json_escape(p, comment);
        *p++ = '"';
    }

    strcpy(p, "}");

    p = perm_json_merge(old, perm_str(changes));
    free(changes);

    return p;
}


const char *
perm_request_body(perm_str_t text, perm_request_body_t *body, int *too_many)
{
    double               days;
    const cJSON         *resources, *whole, *number;
    const char          *error;
    perm_json_member_t   member;

    memset(body, 0, sizeof(perm_request_body_t));
    *too_many = 0;

    body->json = perm_json_parse(text);

    if (!cJSON_IsObject(body->json)) {
        return (body->json == NULL && errno == ENOMEM)
               ? "memory is out" : "the body is no JSON object";
    }

    resources = NULL;
    whole = NULL;
    number = NULL;

    member = perm_json_members(body->json, text);

    while (perm_json_next(&member)) {

        if (perm_json_has_nul(member.name)) {
            return "a member's name has a NUL";
        }

        if (strcmp(member.item->string, "resources") == 0) {
            error = resources ? "'resources' is there twice"
                              : request_names(&member, body, too_many);
            resources = member.item;

        } else if (strcmp(member.item->string, "whole_gateway") == 0) {
            error = whole ? "'whole_gateway' is there twice"
                          : cJSON_IsTrue(member.item) ? NULL
                            : "'whole_gateway' is not true";
            whole = member.item;

        } else if (strcmp(member.item->string, "days") == 0) {
            error = number ? "'days' is there twice" : NULL;
            number = member.item;

        } else if (strcmp(member.item->string, "reason") == 0) {
            error = body->reason.data ? "'reason' is there twice"
                                      : request_reason(&member, body);

        } else {
            error = NULL;
        }

        if (error) {
            return error;
        }
    }

    if ((resources != NULL) == (whole != NULL)) {
        return "it takes either 'resources' or 'whole_gateway'";
    }

    if (number == NULL) {
        days = PERM_REQUEST_DAYS;

    } else {
        days = cJSON_IsNumber(number) ? number->valuedouble : -1;
    }

    if (!(days >= 0 && days <= PERM_REQUEST_DAYS_MAX)
        || days != (double) (int64_t) days)
    {
        return "'days' is a whole number from 0, for a permanent grant, to "
               "36500";
    }

    body->days = (int64_t) days;

    return NULL;
}


static const char *
request_names(const perm_json_member_t *member, perm_request_body_t *body,
    int *too_many)
{
    unsigned      i;
    perm_str_t    name;
    const cJSON  *item;

    static const char  *invalid =
        "'resources' is an array of names: each 1 to 256 bytes of A-Z a-z "
        "0-9 . _ ~ @ / + -, and not '-' alone";

    /* cJSON would cut a name at an escaped NUL */

    if (!cJSON_IsArray(member->item) || member->item->child == NULL
        || perm_json_has_nul(member->value))
    {
        return invalid;
    }

    if (cJSON_GetArraySize(member->item) > PERM_REQUEST_NAMES_MAX) {
        *too_many = 1;
        return "there are more than 100 resources";
    }

    cJSON_ArrayForEach(item, member->item) {

        name = perm_str(cJSON_IsString(item) ? item->valuestring : "");

        if (!perm_name_resource_valid(name)) {
            return invalid;
        }

        for (i = 0; i < body->nnames; i++) {
            if (perm_str_equal(body->names[i], name)) {
                break;
            }
        }

        if (i == body->nnames) {
            body->names[body->nnames++] = name;
        }
    }

    return NULL;
}


/*
 * Escapes stay as they are, an escaped NUL as well.  Bytes that JSON does not
 * allow, and cJSON does, are escaped.
 */

static const char *
request_reason(const perm_json_member_t *member, perm_request_body_t *body)
{
    char        *p;
    size_t       i, n;
    perm_str_t   text, run;

    text.data = member->value.data + 1;
    text.len = member->value.len - 2;

    if (!cJSON_IsString(member->item) || text.len > PERM_REQUEST_REASON_MAX) {
        return "'reason' is a string of 4096 bytes or less";
    }

    p = malloc(text.len * PERM_JSON_ESCAPE + 1);
    if (p == NULL) {
        return "memory is out";
    }

    body->reason.data = p;

    for (i = 0; i < text.len; i += n) {
        run.data = text.data + i;
        run.len = text.len - i;

        if (*run.data == '\\') {
            n = (run.len > 1 && run.data[1] == 'u') ? 6 : 2;

            if (n > run.len || (n == 6
                && strspn(run.data + 2, "0123456789abcdefABCDEF") < 4))
            {
                return "'reason' has a broken escape";
            }

            memcpy(p, run.data, n);
            p += n;
            continue;
        }

        for (n = 0; n < run.len && run.data[n] != '\\'; n++) {
            /* void */
        }

        run.len = n;
        p += perm_json_escape(p, run);
    }

    body->reason.len = p - body->reason.data;

    return NULL;
}


void
perm_request_body_free(perm_request_body_t *body)
{
    free((char *) body->reason.data);
    cJSON_Delete(body->json);
}
