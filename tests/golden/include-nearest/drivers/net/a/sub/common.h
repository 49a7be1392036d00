static inline int y(void) { return 1; }
