#include "CBuild.h"

const char *tessera_commit(void) { return TESSERA_COMMIT; }
