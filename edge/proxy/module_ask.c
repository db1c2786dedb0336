/* module_ask.c -- questions to Redis: refused until they can be asked.
 *
 * Owns:    nothing yet.
 * Thread:  its worker.
 * Used by: modules, through module_calls.c.
 * Not here: what else takes time (module_wait.c). */
#include "proxy/module_calls.h"

bool module_ask(struct usher_exchange *o, const struct usher_question *question,
                struct usher_answer *answer, usher_resumed resumed, void *arg)
{
    (void)o;
    (void)question;
    (void)answer;
    (void)resumed;
    (void)arg;
    return false;
}
