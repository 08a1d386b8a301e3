#include "cli/cli.h"
const perm_command_t perm_doctor_command = { "doctor","","","",NULL,0,0,NULL };
