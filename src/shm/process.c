
#include "shm/process.h"


#define PERM_PROCESS_STAT   "/proc/%P/stat%Z"
#define PERM_PROCESS_FIELD  19     /* of the start, behind the state */
#define PERM_PROCESS_MAX    1024   /* bytes of that file that are read */

#define PERM_PROCESS_STARTS                                                   \
    (((perm_process_t) 1 << (PERM_PROCESS_BITS - PERM_PROCESS_PID_BITS)) - 1)


static perm_process_t perm_process_of(ngx_pid_t pid);
static uint64_t perm_process_started(ngx_pid_t pid);


perm_process_t
perm_process_self(void)
{
    static ngx_pid_t       pid;
    static perm_process_t  self;

    if (pid != ngx_pid) {
        pid = ngx_pid;
        self = perm_process_of(ngx_pid);
    }

    return self;
}


ngx_uint_t
perm_process_dead(perm_process_t process)
{
    ngx_pid_t       pid;
    perm_process_t  now;

    if (process == perm_process_self()) {
        return 0;
    }

    pid = (ngx_pid_t) (process & (((perm_process_t) 1 << PERM_PROCESS_PID_BITS)
                                  - 1));

    if (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
        return 1;
    }

    now = perm_process_of(pid);

    /* without a start on both sides they cannot be told apart */

    return now != process
           && now >> PERM_PROCESS_PID_BITS
           && process >> PERM_PROCESS_PID_BITS;
}


static perm_process_t
perm_process_of(ngx_pid_t pid)
{
    return (perm_process_t) pid
           | (perm_process_started(pid) & PERM_PROCESS_STARTS)
             << PERM_PROCESS_PID_BITS;
}


/* clock ticks; 0: not known */

static uint64_t
perm_process_started(ngx_pid_t pid)
{
    u_char    *p, name[sizeof(PERM_PROCESS_STAT) + NGX_INT64_LEN];
    u_char     buf[PERM_PROCESS_MAX + 1];
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_uint_t field;

    ngx_sprintf(name, PERM_PROCESS_STAT, pid);

    fd = ngx_open_file(name, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return 0;
    }

    n = ngx_read_fd(fd, buf, PERM_PROCESS_MAX);

    (void) ngx_close_file(fd);

    if (n <= 0) {
        return 0;
    }

    buf[n] = '\0';

    /* the name of the program may have blanks and parentheses: the last ")" */

    p = (u_char *) strrchr((char *) buf, ')');

    if (p == NULL || *++p != ' ') {
        return 0;
    }

    for (field = 0; p && field < PERM_PROCESS_FIELD; field++) {
        p = (u_char *) strchr((char *) p + 1, ' ');
    }

    return p ? strtoull((char *) p, NULL, 10) : 0;
}
