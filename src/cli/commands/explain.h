
/*
 * What a running gateway says about the same question.
 */


#ifndef _PERM_CLI_COMMANDS_EXPLAIN_H_INCLUDED_
#define _PERM_CLI_COMMANDS_EXPLAIN_H_INCLUDED_


#include "cli/util/args.h"
#include "core/decision.h"


/*
 * Asks args->gateway_url, prints the answer, with --json as members of the
 * object that is being printed, and returns 1 when its decision is another one
 * or it knows other grants than those here.  A gateway that does not answer
 * ends the program.
 */
int perm_explain(const perm_args_t *args, const perm_decision_t *decision,
    const perm_grants_t *grants);


#endif /* _PERM_CLI_COMMANDS_EXPLAIN_H_INCLUDED_ */
