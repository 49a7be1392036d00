int u(void) { return fast_nm(); }
