
#include "core/notice.h"

#include <stdio.h>


#define DAY  86400


int64_t
perm_notice_due(int64_t expires, int64_t now, const int64_t *days, unsigned n)
{
    int64_t   left, due;
    unsigned  i;

    if (expires <= now) {
        return PERM_NOTICE_NONE;
    }

    left = (expires - now) / DAY;
    due = PERM_NOTICE_NONE;

    for (i = 0; i < n; i++) {
        if (days[i] >= left && (due == PERM_NOTICE_NONE || days[i] < due)) {
            due = days[i];
        }
    }

    return due;
}


int
perm_notice_told(perm_str_t kept, int64_t expires, int64_t days)
{
    int        end;
    char       text[PERM_NOTICE_SIZE];
    long long  told_expires, told_days;

    if (kept.data == NULL || kept.len >= sizeof(text)) {
        return 0;
    }

    memcpy(text, kept.data, kept.len);
    text[kept.len] = '\0';
    end = 0;

    return sscanf(text, "%12lld:%7lld%n", &told_expires, &told_days, &end) == 2
           && (size_t) end == kept.len && told_days >= 0
           && told_expires == expires && told_days <= days;
}


size_t
perm_notice_write(char text[PERM_NOTICE_SIZE], int64_t expires, int64_t days)
{
    return (size_t) snprintf(text, PERM_NOTICE_SIZE, "%lld:%lld",
                             (long long) expires, (long long) days);
}
