#pragma once
static inline int agt_test(void) { return 42; }
