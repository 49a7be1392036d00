#define FAST_OP "bl fast_op\n"
