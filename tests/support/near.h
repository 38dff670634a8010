/* near.h - numbers that need not be equal to the last bit. */
#ifndef MR_TESTS_NEAR_H
#define MR_TESTS_NEAR_H

#include <math.h>

#define assert_near(value, expected, within)                                                       \
    do {                                                                                           \
        if (!(fabs((double)(value) - (double)(expected)) <= (double)(within)))                     \
            fail_msg("%s is %.9g, not %.9g within %.3g", #value, (double)(value),                  \
                     (double)(expected), (double)(within));                                        \
    } while (0)

#endif
