int u(void) { return h1(); }
