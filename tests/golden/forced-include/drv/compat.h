int tick(void);
#define old_tick() tick()
