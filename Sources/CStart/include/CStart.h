#ifndef CSTART_H
#define CSTART_H

// How agt-run and agt-stage begin: start.c has the reason. It declares nothing that Swift calls.

#endif
