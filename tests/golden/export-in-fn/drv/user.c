int u(void) { return e1()+e2()+e3()+e4()+e5(); }
