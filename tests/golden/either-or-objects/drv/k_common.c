int stamp(void);
int u(void) { return stamp(); }
