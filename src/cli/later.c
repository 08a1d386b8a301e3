#include "cli/cli.h"
const perm_command_t perm_renew_command = { "renew","","","",NULL,0,0,NULL };
const perm_command_t perm_expiring_command = { "expiring","","","",NULL,0,0,NULL };
const perm_command_t perm_purge_command = { "purge","","","",NULL,0,0,NULL };
const perm_command_t perm_doctor_command = { "doctor","","","",NULL,0,0,NULL };
