#include "CPosix.h"
int perch_placeholder(void) { return 0; }
