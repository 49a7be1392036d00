int u(void) { return m1(); }
