int u(void) { return q1(); }
