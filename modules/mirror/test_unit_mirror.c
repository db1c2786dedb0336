/* test_unit_mirror.c -- which settings are taken, and what is said of the others. */
#include "unit/modules/judged.h"

Test(mirror, settings_are_taken)
{
    expect_good("mirror(service=next)");
    expect_good("mirror(service=next percent=5 most=256k mark=X-Copy=yes timeout=500ms)");
    expect_good("mirror(service=next percent=0 most=0 mark X-Copy=)");
    expect_good("mirror(service=next mark=\"X-Copy=a b\")");
}

Test(mirror, wrong_settings_are_refused_with_a_sentence)
{
    expect_refused("mirror", "service");
    expect_refused("mirror(service=next percent=101)", "a number from 0 to 100");
    expect_refused("mirror(service=next most=1m)", "from 0 to 256k");
    expect_refused("mirror(service=next mark=X-Copy)", "setting mark: NAME=VALUE");
    expect_refused("mirror(service=next mark=\"X Copy=1\")",
                   "at column 21: expected setting mark: a header and its value");
    expect_refused("mirror(service=next mark=\"X-Copy=a\\nb\")", "a header and its value");
    expect_refused("mirror(service=next mark=Host=x)", "a header and its value");
    expect_refused("mirror(service=next timeout=2m)", "from 10ms to 1m");
}
