/* control_state.h -- what the control thread owns; for the rooms of control/ only. */
#ifndef CONTROL_CONTROL_STATE_H
#define CONTROL_CONTROL_STATE_H

#include "control/admin_http.h"
#include "control/bans.h"
#include "control/drain.h"
#include "control/health.h"
#include "control/listen.h"
#include "control/names.h"
#include "control/notify.h"
#include "control/publish.h"
#include "control/rates.h"
#include "control/shares.h"
#include "control/takeover.h"
#include "control/upgrade.h"
#include "module_host/registry.h"
#include "net/guard.h"
#include "net/mailbox.h"
#include "net/signal_watch.h"
#include "proxy/access_log.h"
#include "proxy/worker.h"
#include "store/store.h"

#define CONTROL_SIGNALS 4

struct control {
    const struct settings *settings;
    struct loop loop;
    struct mailbox box;
    struct signal_watch signals[CONTROL_SIGNALS];
    struct access_log *access_log; /* NULL: off */

    struct guard guard; /* where endpoints may not be */
    struct module_registry *registry;
    struct module_host modules;
    struct client_trust *trust; /* NULL: nobody */
    struct worker_shared shared;
    struct worker **workers; /* NULL once they have ended */
    unsigned worker_count;

    struct store *store;
    struct health *health;
    struct names *names; /* of endpoints */
    struct publisher publisher;
    struct bans bans;
    uint64_t confirm_later; /* a barrier that waits for the bans before it; 0: none */
    struct drain drain;
    struct rates rates;
    struct shares shares;

    struct listen_fds listen;
    struct takeover takeover;
    struct upgrade upgrade;
    struct notify notify;

    struct admin_http *admin; /* NULL: --admin off, or not serving yet */
    struct list gathers;      /* admin_pages.c: dumps the workers are asked for */
};

#endif
