/* test_unit_request_id.c -- which settings of request_id are taken, and what is said of the others. */
#include "unit/modules/judged.h"

Test(request_id, settings_are_taken_or_refused_with_a_sentence)
{
    expect_good("request_id");
    expect_good("request_id(trust header=X-Correlation-Id response=off)");
    expect_refused("request_id(header=\"X Id\")", "setting header: a header's name");
    expect_refused("request_id(header=X-Id:)", "setting header: a header's name");
    expect_refused("request_id(header=)", "setting header: a text of 1 to 64 bytes");
    expect_refused("request_id(trust=maybe)", "setting trust: on or off");
}
