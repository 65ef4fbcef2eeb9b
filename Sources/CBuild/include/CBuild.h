#ifndef CBUILD_H
#define CBUILD_H

/// The commit that the program was built from; empty where the build was not told.
const char *tessera_commit(void);

#endif
