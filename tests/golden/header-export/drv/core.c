#include "exp.h"
