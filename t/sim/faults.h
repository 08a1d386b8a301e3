
/*
 * What goes wrong in the world, and when.
 */


#ifndef _SIM_FAULTS_H_INCLUDED_
#define _SIM_FAULTS_H_INCLUDED_


#include "sim.h"


/* calls, changes and faults, for ever */

void sim_faults_start(void);


#endif /* _SIM_FAULTS_H_INCLUDED_ */
