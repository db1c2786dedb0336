/* compile.h -- decoded records become the immutable objects that workers use. One allocation each. */
#ifndef ROUTING_COMPILE_H
#define ROUTING_COMPILE_H

#include "routing/record.h"
#include "routing/service.h"
#include "routing/site.h"

/* `fields` NULL: a record that never had a good version; else the chains of modules that they hold are
 * taken over. `slots` goes along with fields->names: the
 * slot of each thing named. `routes_slot` is that of the tenant's usher:routes:. */
struct site *compile_site(const struct site_key *key, struct record_fields *fields,
                          const uint32_t *slots);
struct tenant *compile_tenant(struct slot_ref ref, struct str id, struct record_fields *fields,
                              const uint32_t *slots, uint32_t routes_slot);
struct routes *compile_routes(struct slot_ref ref, struct str id, struct record_fields *fields,
                              const uint32_t *slots);
struct defaults *compile_defaults(struct slot_ref ref, struct record_fields *fields,
                                  const uint32_t *slots);
void routes_free_parts(struct routes *r); /* what does not lie in its allocation */
/* `policy` NULL: there is none. What it and the endpoints point to is copied. */
struct service *compile_service(struct slot_ref ref, struct str name, bool bad,
                                const struct service_policy *policy,
                                const struct endpoint *endpoints, uint32_t count);

#endif
