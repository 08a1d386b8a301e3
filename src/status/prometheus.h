
/*
 * The status in the text exposition format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */


#ifndef _PERM_STATUS_PROMETHEUS_H_INCLUDED_
#define _PERM_STATUS_PROMETHEUS_H_INCLUDED_


#include "http/writer.h"
#include "status/snapshot.h"


void perm_status_prometheus(perm_writer_t *w, perm_snapshot_t *s);


#endif /* _PERM_STATUS_PROMETHEUS_H_INCLUDED_ */
